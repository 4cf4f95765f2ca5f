"""Hearing events: once each, in the transaction of what they cause, acknowledged only after the commit.

A message that keeps failing goes to ``dead_letters``, where a person looks at it; trouble with the database only waits.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.bus import Bus, BusAway, Pull, unpacked
from shared.kit.database import Database, DeadLetterRow, InboxRow, Said, is_transient
from shared.kit.direct import BY_KEY, Direct
from shared.kit.events import Envelope, Event, Heard, Reader
from shared.kit.log import log, request_id
from shared.kit.scope import SERVICE

BATCH = 100
MAX_FAILURES = 6
SETTINGS = {"app.service": "on", **BY_KEY}
FRESH = (
    "insert into inbox (event_id, subject) select event_id, $2 from unnest($1::uuid[]) as event_id"
    " on conflict do nothing returning event_id"
)
LEFT = "delete from inbox where event_id = any($1)"


@dataclass(frozen=True)
class Done:
    """What became of a batch: what it said, what is to happen once it stands, and which events it left alone."""

    said: Sequence[Said] = ()
    after_commit: Callable[[], None] | None = None
    left: Collection[UUID] = field(default=frozenset())


@dataclass(frozen=True)
class Many:
    """Hears a batch of events of one class in one transaction, all of them new. ``reader`` reads them.

    What it leaves is heard one by one, and so is the whole batch when it fails.
    """

    reader: Reader
    hear: Callable[[Direct, Sequence[Heard]], Awaitable[Done]]


@dataclass(frozen=True)
class Consumer:
    """Which function hears which event; ``many`` hears those that come in numbers."""

    event: type[Event]
    hear: Callable[[AsyncSession, Any], Awaitable[None]]
    many: Many | None = None


async def hear_once(session: AsyncSession, envelope: Envelope, consumers: dict[str, Consumer]) -> bool:
    """Act on an event unless it was heard before; whether it was new."""
    row = {"event_id": envelope.event_id, "subject": envelope.subject}
    fresh = await session.scalar(insert(InboxRow).values(row).on_conflict_do_nothing().returning(InboxRow.event_id))
    if fresh is None:
        return False
    consumer = consumers[envelope.subject]
    token = request_id.set(envelope.request_id)
    try:
        await consumer.hear(session, consumer.event.model_validate(envelope.data))
        await session.flush()
    finally:
        request_id.reset(token)
    return True


async def bury(database: Database, raw: bytes, subject: str, deliveries: int, error: BaseException) -> None:
    """Put a message that keeps failing where a person looks."""
    try:
        event_id = Envelope.from_bytes(raw).event_id
    except (ValueError, KeyError, TypeError):
        # Not even an envelope: its bytes give it an id, so that the same message is buried once.
        event_id = UUID(bytes=sha256(raw).digest()[:16])
    async with database.transaction(SERVICE) as session:
        row = {
            "event_id": event_id,
            "subject": subject,
            "payload": raw,
            "deliveries": deliveries,
            "error_type": type(error).__name__,
        }
        await session.execute(insert(DeadLetterRow).values(row).on_conflict_do_nothing(index_elements=["event_id"]))
    log("error", "dead_letter", subject=subject, event_id=str(event_id), error_type=type(error).__name__)


DONE = True


@dataclass
class Letter:
    """One event of a message, at its place in it, and what became of it: `DONE`, why it failed, or nothing yet."""

    message: Msg
    place: int
    raw: bytes
    outcome: Exception | bool | None = None


class Inbox:
    """One service's hearing of one speaker's stream."""

    def __init__(self, database: Database, bus: Bus, listener: str, stream: str, consumers: list[Consumer]) -> None:
        self.database, self.bus, self.listener, self.stream = database, bus, listener, stream
        self.consumers = {consumer.event.subject: consumer for consumer in consumers}
        # How often each event failed by itself, by its message's number in the stream and its place in it. The broker's
        # own count also counts what a lost database gave back.
        self._failures: Counter[tuple[int, int]] = Counter()
        self._direct = Direct(database.url, application=database.application, settings=SETTINGS)

    async def run(self) -> None:
        """Listen for ever; a lost broker, stream or subscription is made anew."""
        try:
            while True:
                try:
                    pull = await self.bus.subscribe(self.stream, self.listener, sorted(self.consumers))
                    try:
                        await self._listen(pull)
                    finally:
                        await pull.close()
                except BusAway as away:
                    log("warning", "inbox_waits_for_broker", subject=self.stream, error_type=away.kind)
                except (NatsError, APIError, OSError, TimeoutError) as error:
                    log("warning", "inbox_subscribes_again", subject=self.stream, error_type=type(error).__name__)
                except Exception as error:
                    if not is_transient(error):
                        log("error", "inbox_failed", subject=self.stream, error_type=type(error).__name__)
                await asyncio.sleep(0.3)
        finally:
            await self.close()

    async def close(self) -> None:
        """Give up the connection of its own; hearing more opens another."""
        await self._direct.close()

    async def _listen(self, pull: Pull) -> None:
        while True:
            messages = await pull.next(BATCH)
            try:
                await self.take(messages)
            except BaseException:
                # Given back with the rest: whoever listens next need not wait until the broker misses our answer.
                pull.put_back([message for message in messages if not message.is_acked])
                raise

    async def take(self, messages: list[Msg]) -> None:
        """Act on a batch: together what can be heard together, the rest one by one; then answer for each message."""
        letters: list[Letter] = []
        for message in messages:
            letters += [Letter(message, place, raw) for place, raw in enumerate(unpacked(message.data))]
        several = dict[str, list[Letter]]()
        for letter in letters:
            consumer = self.consumers.get(letter.message.subject)
            if consumer is not None and consumer.many is not None:
                several.setdefault(letter.message.subject, []).append(letter)
        for subject, those in several.items():
            await self._take_together(self.consumers[subject], those)
        # In the order in which they came.
        left = [letter for letter in letters if letter.outcome is None]
        if left:
            await self._take_singly(left)
        by_message: dict[int, list[Letter]] = {}
        for letter in letters:
            by_message.setdefault(id(letter.message), []).append(letter)
        for those in by_message.values():
            await self._answer(those)

    async def _take_together(self, consumer: Consumer, letters: Sequence[Letter]) -> None:
        """Act on events of one subject in one transaction; what is not done then is to be taken singly."""
        assert consumer.many is not None
        events: dict[UUID, Heard] = {}
        read = list[tuple[UUID, Letter]]()
        for letter in letters:
            with contextlib.suppress(msgspec.MsgspecError):
                heard = consumer.many.reader.read(letter.raw)
                events[heard.event_id] = heard
                read.append((heard.event_id, letter))
        try:
            done = await self._hear(consumer.many, consumer.event.subject, events)
        except Exception as error:
            kind = type(error).__name__
            log("warning", "batch_taken_singly", subject=self.stream, count=len(letters), error_type=kind)
            return
        if done.said:
            self.database.said(done.said)
        if done.after_commit is not None:
            done.after_commit()
        for event_id, letter in read:
            if event_id not in done.left:
                letter.outcome = DONE

    async def _hear(self, many: Many, subject: str, events: dict[UUID, Heard]) -> Done:
        if not events:
            return Done()
        connection = await self._direct.connection()
        async with connection.transaction():
            # In one order, so that two listeners with the same batch do not wait for each other.
            fresh = await (await self._direct.prepared(FRESH)).fetch(sorted(events), subject)
            new = {row[0] for row in fresh}
            if not new:
                return Done()
            done = await many.hear(self._direct, [heard for heard in events.values() if heard.event_id in new])
            if done.left:
                await (await self._direct.prepared(LEFT)).fetch(list(done.left))
            return done

    async def _take_singly(self, letters: Sequence[Letter]) -> None:
        """Act on events in one transaction, each on its own savepoint."""
        outcomes: list[Exception | bool] = []
        try:
            async with self.database.transaction(SERVICE) as session:
                for letter in letters:
                    try:
                        async with session.begin_nested():
                            await hear_once(session, Envelope.from_bytes(letter.raw), self.consumers)
                        outcomes.append(DONE)
                    except Exception as error:
                        if is_transient(error):
                            raise
                        outcomes.append(error)
        except Exception as error:
            # Nothing committed: they come again, a little later.
            kind = type(error).__name__
            log("warning", "batch_given_back", subject=self.stream, count=len(letters), error_type=kind)
            return
        for letter, outcome in zip(letters, outcomes, strict=True):
            letter.outcome = outcome

    async def _answer(self, letters: Sequence[Letter]) -> None:
        """Acknowledge a message when all its events are done with; else it comes again, and what was heard is known."""
        message, sequence = letters[0].message, 0
        wait = 1.0 if any(letter.outcome is None for letter in letters) else 0.0
        if self._failures or any(isinstance(letter.outcome, Exception) for letter in letters):
            sequence = message.metadata.sequence.stream
        for letter in letters:
            place = (sequence, letter.place)
            if isinstance(letter.outcome, Exception):
                wait = max(wait, await self._failed(place, letter, letter.outcome))
            elif letter.outcome is DONE:
                self._failures.pop(place, None)
        await _quietly(message.nak(delay=wait) if wait else message.ack())

    async def _failed(self, place: tuple[int, int], letter: Letter, error: Exception) -> float:
        """How long to wait before it is tried again; 0 when it is buried."""
        self._failures[place] += 1
        failures = self._failures[place]
        subject = letter.message.subject
        log("warning", "event_failed", subject=subject, count=failures, error_type=type(error).__name__)
        if failures < MAX_FAILURES:
            return float(min(0.2 * 2**failures, 10))
        await bury(self.database, letter.raw, subject, failures, error)
        del self._failures[place]
        return 0.0


async def _quietly(*acknowledgements: Awaitable[Any]) -> None:
    """An acknowledgement that does not arrive means only that the message comes again, and the inbox knows it."""
    for acknowledgement in acknowledgements:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await acknowledgement
