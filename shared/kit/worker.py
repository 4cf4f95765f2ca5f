"""The part of a service that hears and says: inside the service by default, or alone as a process (`alone`)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import delete, text

from shared.kit.bus import Bus, BusAway
from shared.kit.database import Database, InboxRow, OutboxRow, is_transient
from shared.kit.events import Event
from shared.kit.idempotency import forget_old_keys
from shared.kit.inbox import Consumer, Inbox
from shared.kit.log import log
from shared.kit.outbox import Relay
from shared.kit.reconciliation import Reconciliation, missing_here, question
from shared.kit.scope import SERVICE
from shared.kit.sealer import SEAL_EVERY_SECONDS, seal_audit

OUTBOX_DAYS = 35
INBOX_DAYS = 70
DAILY = 86400.0


@dataclass(frozen=True)
class Job:
    """Something a service does again and again."""

    every_seconds: float
    do: Callable[[Database], Awaitable[None]]


@dataclass(frozen=True)
class Wiring:
    """A service over events, on one screen: what it says, what it hears, what it does by the clock."""

    service: str
    says: list[type[Event]]
    hears: list[Consumer]
    jobs: list[Job] = field(default_factory=list)


async def forget_old_messages(database: Database) -> None:
    """Drop what was published more than 35 days ago (as long as backups live), and twice that of what was heard."""
    async with database.transaction(SERVICE) as session:
        old = text(f"now() - interval '{OUTBOX_DAYS} days'")
        await session.execute(delete(OutboxRow).where(OutboxRow.published_at < old))
        await session.execute(delete(InboxRow).where(InboxRow.heard_at < text(f"now() - interval '{INBOX_DAYS} days'")))


class Worker:
    """Relay, inboxes, reconciliation and jobs of one service."""

    def __init__(self, database: Database, bus: Bus, wiring: Wiring) -> None:
        self.database, self.bus, self.wiring = database, bus, wiring
        self.relay = Relay(database, bus, wiring.service.upper())
        self.reconciliation = Reconciliation(database, bus, wiring.service, wiring.says, self.relay)
        streams: dict[str, list[Consumer]] = {}
        for consumer in wiring.hears:
            streams.setdefault(consumer.event.stream(), []).append(consumer)
        self.inboxes = [Inbox(database, bus, wiring.service, stream, hears) for stream, hears in streams.items()]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; each part goes on by itself until `stop`."""
        jobs = [
            *self.wiring.jobs,
            Job(SEAL_EVERY_SECONDS, seal_audit),
            Job(DAILY, forget_old_keys),
            Job(DAILY, forget_old_messages),
        ]
        parts = [self._answer(), self.relay.run(), self.reconciliation.run()]
        parts += [inbox.run() for inbox in self.inboxes]
        parts += [self._repeat(job) for job in jobs]
        self._tasks = [asyncio.create_task(part) for part in parts]

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return bool(self._tasks)

    async def stop(self) -> None:
        """End all parts; what was in work is rolled back and comes again."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _answer(self) -> None:
        """Tell speakers what was not heard here. The subscription survives reconnects by itself."""
        while True:
            try:
                await self.bus.answer(question(self.wiring.service), missing_here(self.database))
                return
            except BusAway:
                await asyncio.sleep(0.5)

    async def _repeat(self, job: Job) -> None:
        while True:
            try:
                await job.do(self.database)
            except Exception as error:
                level = "warning" if is_transient(error) else "error"
                log(level, "job_failed", code=job.do.__name__, error_type=type(error).__name__)
            await asyncio.sleep(job.every_seconds)
