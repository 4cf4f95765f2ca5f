"""The harness itself: it reads every answer, loses none unseen, counts what was spent, leaves people's words alone."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.bills.form import DischargeBill
from tests.bench.bills import Bills
from tests.bench.deciding import CASES, cases, decide, flat
from tests.bench.figures import Row, Target, percentile
from tests.bench.intake import Intake
from tests.bench.ledger import Found
from tests.bench.machine import Process, Spent, _families
from tests.bench.people import CLIENTS, people
from tests.bench.report import BEGIN, END, Report, write
from tests.bench.wire import LOST, Client, Connection, Load, closed_loop, open_loop
from treatment_service.intake.endpoints import BATCH_LIMIT
from treatment_service.intake.formats.ndjson import MOST_LINES

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nbody"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """A server of the test's own; its port."""
    made = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 201, b"body"),
        (b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length:   0\r\nx: y\r\n\r\n", 200, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n5;x=y\r\n, two\r\n0\r\n\r\n",
            200,
            b"body, two",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b""),
    ],
)
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_an_answer_is_read_whole_in_whatever_pieces_it_comes(
    answer: bytes, status: int, body: bytes, piece: int
) -> None:
    told: list[tuple[int, bytes]] = []
    connection = Connection(lambda _, status, body: told.append((status, body)))
    for _ in range(2):
        for start in range(0, len(answer), piece):
            connection.data_received(answer[start : start + piece])
    assert told == [(status, body)] * 2


async def test_every_answer_is_counted_by_its_status_and_lost_ones_too() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readuntil(b"\r\n\r\n"):
            asked += 1
            if asked == 20:
                writer.close()
                return
            writer.write({5: OK.replace(b"body", b"nobo"), 10: OK.replace(b"201", b"503")}.get(asked, OK))

    async with server(serve) as port:
        load = await closed_loop("127.0.0.1", port, 1, 30.0, lambda: REQUEST, needle=b"body")
    assert load.sent == 20
    assert dict(load.statuses) == {201: 18, 503: 1, LOST: 1}
    assert (load.answered, load.unsettled) == (19, 1)
    assert (len(load.latencies), sum(map(math.isinf, load.latencies))) == (19, 2)
    assert load.strange(201) == "1 × no answer, 1 × 503"


async def test_requests_at_a_steady_rate_wait_for_nobody() -> None:
    held: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        held.append(writer)
        if len(held) == 20:
            for each in held:
                each.write(OK)

    async with server(serve) as port:
        load = await open_loop("127.0.0.1", port, 100.0, 0.2, lambda: REQUEST)
    assert (load.sent, load.answered, load.strange(201)) == (20, 20, "")
    # Nobody was answered before the last was asked: the first waited for the nineteen distances behind it.
    assert max(load.latencies) >= 0.19
    assert sorted(load.latencies, reverse=True)[1] >= 0.18


async def test_a_client_asks_again_after_its_connection_was_closed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    async with server(serve) as port:
        client = Client("127.0.0.1", port)
        for _ in range(2):
            assert await client.ask(REQUEST) == (201, b"body")
            assert client.seconds > 0
            await asyncio.sleep(0.1)
        client.close()


async def test_an_answer_that_never_comes_is_lost() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(serve) as port:
        client = Client("127.0.0.1", port)
        assert await client.ask(REQUEST, 0.2) == (LOST, b"")
        assert math.isinf(client.seconds)


def test_bills_are_distinct_valid_and_of_the_promised_size() -> None:
    bills = Bills("r1", "place", dict.fromkeys(CLIENTS, "token"), people(50))
    heads, bodies = zip(*(bills.waiting().split(b"\r\n\r\n", 1) for _ in range(300)), strict=True)
    keys = {line for head in heads for line in head.split(b"\r\n") if line.startswith(b"Idempotency-Key: ")}
    sent = [DischargeBill.model_validate(json.loads(body)) for body in bodies]
    assert len(keys) == len({bill.bill_no for bill in sent}) == 300
    assert len({bill.patient.identity_number for bill in sent}) == 50
    assert len({bill.institution_code for bill in sent}) == len(CLIENTS)
    assert all(3800 < len(body) < 4300 for body in bodies)
    assert all(b"Content-Length: %d" % len(body) in head for head, body in zip(heads, bodies, strict=True))
    assert all(b"Prefer: wait=30" in head for head in heads)


