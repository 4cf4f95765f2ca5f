"""Row 3: a bill posted with Prefer: wait until its settlement is in the answer, alone and at a hundred a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.baseline import Pace
from tests.bench.bills import SETTLED, Bills
from tests.bench.figures import Row, Target, percentile
from tests.bench.ledger import Ledger
from tests.bench.lengths import Lengths
from tests.bench.system import HOST, System
from tests.bench.wire import Load, closed_loop, open_loop

RATE = 100.0
DRAIN_SECONDS = 180.0


@dataclass(frozen=True)
class Waits:
    """One connection's waits, and those at a hundred a second."""

    alone: Load
    steady: Load
    trouble: str


async def measure(system: System, ledger: Ledger, run: str, lengths: Lengths) -> Waits:
    """Warm up, measure on one connection, then at even distances; every bill must be settled in its answer."""
    bills = Bills(run, system.place, await system.tokens(), system.residents)
    mark = await ledger.mark()
    warm = await closed_loop(HOST, system.port, 1, lengths.warm_up, bills.waiting, SETTLED)
    alone = await closed_loop(HOST, system.port, 1, lengths.wait, bills.waiting, SETTLED)
    steady = await open_loop(HOST, system.port, RATE, lengths.open_loop, bills.waiting, SETTLED)
    answered = sum(load.statuses[201] for load in (warm, alone, steady))
    found = await ledger.drained(mark, answered, DRAIN_SECONDS)
    odd = [load.strange(201) for load in (warm, alone)]
    odd.append(found.disagreement(answered))
    return Waits(alone, steady, "; ".join(filter(None, odd)))


def _others(loads: Sequence[Load]) -> str:
    said = [each for load in loads if (each := load.strange(201))]
    return f", some otherwise: {'; '.join(said)}" if said else ""


def rows(runs: Sequence[Waits], baselines: Sequence[tuple[Pace, Pace]]) -> list[Row]:
    """The rows of the table, in milliseconds."""
    base = [median([*before.latencies, *after.latencies]) * 1e3 for before, after in baselines]
    name = "pgbench, 1 client, median (ms)"

    def of(loads: Sequence[Load], percent: float) -> list[float]:
        return [percentile(load.latencies, percent) * 1e3 for load in loads]

    alone, steady = [run.alone for run in runs], [run.steady for run in runs]
    sent, answered = sum(load.sent for load in steady), sum(load.answered for load in steady)
    return [
        Row(
            "3", "bill to settlement in its answer, 1 connection, median", "ms", of(alone, 50), base, name,
            Target("≤", 15), note=f"{sum(load.answered for load in alone):,} bills",
        ),
        Row("3", "the same, 99th percentile", "ms", of(alone, 99), base, name, Target("≤", 40)),
        Row(
            "3", f"at {RATE:.0f} bills/s, 99.9th percentile", "ms", of(steady, 99.9), base, name, Target("≤", 150),
            note=f"median {median(of(steady, 50)):.1f} ms; {answered:,} of {sent:,} answered{_others(steady)}",
        ),
        Row(
            "3", "of these lost, or answered without their settlement", "bills",
            [float(load.sent - load.statuses[201] + load.unsettled) for load in steady],
            target=Target("≤", 0, "bills"),
        ),
    ]  # fmt: skip
