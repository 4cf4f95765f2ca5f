"""What a busy moment took is given back: connections to PostgreSQL, and memory to the machine."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from deploy.processes import FRUGAL
from deploy.services import inherited
from deploy.settings import ROOT
from shared.kit.database import Database
from shared.kit.scope import SERVICE
from shared.kit.service import give_memory_back
from tests.conftest import Starter

MB = 1024 * 1024


async def work(database: Database) -> None:
    async with database.transaction(SERVICE) as session:
        await session.execute(text("select pg_sleep(0.1)"))


async def backends(outside: asyncpg.Connection, application: str) -> int:
    """How many connections PostgreSQL counts."""
    counted = "select count(*) from pg_stat_activity where application_name = $1"
    return int(await outside.fetchval(counted, application))


async def test_connections_of_a_busy_moment_are_given_back_and_nobody_notices(starter: Starter) -> None:
    urls = await starter.database("treatment")
    database = Database(urls.service_url, application="busy", idle_seconds=1)
    outside = await asyncpg.connect(urls.owner_url)
    try:
        for _ in range(2):
            # All of the pool and its reserve at once; the second time every connection but one was closed meanwhile.
            await asyncio.gather(*(work(database) for _ in range(16)))
            busy = await backends(outside, "busy")
            for _ in range(15):
                await work(database)
            assert busy >= 8
            assert await backends(outside, "busy") == 1
    finally:
        await outside.close()
        await database.close()


def resident() -> float:
    """Memory of this process that is its own, in MB."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"^Private_Dirty:\s+(\d+) kB", text, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


seen_in_proc = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="it is seen in /proc")
# A batch's body is read and forgotten, then another while something small comes to stay behind it.
TWO_BATCHES = """
def resident():
    with open("/proc/self/smaps_rollup") as said:
        return next(int(line.split()[1]) for line in said if line.startswith("Private_Dirty")) / 1024
before = resident()
body = b"x" * 24_000_000
del body
body = b"x" * 20_000_000
kept = [b"x" * 5000 for _ in range(100)]
del body
print(resident() - before)
"""


def left_by_two_batches(settings: dict[str, str]) -> float:
    """What a process of these settings holds in the end, in MB."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", TWO_BATCHES], env=plain | settings, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@seen_in_proc
def test_a_process_of_ours_keeps_no_large_block_that_it_freed() -> None:
    assert left_by_two_batches({}) > 15, "left to itself it keeps the whole block: then the settings are needless"
    assert left_by_two_batches(FRUGAL) < 5


def test_what_is_set_on_purpose_stays_as_it_is_set() -> None:
    assert inherited({}).items() >= FRUGAL.items()
    assert inherited({"MALLOC_ARENA_MAX": "4"})["MALLOC_ARENA_MAX"] == "4"


@seen_in_proc
async def test_freed_memory_goes_back_to_the_machine_also_from_between_what_is_kept() -> None:
    texts = [bytes(4000) for _ in range(64 * MB // 4000)]
    kept = texts[::100]
    del texts
    before = resident()
    giving = asyncio.create_task(give_memory_back(0.01))
    try:
        await asyncio.sleep(0.1)
    finally:
        giving.cancel()
    assert len(kept) * 100 >= 64 * MB // 4000
    assert before - resident() > 40
