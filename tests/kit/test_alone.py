"""A worker alone, as a process without HTTP: it says what others committed, and ends in order when it is told to."""

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import select

from deploy.settings import ROOT
from shared.events.treatment import DischargeBilled
from shared.kit.database import Database, OutboxRow
from shared.kit.outbox import say
from shared.kit.scope import SERVICE
from tests.conftest import Starter
from tests.kit.test_event_channel import eventually


async def published(database: Database) -> bool:
    """Whether the one row of the outbox was published."""
    async with database.transaction(SERVICE) as session:
        return (await session.scalars(select(OutboxRow.published_at))).one() is not None


async def test_a_worker_alone_says_what_others_committed_and_stops_when_told(
    starter: Starter, samples: dict[str, Any]
) -> None:
    urls = await starter.database("treatment")
    database = Database(urls.service_url)
    async with database.transaction(SERVICE) as session:
        say(session, DischargeBilled.model_validate(samples[DischargeBilled.subject]["data"]))
    environment = starter.environment("treatment", urls, TREATMENT_RUN_WORKER="false")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.kit.alone", "treatment_service.main"),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )
    await eventually(lambda: published(database))
    async with asyncio.timeout(10):
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    await database.close()
