"""Hearing events: once each, in the transaction of what they cause, acknowledged only after the commit.

A message that keeps failing goes to ``dead_letters``, where a person looks at it; trouble with the database only waits.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.bus import Bus, BusAway
from shared.kit.database import Database, DeadLetterRow, InboxRow, is_transient
from shared.kit.events import Envelope, Event
from shared.kit.log import log, request_id
from shared.kit.scope import SERVICE

BATCH = 100
MAX_FAILURES = 6
FETCH_SECONDS = 2.0
MORE_SECONDS = 0.2
IDLE_CHECKS = 3


@dataclass(frozen=True)
class Consumer:
    """Which function hears which event."""

    event: type[Event]
    hear: Callable[[AsyncSession, Any], Awaitable[None]]


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


class Inbox:
    """One service's hearing of one speaker's stream."""

    def __init__(self, database: Database, bus: Bus, listener: str, stream: str, consumers: list[Consumer]) -> None:
        self.database, self.bus, self.listener, self.stream = database, bus, listener, stream
        self.consumers = {consumer.event.subject: consumer for consumer in consumers}
        # How often each message failed by itself. The broker's own count also counts what a lost database gave back.
        self._failures: Counter[int] = Counter()

    async def run(self) -> None:
        """Listen for ever; a lost broker, stream or subscription is made anew."""
        while True:
            try:
                subscription = await self.bus.subscribe(self.stream, self.listener, sorted(self.consumers))
                await self._listen(subscription)
            except BusAway as away:
                log("warning", "inbox_waits_for_broker", subject=self.stream, error_type=away.kind)
            except (NatsError, APIError, OSError, TimeoutError) as error:
                log("warning", "inbox_subscribes_again", subject=self.stream, error_type=type(error).__name__)
            except Exception as error:
                if not is_transient(error):
                    log("error", "inbox_failed", subject=self.stream, error_type=type(error).__name__)
            await asyncio.sleep(0.3)

    async def _listen(self, subscription: JetStreamContext.PullSubscription) -> None:
        idle = 0
        while True:
            try:
                messages = await _next(subscription)
                idle = 0
            except TimeoutError:  # nats.errors.TimeoutError is a subclass
                idle += 1
                if idle % IDLE_CHECKS == 0:
                    await subscription.consumer_info()  # raises when the broker forgot the consumer
                continue
            await self.take(messages)

    async def take(self, messages: list[Msg]) -> None:
        """Act on a batch in one transaction, each message on its own savepoint; acknowledge after the commit."""
        failed: list[tuple[Msg, Exception]] = []
        done: list[Msg] = []
        try:
            async with self.database.transaction(SERVICE) as session:
                for message in messages:
                    try:
                        async with session.begin_nested():
                            await hear_once(session, Envelope.from_bytes(message.data), self.consumers)
                        done.append(message)
                    except Exception as error:
                        if is_transient(error):
                            raise
                        failed.append((message, error))
        except Exception as error:
            # Nothing committed: give all back, a little later.
            log(
                "warning", "batch_given_back", subject=self.stream, count=len(messages), error_type=type(error).__name__
            )
            await _quietly(*(message.nak(delay=1) for message in messages))
            return
        for message in done:
            self._failures.pop(message.metadata.sequence.stream, None)
        await _quietly(*(message.ack() for message in done))
        for message, reason in failed:
            await self._failed(message, reason)

    async def _failed(self, message: Msg, error: Exception) -> None:
        sequence = message.metadata.sequence.stream
        self._failures[sequence] += 1
        failures = self._failures[sequence]
        log(
            "warning",
            "event_failed",
            subject=message.subject,
            count=failures,
            error_type=type(error).__name__,
        )
        if failures < MAX_FAILURES:
            await _quietly(message.nak(delay=min(0.2 * 2**failures, 10)))
            return
        await bury(self.database, message.data, message.subject, failures, error)
        del self._failures[sequence]
        await _quietly(message.ack())


async def _next(subscription: JetStreamContext.PullSubscription) -> list[Msg]:
    """The next message as soon as it is there, with those that wait behind it.

    Asked for a hundred at once, the client may sit out its whole time for the ninety-nine that are not there, while
    somebody waits at a window for the one that is.
    """
    messages = await subscription.fetch(1, timeout=FETCH_SECONDS)
    if behind := min(messages[0].metadata.num_pending, BATCH - 1):
        with contextlib.suppress(TimeoutError):
            messages += await subscription.fetch(behind, timeout=MORE_SECONDS)
    return messages


async def _quietly(*acknowledgements: Awaitable[Any]) -> None:
    """An acknowledgement that does not arrive means only that the message comes again, and the inbox knows it."""
    for acknowledgement in acknowledgements:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await acknowledgement
