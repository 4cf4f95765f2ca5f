"""Row 7: what the whole system holds in memory when the load is over, and how soon it is ready again on kept data."""

import asyncio
from collections.abc import Mapping, Sequence

from tests.bench.figures import Row, Target
from tests.bench.system import System

REST_SECONDS = 10.0


async def memory(system: System, runs: int) -> list[dict[str, float]]:
    """Memory by part in MB after a rest, looked at several times a second apart."""
    await asyncio.sleep(REST_SECONDS if runs > 1 else 1.0)
    found = []
    for _ in range(runs):
        found.append(system.memory())
        await asyncio.sleep(1.0)
    return found


async def ready_times(system: System, runs: int) -> list[float]:
    """Seconds from the command to all processes ready, on the data that is there, after an orderly stop."""
    found = []
    for _ in range(runs):
        await system.stop()
        found.append(await system.start())
    return found


def rows(parts: Sequence[Mapping[str, float]], ready: Sequence[float]) -> list[Row]:
    """The rows of the table."""
    return [
        Row("7", "memory of the whole system, idle after the load", "MB (PSS)",
            [sum(each.values()) for each in parts], target=Target("≤", 700, "MB")),
        Row("7", "ready again on kept data", "s", list(ready)),
    ]  # fmt: skip