def test_the_batch_is_as_long_as_the_api_takes() -> None:
    bills = Bills("r1", "place", dict.fromkeys(CLIENTS, "token"), people(50))
    _, body = bills.batch("county_hospital", MOST_LINES).split(b"\r\n\r\n", 1)
    lines = body.splitlines()
    assert len(lines) == len(set(lines)) == MOST_LINES
    assert 0.9 * BATCH_LIMIT < len(body) <= BATCH_LIMIT
    assert DischargeBill.model_validate(json.loads(lines[-1])).institution_code == "H45022300001"


def test_what_a_part_spent_is_not_counted_twice() -> None:
    #  1 supervisor ─ 2 postgres ─ 4 backend;  1 ─ 3 gateway;  9 a stranger
    known = [(1, 0, 1.0), (2, 1, 2.0), (3, 1, 3.0), (4, 2, 4.0), (9, 0, 9.0)]
    processes = {pid: Process(pid, parent, own, 0.0) for pid, parent, own in known}
    found = _families({"supervisor": 1, "postgres": 2, "gateway": 3}, processes)
    assert {name: sum(each.own for each in family) for name, family in found} == {
        "supervisor": 1.0,
        "postgres": 6.0,
        "gateway": 3.0,
    }


def test_a_missing_row_anywhere_is_named() -> None:
    at = datetime(2018, 8, 11, tzinfo=UTC)
    assert Found(5, 5, 5, 5, 5, 0, at).disagreement(5) == ""
    assert Found(5, 5, 4, 3, 5, 1, at).disagreement(5) == "5 answers, but 4 events, 3 settlements, 1 dead letters"
    assert "6 bills" in Found(6, 5, 5, 5, 5, 0, at).disagreement(5)


def test_rates_come_from_the_database_and_not_from_the_answers() -> None:
    load = Load(seconds=2.0, cpu_seconds=0.001, sent=100)
    run = Intake(load, accepted=80, settled_meanwhile=60, drain=0.0, spent=Spent({}, {}), trouble="")
    assert (run.rate, run.kept_up, run.sender_us) == (40.0, 0.75, 10.0)


def test_percentiles_medians_and_verdicts() -> None:
    values = [float(each) for each in range(1, 1001)]
    assert [percentile(values, percent) for percent in (50, 99, 99.9, 100)] == [500, 990, 999, 1000]
    assert math.isnan(percentile([], 50))
    row = Row("1", "rate", "/s", [30.0, 20.0, 40.0], [100.0, 100.0, 100.0], "base", Target("≥", 0.3))
    assert (row.value, row.verdict) == (0.3, "met")
    row.ours[0] = 29.9
    assert row.verdict == "**missed**"
    assert Row("3", "wait", "ms", [math.nan], target=Target("≤", 15)).verdict == "**missed**"
    assert Row("4", "nginx", "µs", [100.0], missing="no nginx").verdict == "not measured"


def test_only_what_stands_between_the_marks_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text(f"by hand\n{BEGIN}\nold\n{END}\nalso by hand\n")
    report = Report("machine", "date", "commit", "load", rows=[Row("1", "rate", "/s", [1.0, 3.0, 2.0])])
    for _ in range(2):
        write(report, page)
        assert page.read_text().startswith(f"by hand\n{BEGIN}\n")
        assert page.read_text().endswith(f"{END}\nalso by hand\n")
        assert "| 1 | rate | 2.00 /s (1.00, 3.00, 2.00) |" in page.read_text()
        assert "old" not in page.read_text()
    page.write_text("no marks")
    with pytest.raises(ValueError, match="marks"):
        write(report, page)


def test_the_page_of_this_repository_has_the_marks(tmp_path: Path) -> None:
    copy = tmp_path / "page"
    copy.write_bytes((Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_bytes())
    write(Report("machine", "date", "commit", "load"), copy)


def test_the_decided_cases_pass_and_are_excluded_as_is_said() -> None:
    shares = decide(0.0).shares
    assert len(shares) == len(cases()) == CASES
    assert sum(1 for share in shares if share == [0, 0]) == CASES * 2 // 10
    assert sum(1 for _, hospital in shares if hospital) == CASES // 10
    assert all(facts["stay_days"] >= 1 for facts in map(flat, cases()))
