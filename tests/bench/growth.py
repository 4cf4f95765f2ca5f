"""Row 6: the same requests over 10,000 settlements and over a million."""

import random
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from tests.bench.bills import SETTLED, Bills
from tests.bench.figures import Row, Target
from tests.bench.filling import Filling, resident_id, settlement_id
from tests.bench.lengths import Lengths
from tests.bench.system import HOST, Failed, System
from tests.bench.wire import Client

LIST, READ, OF_RESIDENT, POST = "list, first page", "read one", "list by resident", "post a bill with Prefer: wait"
KINDS = (LIST, READ, OF_RESIDENT, POST)
READER = "safety_net_office"
PATH = "/safety-net/v1/settlements"
WARM_UP = 20
PAGE = 50

Medians = dict[str, float]


async def measure(
    system: System, lengths: Lengths, said: Callable[[str], None]
) -> tuple[list[Medians], list[Medians], str]:
    """Medians in milliseconds of each kind of request, run by run: few settlements, then many; and the data volumes."""
    filling = Filling(system, said)
    found, volumes = [], []
    for size in (lengths.settlements_small, lengths.settlements_large):
        await filling.up_to(size)
        volumes.append(await system.volume())
        runs = []
        for number in range(lengths.runs):
            runs.append(await _one_run(system, size, f"g{size}-{number}", lengths.reads))
            said(", ".join(f"{kind} {value:.1f} ms" for kind, value in runs[-1].items()))
        found.append(runs)
    small, large = found
    return small, large, "; then ".join(volumes)


async def _one_run(system: System, size: int, run: str, reads: int) -> Medians:
    """The four kinds of request in turn, on one connection; every answer is looked at."""
    requests = await _reading(system, size, run, reads + WARM_UP)
    bills = Bills(run, system.place, await system.tokens(), system.residents)
    client, taken = Client(HOST, system.port), dict[str, list[float]]({kind: [] for kind in KINDS})
    for number in range(reads + WARM_UP):
        for kind in KINDS:
            request = bills.waiting() if kind == POST else requests[kind][number]
            seconds = await _timed(client, kind, request)
            if number >= WARM_UP:
                taken[kind].append(seconds * 1e3)
    client.close()
    return {kind: median(values) for kind, values in taken.items()}


async def _timed(client: Client, kind: str, request: bytes) -> float:
    """Seconds of one request, whose answer must be what was asked for."""
    status, body = await client.ask(request)
    seconds = client.seconds
    if kind == POST:
        good = status == 201 and SETTLED in body
    else:
        answer = msgspec.json.decode(body or b"{}")
        wanted = {READ: 1, LIST: PAGE, OF_RESIDENT: 10}[kind]
        good = status == 200 and len(answer.get("items", [answer])) == wanted
    if not good:
        raise Failed(f"{kind}: {status} {body[:200].decode(errors='replace')}")
    return seconds


async def _reading(system: System, size: int, run: str, count: int) -> dict[str, list[bytes]]:
    """Requests that read, drawn evenly over all settlements."""
    chance = random.Random(run)
    # Patients at the two ends have fewer settlements than the others.
    numbers = [chance.randrange(10, size - size % 10) for _ in range(count)]
    connection = await system.connect("safety_net")
    ids = await connection.fetchrow(
        f"select array[{', '.join(map(settlement_id, numbers))}] as settlements, "
        f"array[{', '.join(map(resident_id, numbers))}] as residents"
    )
    await connection.close()
    head = f"Host: {system.place}\r\nAuthorization: Bearer {await system.token(READER)}\r\n\r\n"

    def get(path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\n{head}".encode()

    return {
        LIST: [get(f"{PATH}?limit={PAGE}")] * count,
        READ: [get(f"{PATH}/{each}") for each in ids["settlements"]],
        OF_RESIDENT: [get(f"{PATH}?resident_id={each}") for each in ids["residents"]],
    }


def rows(small: Sequence[Medians], large: Sequence[Medians], lengths: Lengths) -> list[Row]:
    """A row for each kind of request."""
    few, many = f"{lengths.settlements_small:,}", f"{lengths.settlements_large:,}"
    return [
        Row(
            "6", f"{kind}, {many} settlements, median", "ms", [each[kind] for each in large],
            [each[kind] for each in small], f"over {few} settlements (ms)", Target("≤", 1.2),
        )
        for kind in KINDS
    ]  # fmt: skip
