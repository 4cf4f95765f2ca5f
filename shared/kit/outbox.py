"""Saying an event: a row in the same transaction as the fact, then the relay publishes what committed.

The broker is never the record: a row stays 35 days after it was published, and a reconciliation replays what a
listener did not hear (`reconciliation`).

Who commits hands the rows to the relay of its process, which publishes them from memory. What is in nobody's hand (a
crash, a full memory, a process without a relay) is found by looking into the outbox once a second.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import BigInteger, all_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.bus import Bus, BusAway
from shared.kit.database import Database, OutboxRow, StreamRow, is_transient, nobody_publishes
from shared.kit.database import Said as Said
from shared.kit.direct import Direct
from shared.kit.events import Envelope, Event
from shared.kit.log import log
from shared.kit.scope import SERVICE

BATCH = 100
MOST_IN_HAND = 10_000
POLL_SECONDS = 1.0
LEFT_SECONDS = 2.0
"""A row that has waited so long is in nobody's hand."""
GATHER_SECONDS, MOST_GATHERED = 0.002, 0.08
"""How long is waited for each event that came along with others, and at most: where many come, more will come."""
MARK_SECONDS = 0.05
ROOM = 2
"""Bulk goes on while the listeners have no more messages before them, so that a single event is soon heard."""
HOLD_SECONDS, ASK_AGAIN_SECONDS = 1.0, 0.02
STREAM_CHECK_SECONDS = 5.0
RELAY_LOCK = 7_310_001
MARK = "update outbox set published_at = clock_timestamp() where seq = any($1)"


def say(session: AsyncSession, *events: Event) -> None:
    """Say these events if, and only if, this transaction commits; in this order."""
    for event in events:
        envelope = Envelope.around(event)
        row = OutboxRow(event_id=envelope.event_id, subject=envelope.subject, payload=envelope.to_bytes())
        session.add(row)
        session.info.setdefault("said", []).append(row)


