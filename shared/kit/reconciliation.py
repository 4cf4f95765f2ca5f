"""Comparing what was said with what was heard, and saying the gaps again.

The speaker asks each listener over the bus which of its events it has neither acted on nor buried, and publishes
those again. Hearing an event twice changes nothing, so the comparison may be run at any time, as often as one likes.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text

from shared.kit.bus import Bus, BusAway
from shared.kit.database import Database, DeadLetterRow, InboxRow, OutboxRow, is_transient
from shared.kit.events import Event
from shared.kit.log import log
from shared.kit.outbox import Relay
from shared.kit.problems import TemporarilyUnavailable
from shared.kit.scope import SERVICE

CHUNK = 500
EVERY_SECONDS = 3600.0
# What was published a moment ago may simply still be on its way.
GRACE_SECONDS = 5


def question(listener: str) -> str:
    """The subject on which a listener says what it has not heard."""
    return f"inbox.{listener}.missing"


def missing_here(database: Database) -> Callable[[bytes], Awaitable[bytes]]:
    """The listener's side: of these event ids, which were neither acted on nor buried here."""

    async def reply(raw: bytes) -> bytes:
        asked = {UUID(text_id) for text_id in json.loads(raw)}
        async with database.transaction(SERVICE) as session:
            known = set(await session.scalars(select(InboxRow.event_id).where(InboxRow.event_id.in_(asked))))
            known |= set(await session.scalars(select(DeadLetterRow.event_id).where(DeadLetterRow.event_id.in_(asked))))
        return json.dumps([str(event_id) for event_id in asked - known]).encode()

    return reply


class Reconciliation:
    """One speaker's comparison with all its listeners."""

    def __init__(self, database: Database, bus: Bus, service: str, says: list[type[Event]], relay: Relay) -> None:
        self.database, self.bus, self.service, self.says, self.relay = database, bus, service, says, relay
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Compare at start, each hour, and whenever the broker forgot the stream."""
        while True:
            try:
                await self.compare(grace_seconds=GRACE_SECONDS)
                self.relay.forgotten.clear()
                pause = EVERY_SECONDS
            except (BusAway, TemporarilyUnavailable):
                pause = 5.0
            except Exception as error:
                if not is_transient(error):
                    log("error", "reconciliation_failed", error_type=type(error).__name__)
                pause = 5.0
            try:
                await asyncio.wait_for(self.relay.forgotten.wait(), pause)
                await asyncio.sleep(GRACE_SECONDS)
            except TimeoutError:
                pass

    async def compare(self, *, grace_seconds: int = 0) -> dict[str, Any]:
        """Compare and replay; the report counts said, heard, missing and replayed for each listener, and messages."""
        async with self._one_at_a_time:
            await self.relay.check_stream()
            await self.relay.publish_all(grace_seconds)
            info = await self.bus.stream_info(self.relay.stream)
            events = [
                await self._compare_event(event, listener, grace_seconds)
                for event in self.says
                for listener in event.heard_by
            ]
        state = info.state if info else None
        streams = [
            {
                "stream": self.relay.stream,
                "messages": state.messages if state else 0,
                "first_seq": state.first_seq if state else 0,
                "last_seq": state.last_seq if state else 0,
            }
        ]
        return {"service": self.service, "streams": streams, "events": events}

    async def _compare_event(self, event: type[Event], listener: str, grace_seconds: int) -> dict[str, Any]:
        said = heard = missing = replayed = last = 0
        messages = await self._messages(event)
        published_before = text("clock_timestamp() - make_interval(secs => :grace)").bindparams(grace=grace_seconds)
        while True:
            async with self.database.transaction(SERVICE) as session:
                rows = (
                    await session.execute(
                        select(OutboxRow.seq, OutboxRow.event_id)
                        .where(OutboxRow.subject == event.subject, OutboxRow.seq > last)
                        .where(OutboxRow.published_at < published_before)
                        .order_by(OutboxRow.seq)
                        .limit(CHUNK)
                    )
                ).all()
            if not rows:
                break
            last, said = rows[-1].seq, said + len(rows)
            gaps = await self._missing(listener, [row.event_id for row in rows])
            heard, missing = heard + len(rows) - len(gaps), missing + len(gaps)
            if gaps:
                await self._say_again(event, gaps)
                replayed += len(gaps)
        return {
            "subject": event.subject,
            "listener": listener,
            "said": said,
            "messages": messages,
            "heard": heard,
            "missing": missing,
            "replayed": replayed,
        }

    async def _say_again(self, event: type[Event], gaps: set[UUID]) -> None:
        async with self.database.transaction(SERVICE) as session:
            asked = select(OutboxRow.event_id, OutboxRow.payload).where(OutboxRow.event_id.in_(gaps))
            rows = (await session.execute(asked.order_by(OutboxRow.seq))).all()
        # A new message id: the broker would drop the old one as a duplicate. The inbox goes by the event's own.
        await self.bus.publish([(event.subject, row.payload, f"{row.event_id}/{uuid4()}") for row in rows])
        log("warning", "gap_replayed", subject=event.subject, count=len(rows))

    async def _missing(self, listener: str, ids: list[UUID]) -> set[UUID]:
        answer = await self.bus.ask(question(listener), json.dumps([str(event_id) for event_id in ids]).encode())
        if answer is None:
            raise TemporarilyUnavailable(f"{listener} 服务没有应答，无法核对。")
        return {UUID(event_id) for event_id in json.loads(answer)}

    async def _messages(self, event: type[Event]) -> int:
        try:
            info = await (await self.bus.jetstream()).stream_info(self.relay.stream, subjects_filter=event.subject)
        except Exception:
            return 0
        return sum((info.state.subjects or {}).values())


async def waiting_to_be_said(database: Database) -> int:
    """How many events have committed but are not yet with the broker."""
    async with database.transaction(SERVICE) as session:
        return await session.scalar(select(func.count()).where(OutboxRow.published_at.is_(None))) or 0
