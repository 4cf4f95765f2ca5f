"""Row 1: bills taken through the gateway by sixteen kept connections, and settled over the same minute."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.baseline import Pace, around
from tests.bench.bills import Bills
from tests.bench.figures import Row, Target, shown
from tests.bench.ledger import Ledger
from tests.bench.machine import Spent
from tests.bench.system import HOST, System
from tests.bench.wire import Load, closed_loop

CONNECTIONS = 16
PARTS = ("treatment", "safety-net", "gateway", "contract", "postgres", "nats", "supervisor")


@dataclass(frozen=True)
class Intake:
    """One minute: what was sent, what the databases then held, what it cost. ``drain`` in seconds after the load."""

    load: Load
    accepted: int
    settled_meanwhile: int
    drain: float
    spent: Spent
    trouble: str

    @property
    def rate(self) -> float:
        """Bills a second that the database holds."""
        return self.accepted / self.load.seconds

    @property
    def kept_up(self) -> float:
        """Bills settled in the same time to bills accepted."""
        return self.settled_meanwhile / max(self.accepted, 1)

    @property
    def sender_us(self) -> float:
        """What the load itself cost a request."""
        return self.load.cpu_seconds * 1e6 / max(self.load.sent, 1)


async def measure(system: System, ledger: Ledger, run: str, seconds: float) -> Intake:
    """Load for so many seconds, then wait until everything is settled and told back."""
    bills = Bills(run, system.place, await system.tokens(), system.residents)
    mark, before = await ledger.mark(), system.spent()
    load = await closed_loop(HOST, system.port, CONNECTIONS, seconds, bills.request)
    found = await ledger.drained(mark, load.statuses[201], max(10 * seconds, 180.0))
    ended_at = load.began_at + load.seconds
    last_at = found.last_settled_at.timestamp() if found.last_settled_at else ended_at
    odd = [load.strange(201), found.disagreement(load.statuses[201])]
    return Intake(
        load=load,
        accepted=found.accepted,
        settled_meanwhile=await ledger.settled_between(mark, load.began_at, ended_at),
        drain=max(last_at - ended_at, 0.0),
        spent=system.spent().since(before),
        trouble="; ".join(filter(None, odd)),
    )


def rows(runs: Sequence[Intake], baselines: Sequence[tuple[Pace, Pace]]) -> list[Row]:
    """The rows of the table."""
    paces = [around(*pair) for pair in baselines]
    seconds = median(run.load.seconds for run in runs)
    sent = sum(run.accepted for run in runs)
    return [
        Row(
            "1", "bills accepted, 16 connections", "bills/s", [run.rate for run in runs],
            paces, "pgbench, 16 clients (tps)", Target("≥", 0.30),
            note=f"{sent:,} bills; the load itself took {shown(median(run.sender_us for run in runs))} µs a request",
        ),
        Row("1", "of these settled over the same minute", "of accepted", [run.kept_up for run in runs],
            target=Target("≥", 0.8, "of accepted")),
        Row("1", "then until the last is settled", "s", [run.drain for run in runs],
            target=Target("≤", round(seconds), "s"), note="as long again as the load"),
    ]  # fmt: skip


def costs(runs: Sequence[Intake]) -> list[tuple[str, list[float]]]:
    """CPU microseconds a bill, load and drain together: by part, PostgreSQL's also by database."""
    found = [(name, [run.spent.each(run.accepted).get(name, 0.0) for run in runs]) for name in PARTS]
    for name in sorted({name for run in runs for name in run.spent.databases}):
        each = [run.spent.databases.get(name, 0.0) * 1e6 / max(run.accepted, 1) for run in runs]
        found.append((f"– PostgreSQL, {name}", each))
    return found