class Relay:
    """Publishes what was committed: single events first, bulk while there is room, what was left behind last.

    Close to the order of the commits, but no order is promised. A row may be published twice (its mark was lost, two
    processes took it); never not at all.
    """

    def __init__(self, database: Database, bus: Bus, stream: str) -> None:
        self.database, self.bus, self.stream = database, bus, stream
        # How old a row must be to be nobody's. A process that only relays holds no request that could have it in hand.
        self.left_seconds = LEFT_SECONDS
        # Set when the broker turns out to have forgotten the stream; the reconciliation clears it.
        self.forgotten = asyncio.Event()
        self._woken = asyncio.Event()
        self._urgent: deque[Said] = deque()
        self._bulk: deque[Said] = deque()
        self._in_hand: set[int] = set()
        self._published: list[int] = []
        self._to_mark = asyncio.Event()
        self._marking = asyncio.Lock()
        # A mark that is lost costs a repeat, so nobody waits for the disk; and it is the service's own work.
        self._direct = Direct(
            database.url,
            application=database.application,
            settings={"synchronous_commit": "off", "app.service": "on"},
        )
        self._checked = self._bulk_at = self._asked_at = float("-inf")
        self._look_at, self._look_at_all = 0.0, False

    def hand(self, rows: Sequence[Said]) -> None:
        """Take rows that have just committed. Too many for the memory, or none: they are looked for in the outbox."""
        if rows and len(self._in_hand) + len(rows) <= MOST_IN_HAND:
            (self._bulk if len(rows) > BATCH else self._urgent).extend(rows)
            self._in_hand.update(row.seq for row in rows)
        elif not rows:
            self._look_at, self._look_at_all = 0.0, True
        self._woken.set()

    async def run(self) -> None:
        """Publish for ever; trouble with broker or database only delays."""
        self.database.said = self.hand
        marking = asyncio.create_task(self._mark_for_ever())
        try:
            while True:
                try:
                    await self._step()
                except BusAway as away:
                    log("warning", "relay_waits_for_broker", error_type=away.kind)
                    self._checked = float("-inf")
                    await asyncio.sleep(0.5)
                except Exception as error:
                    if not is_transient(error):
                        log("error", "relay_failed", error_type=type(error).__name__)
                    await asyncio.sleep(0.5)
        finally:
            if self.database.said == self.hand:
                self.database.said = nobody_publishes
            marking.cancel()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await self._mark()
            await self._direct.close()
            for kept in (self._urgent, self._bulk, self._in_hand):
                kept.clear()

    async def publish_all(self, older_seconds: float) -> None:
        """Mark what was published, and publish all that was said so long ago and is not in hand."""
        await self._mark()
        while await self._publish_left(older_seconds) == BATCH:
            pass

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

    async def _step(self) -> None:
        """Publish one batch, or wait until there may be something to publish."""
        now = asyncio.get_running_loop().time()
        self._woken.clear()
        if now - self._checked > STREAM_CHECK_SECONDS:
            await self.check_stream()
            self._checked = now
        together = await self._publish_from(self._urgent) if self._urgent else 0
        behind = bool(self._bulk) or now >= self._look_at
        if behind and await self._is_room(now):
            await self._publish_behind(now)
        elif together > 1 and len(self._urgent) < BATCH:
            # Under load: many together cost the broker's disk, and every listener, as little as one event.
            await asyncio.sleep(min(together * GATHER_SECONDS, MOST_GATHERED))
        elif not self._urgent:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN_SECONDS if behind else self._look_at - now):
                    await self._woken.wait()

    async def _publish_behind(self, now: float) -> None:
        """Publish a slice of the bulk, or of what was left behind."""
        self._bulk_at = now
        if self._bulk:
            await self._publish_from(self._bulk)
        if now >= self._look_at:
            older_seconds = 0 if self._look_at_all else self.left_seconds
            # Before looking: who says meanwhile that there is something must be heard.
            self._look_at, self._look_at_all = now + POLL_SECONDS, False
            if await self._publish_left(older_seconds) == BATCH:
                self._look_at, self._look_at_all = now, self._look_at_all or not older_seconds

    async def _publish_from(self, lane: deque[Said]) -> int:
        rows = [lane.popleft() for _ in range(min(len(lane), BATCH))]
        try:
            await self.bus.publish([(row.subject, row.payload, str(row.event_id)) for row in rows])
        except BaseException:
            lane.extendleft(reversed(rows))
            raise
        self._published += [row.seq for row in rows]
        self._to_mark.set()
        return len(rows)

    async def _is_room(self, now: float) -> bool:
        """Whether the listeners are near the end of what they were told, or seem not to listen at all."""
        if now - self._bulk_at > HOLD_SECONDS:
            return True
        if now - self._asked_at < ASK_AGAIN_SECONDS:
            return False
        self._asked_at = now
        return await self.bus.backlog(self.stream) <= ROOM

    async def _publish_left(self, older_seconds: float) -> int:
        """Publish up to a hundred rows that nobody seems to have in hand; how many. One relay a service looks."""
        async with self.database.transaction(SERVICE) as session:
            if not await session.scalar(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": RELAY_LOCK}):
                return 0
            in_hand = bindparam("in_hand", sorted(self._in_hand), ARRAY(BigInteger))
            before = func.clock_timestamp() - timedelta(seconds=older_seconds)
            waiting = select(OutboxRow.seq, OutboxRow.event_id, OutboxRow.subject, OutboxRow.payload).where(
                OutboxRow.published_at.is_(None),
                # Said in the future: the clock was set back meanwhile, and nobody waits for it to come round.
                or_(OutboxRow.said_at <= before, OutboxRow.said_at > func.clock_timestamp()),
                OutboxRow.seq != all_(in_hand),
            )
            rows = (await session.execute(waiting.order_by(OutboxRow.seq).limit(BATCH))).all()
            if rows:
                await self.bus.publish([(row.subject, row.payload, str(row.event_id)) for row in rows])
                await session.execute(
                    update(OutboxRow)
                    .where(OutboxRow.seq.in_([row.seq for row in rows]))
                    .values(published_at=text("clock_timestamp()"))
                )
            return len(rows)

    async def _mark_for_ever(self) -> None:
        """Note what was published, many rows at a time."""
        while True:
            await self._to_mark.wait()
            await asyncio.sleep(MARK_SECONDS)
            try:
                await self._mark()
            except Exception as error:
                if not is_transient(error):
                    log("error", "published_not_marked", error_type=type(error).__name__)
                await asyncio.sleep(1)

    async def _mark(self) -> None:
        async with self._marking:
            rows = self._published[:]
            self._to_mark.clear()
            if rows:
                try:
                    await (await self._direct.prepared(MARK)).fetch(rows)
                except BaseException:
                    self._to_mark.set()
                    raise
                del self._published[: len(rows)]
                self._in_hand.difference_update(rows)
