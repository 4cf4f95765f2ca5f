"""Saying an event: a row in the same transaction as the fact, then the relay publishes what committed.

The broker is never the record: a row stays 35 days after it was published, and a reconciliation replays what a
listener did not hear (`reconciliation`).
"""

import asyncio
import contextlib

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.bus import Bus, BusAway
from shared.kit.database import Database, OutboxRow, StreamRow, is_transient
from shared.kit.database import Said as Said
from shared.kit.events import Envelope, Event
from shared.kit.log import log
from shared.kit.scope import SERVICE

BATCH = 100
POLL_SECONDS = 1.0
STREAM_CHECK_SECONDS = 5.0
RELAY_LOCK = 7_310_001


def say(session: AsyncSession, *events: Event) -> None:
    """Say these events if, and only if, this transaction commits; in this order."""
    for event in events:
        envelope = Envelope.around(event)
        session.add(OutboxRow(event_id=envelope.event_id, subject=envelope.subject, payload=envelope.to_bytes()))
    session.info["said"] = session.info.get("said") or bool(events)


class Relay:
    """Publishes the outbox in order, a hundred at a time.

    One relay a service is active: the lock it holds ends with its transaction.
    """

    def __init__(self, database: Database, bus: Bus, stream: str) -> None:
        self.database, self.bus, self.stream = database, bus, stream
        self.woken = asyncio.Event()
        # Set when the broker turns out to have forgotten the stream; the reconciliation clears it.
        self.forgotten = asyncio.Event()
        database.said = lambda _: self.woken.set()

    async def run(self) -> None:
        """Publish for ever; trouble with broker or database only delays."""
        checked = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() - checked > STREAM_CHECK_SECONDS:
                    await self.check_stream()
                    checked = loop.time()
                if await self.publish_some() == BATCH:
                    continue
            except BusAway as away:
                log("warning", "relay_waits_for_broker", error_type=away.kind)
                checked = 0.0
                await asyncio.sleep(0.5)
            except Exception as error:
                if not is_transient(error):
                    log("error", "relay_failed", error_type=type(error).__name__)
                await asyncio.sleep(0.5)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), POLL_SECONDS)
            self.woken.clear()

    async def publish_some(self) -> int:
        """Publish up to a hundred waiting rows; how many there were."""
        async with self.database.transaction(SERVICE) as session:
            if not await session.scalar(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": RELAY_LOCK}):
                return 0
            waiting = select(OutboxRow.seq, OutboxRow.event_id, OutboxRow.subject, OutboxRow.payload)
            rows = (
                await session.execute(
                    waiting.where(OutboxRow.published_at.is_(None)).order_by(OutboxRow.seq).limit(BATCH)
                )
            ).all()
            if rows:
                await self.bus.publish([(row.subject, row.payload, str(row.event_id)) for row in rows])
                await session.execute(
                    update(OutboxRow)
                    .where(OutboxRow.seq.in_([row.seq for row in rows]))
                    .values(published_at=text("clock_timestamp()"))
                )
            return len(rows)

    async def check_stream(self) -> None:
        """Make the stream if it is not there, and notice when it is another one than we knew."""
        created = await self.bus.ensure_stream(self.stream)
        async with self.database.transaction(SERVICE) as session:
            known = await session.get(StreamRow, self.stream)
            if known is not None and known.created != created:
                log("warning", "stream_was_forgotten", subject=self.stream)
                self.forgotten.set()
            if known is None or known.created != created:
                row = {"name": self.stream, "created": created}
                await session.execute(
                    insert(StreamRow)
                    .values(row)
                    .on_conflict_do_update(index_elements=["name"], set_={"created": created})
                )
