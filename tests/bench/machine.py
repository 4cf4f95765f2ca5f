"""What a process and its descendants cost in CPU and memory, and what machine this is. Linux only: it reads /proc."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.settings import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
# How PostgreSQL entitles the process of a connection: role, database, address.
BACKEND = re.compile(rb"^postgres: \S+ (\S+) \S+\(\d+\) ")
OTHER = "other"


@dataclass(frozen=True)
class Process:
    """One line of the process table; CPU in seconds, ``buried`` that of children which have ended."""

    pid: int
    parent: int
    own: float
    buried: float


def process_table() -> dict[int, Process]:
    """Every process of the machine as it stands now."""
    found = {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        own, buried = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
        found[int(folder.name)] = Process(int(folder.name), int(fields[1]), own / TICKS, buried / TICKS)
    return found


def tree(pid: int, table: Mapping[int, Process]) -> Iterator[Process]:
    """A process and all its living descendants."""
    if pid in table:
        yield table[pid]
        for each in table.values():
            if each.parent == pid:
                yield from tree(each.pid, table)


@dataclass(frozen=True)
class Spent:
    """CPU seconds by part of the system since each began; PostgreSQL's once more by database."""

    parts: Mapping[str, float]
    databases: Mapping[str, float]

    def since(self, before: "Spent") -> "Spent":
        """What was spent between the two looks."""
        return Spent(_less(self.parts, before.parts), _less(self.databases, before.databases))

    def each(self, count: int) -> dict[str, float]:
        """Microseconds for each of ``count`` pieces of work, by part."""
        return {name: seconds * 1e6 / max(count, 1) for name, seconds in self.parts.items()}


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    # A connection that was closed in between takes its own account with it; its part of the system keeps it.
    return {name: max(seconds - before.get(name, 0.0), 0.0) for name, seconds in after.items()}


def spent(pids: Mapping[str, int]) -> Spent:
    """What the named processes and their descendants have cost so far."""
    table = process_table()
    parts = {name: sum(each.own + each.buried for each in family) for name, family in _families(pids, table)}
    databases: dict[str, float] = {}
    for each in tree(pids["postgres"], table) if "postgres" in pids else ():
        name = _database_of(each.pid)
        databases[name] = databases.get(name, 0.0) + each.own + each.buried
    return Spent(parts, databases)


def _families(pids: Mapping[str, int], table: Mapping[int, Process]) -> Iterator[tuple[str, list[Process]]]:
    """Each named process with its descendants, without those that have a name of their own."""
    for name, pid in pids.items():
        elsewhere = {each.pid for other in pids.values() if other != pid for each in tree(other, table)}
        mine = list(tree(pid, table))
        # The supervisor is above all others: what is below another name is that other's.
        above = {each.pid for each in mine} >= elsewhere
        yield name, [each for each in mine if not above or each.pid not in elsewhere]


def _database_of(pid: int) -> str:
    try:
        title = BACKEND.match((PROC / str(pid) / "cmdline").read_bytes())
    except OSError:
        return OTHER
    return title[1].decode() if title else OTHER


def memory(pids: Mapping[str, int]) -> dict[str, float]:
    """Proportional set size in MB by part: memory that n processes share counts as one n-th for each of them."""
    table = process_table()
    return {name: sum(_pss(each.pid) for each in family) / 1024 for name, family in _families(pids, table)}


def _pss(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    said = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(said[1]) if said else 0


def machine() -> str:
    """Cores, processor, memory, system and load, in one line."""
    processor = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    total = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    gigabytes = int(total[1]) / 1024**2 if total else 0
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({processor[1].strip() if processor else platform.machine()}), {gigabytes:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}; load average at the start {load:.1f}"
    )


def commit() -> str:
    """The commit that was measured, and whether files differed from it."""

    def said(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    short = said("rev-parse", "--short", "HEAD")
    changed = said("status", "--porcelain", "--", ".", ":!docs/benchmarks.md")
    return f"{short or 'without history'}{' with uncommitted changes' if changed else ''}"
