"""Row 2: five thousand bills at once as NDJSON, and the window that posts its own bill just behind them."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tests.bench.baseline import Pace, around
from tests.bench.bills import SETTLED, Bills
from tests.bench.figures import Row, Target
from tests.bench.ledger import Ledger
from tests.bench.system import HOST, Failed, System
from tests.bench.wire import Client

CLIENT = "county_hospital"
SETTLED_SECONDS = 600.0


@dataclass(frozen=True)
class Batch:
    """One batch: seconds until its answer and until its last bill was settled, and what the window then waited.

    The window waits without end when its bill was not settled in the time it may ask for.
    """

    lines: int
    accepted_in: float
    settled_in: float
    window_waited: float
    trouble: str


async def measure(system: System, ledger: Ledger, run: str, lines: int) -> Batch:
    """Post the batch, then one bill that asks for its settlement, then wait until all are settled."""
    bills = Bills(run, system.place, await system.tokens(), system.residents)
    sender, window = Client(HOST, system.port), Client(HOST, system.port)
    request, single, first = bills.batch(CLIENT, lines), bills.request(b"wait=30"), bills.waiting()
    # One bill before, so that the count of the ledger holds the connections' opening apart from the measuring.
    await window.ask(first)
    mark, began_at, began = await ledger.mark(), time.time(), time.perf_counter()
    status, body = await sender.ask(request, 600.0)
    accepted_in = time.perf_counter() - began
    asked = time.perf_counter()
    window_status, answer = await window.ask(single)
    window_waited = time.perf_counter() - asked
    found = await ledger.drained(mark, lines + 1, SETTLED_SECONDS)
    sender.close()
    window.close()
    if status != 200:
        raise Failed(f"the batch was answered {status}: {body[:300].decode(errors='replace')}")
    statuses = Counter(msgspec.json.decode(line)["status"] for line in body.splitlines())
    odd = [f"lines: {dict(statuses)}"] if statuses != {201: lines} else []
    if window_status != 201:
        odd.append(f"the window's bill was answered {window_status}")
    if SETTLED not in answer:
        window_waited = math.inf
    last_at = found.last_settled_at.timestamp() if found.last_settled_at else began_at
    odd.append(found.disagreement(statuses[201] + (window_status == 201)))
    return Batch(lines, accepted_in, last_at - began_at, window_waited, "; ".join(filter(None, odd)))


def rows(runs: Sequence[Batch], baselines: Sequence[tuple[Pace, Pace]]) -> list[Row]:
    """The rows of the table."""
    lines = f"{runs[0].lines:,}"
    return [
        Row(
            "2", f"a batch of {lines} bills, accepted", "bills/s", [run.lines / run.accepted_in for run in runs],
            [around(*pair) for pair in baselines], "pgbench, 16 clients (tps)", Target("≥", 0.8),
        ),
        Row("2", f"from its sending until all {lines} are settled", "s", [run.settled_in for run in runs]),
        Row("2", "a bill with Prefer: wait just behind it waits", "s", [run.window_waited for run in runs]),
    ]  # fmt: skip
