"""What a long run has to say for the record: `make test-long` prints it, and docs/last-long-runs.md keeps it."""

import platform
from pathlib import Path

from shared.kit import clock

PAGE = "docs/last-long-runs.md"
noted: list[str] = []


def note_long_run(name: str, *, seed: int, what: str, result: str) -> None:
    """Note a run that ended well; it is printed when all tests have run."""
    noted.append(f"| {clock.today()} | {name} | {_machine()} | {seed} | {what} | {result} |")


def _machine() -> str:
    """The machine in few words: processors and memory."""
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in said if line.startswith("model name"))
        kilobytes = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
        count = sum(line.startswith("processor") for line in said)
        return f"{count} × {model}, {kilobytes / 1e6:.0f} GB"
    except (OSError, StopIteration, ValueError):
        return f"{platform.machine()} {platform.system()}"
