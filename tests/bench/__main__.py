"""``make bench``: everything measured in one run, one table.

``PART=1,3`` measures only these rows, ``SECONDS=5`` shortens every load and ``RUNS=1`` the repetitions: for trials,
whose table is printed and not written down. ``JSON=path`` also writes the table for programs.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import uvloop

from deploy.console import Unusable, console
from shared.kit.clock import CHINA
from tests.bench import batch, deciding, growth, idle, intake, proxying, report, waiting
from tests.bench.baseline import Baseline, Pace
from tests.bench.ledger import Ledger
from tests.bench.lengths import Lengths, lengths
from tests.bench.machine import commit, machine
from tests.bench.people import RegistryFailed
from tests.bench.report import Report
from tests.bench.system import FOLDER, Failed, System

ALL = ("1", "2", "3", "4", "5", "6", "7")
ON_ONE_SYSTEM = {"1", "2", "3", "7"}


class Bench:
    """One run: what is to be measured, for how long, and what was found."""

    def __init__(self, parts: set[str], long: Lengths) -> None:
        self.parts, self.long = parts, long
        self.began = time.monotonic()
        self.report = Report(
            machine=machine(),
            date=f"{datetime.now(CHINA):%Y-%m-%d %H:%M}",
            commit=commit(),
            load=(
                f"{intake.CONNECTIONS} kept connections, bills of about 4 KB, {long.load:.0f} s a run, "
                f"{long.runs} of each, pgbench {long.baseline:.0f} s before and after"
            ),
        )

    def say(self, what: str) -> None:
        """One line of progress."""
        minutes, seconds = divmod(round(time.monotonic() - self.began), 60)
        console.say(f"{minutes:3d}:{seconds:02d}  {what}")

    def trouble(self, row: str, what: str) -> None:
        """Keep what did not add up."""
        if what:
            self.say(f"row {row}: {what}")
            self.report.troubles.append(f"row {row}: {what}")

    async def run(self) -> Report:
        """Measure what was asked for, in the order of the rows but for those that share a system."""
        if (task := asyncio.current_task()) is not None:
            # Told to end, as with Ctrl-C, it still stops what it started and removes what it wrote.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        if self.parts & ON_ONE_SYSTEM:
            await self._loads()
        for part, measure in (("4", self._proxies), ("5", self._decisions), ("6", self._growth)):
            if part in self.parts:
                await measure()
        self.report.rows.sort(key=lambda row: row.number)
        return self.report

    @asynccontextmanager
    async def _system(self, name: str, residents: int) -> AsyncIterator[System]:
        system = System(name)
        try:
            self.say(f"starting a system of its own ({name})")
            seconds = await system.start()
            self.say(f"ready after {seconds:.1f} s; registering {residents:,} residents")
            await system.load_registry(residents)
            yield system
        finally:
            await system.discard()

    async def _loads(self) -> None:
        """Rows 1, 2, 3 and 7: each load lies between two runs of pgbench and has a side of the one between them."""
        async with self._system("loads", self.long.residents) as system:
            ledger, baseline = await Ledger.open(system), Baseline(system, self.long.baseline)
            await baseline.prepare()
            if self.parts & {"1", "2"}:
                await self._in_turn(system, ledger, baseline)
            if "3" in self.parts:
                await self._waits(system, ledger, baseline)
            self.report.volumes.append(f"rows 1 to 3 end with {await system.volume()}")
            await ledger.close()
            if "7" in self.parts:
                self.say(f"row 7: resting {idle.REST_SECONDS:.0f} s")
                parts = await idle.memory(system, self.long.runs)
                self.say(f"row 7: {sum(parts[-1].values()):.0f} MB; starting again on kept data")
                ready = await idle.ready_times(system, self.long.runs)
                self.report.rows += idle.rows(parts, ready)
                self.report.memory = [(name, [each[name] for each in parts]) for name in parts[0]]

    async def _in_turn(self, system: System, ledger: Ledger, baseline: Baseline) -> None:
        intakes, batches = list[intake.Intake](), list[batch.Batch]()
        around: dict[str, list[tuple[Pace, Pace]]] = {"1": [], "2": []}
        before = await self._rate(baseline)
        for number in range(self.long.runs):
            if "1" in self.parts:
                found = await intake.measure(system, ledger, f"i{number}", self.long.load)
                self.say(f"row 1: {found.rate:,.0f} bills/s, {found.kept_up:.0%} settled meanwhile")
                self.trouble("1", found.trouble)
                intakes.append(found)
                around["1"].append((before, before := await self._rate(baseline)))
            if "2" in self.parts:
                taken = await batch.measure(system, ledger, f"b{number}", self.long.batch_lines)
                self.say(f"row 2: accepted in {taken.accepted_in:.1f} s, settled in {taken.settled_in:.1f} s")
                self.trouble("2", taken.trouble)
                batches.append(taken)
                around["2"].append((before, before := await self._rate(baseline)))
        if intakes:
            self.report.rows += intake.rows(intakes, around["1"])
            self.report.costs = intake.costs(intakes)
        if batches:
            self.report.rows += batch.rows(batches, around["2"])

    async def _waits(self, system: System, ledger: Ledger, baseline: Baseline) -> None:
        runs, around = list[waiting.Waits](), list[tuple[Pace, Pace]]()
        before = await self._latency(baseline)
        for number in range(self.long.runs):
            found = await waiting.measure(system, ledger, f"w{number}", self.long)
            self.say(f"row 3: {found.alone.answered:,} waits alone, {found.steady.answered:,} at a steady rate")
            self.trouble("3", found.trouble)
            runs.append(found)
            around.append((before, before := await self._latency(baseline)))
        self.report.rows += waiting.rows(runs, around)

    async def _rate(self, baseline: Baseline) -> Pace:
        pace = await baseline.rate()
        self.say(f"pgbench, 16 clients: {pace.rate:,.0f} tps")
        return pace

    async def _latency(self, baseline: Baseline) -> Pace:
        pace = await baseline.latency()
        self.say(f"pgbench, 1 client: median {pace.median * 1e3:.2f} ms")
        return pace

    async def _proxies(self) -> None:
        self.say("row 4: the gateway and nginx before the same service")
        found = await proxying.measure(self.long.runs, self.long.proxy)
        for each in (*found.gateway, *found.plain, *found.kept):
            self.trouble("4", each.trouble)
        self.report.rows += proxying.rows(found)

    async def _decisions(self) -> None:
        self.say("row 5: decisions, ours and OpenFisca's")
        ours, theirs, trouble = await deciding.measure(self.long.runs, self.long.decide)
        self.trouble("5", trouble)
        self.report.rows += deciding.rows(ours, theirs)

    async def _growth(self) -> None:
        async with self._system("growth", self.long.residents_growth) as system:
            small, large, volume = await growth.measure(system, self.long, lambda what: self.say(f"row 6: {what}"))
            self.report.rows += growth.rows(small, large, self.long)
            self.report.volumes.append(f"row 6: {volume}")


def main() -> int:
    """Exit code 0 when everything was measured and all counts agree, whatever the verdicts."""
    asked = {part.strip() for part in os.environ.get("PART", "").split(",") if part.strip()} or set(ALL)
    if unknown := asked - set(ALL):
        console.say(f"make bench: there is no PART {', '.join(sorted(unknown))}; rows are {', '.join(ALL)}")
        return 2
    seconds, runs = os.environ.get("SECONDS"), os.environ.get("RUNS")
    long = lengths(float(seconds) if seconds else None, int(runs) if runs else None)
    for folder in FOLDER.glob("*"):
        console.say(f"an earlier bench left {folder} behind; remove it when nothing runs there")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(Bench(asked, long).run())
    except (Failed, RegistryFailed, Unusable) as error:
        console.say(f"make bench: {error}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.say("make bench: ended before everything was measured")
        return 1
    console.say("\n" + found.text())
    if path := os.environ.get("JSON"):
        Path(path).write_text(found.json() + "\n", encoding="utf-8")
    if long.full and asked == set(ALL):
        report.write(found)
        console.say(f"\nwritten to {report.PAGE.name}")
    return 1 if found.troubles else 0


if __name__ == "__main__":
    sys.exit(main())
