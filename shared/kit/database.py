"""One database a service, one transaction a request, and the only place that commits."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, SessionTransaction, mapped_column
from sqlalchemy.orm import Session as SyncSession

from shared.kit.caller import Caller
from shared.kit.scope import NOBODY, SERVICE, SET, Scope

NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
TYPES: dict[Any, Any] = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB, list[Any]: JSONB, bytes: LargeBinary}


def plain_url(url: str) -> str:
    """A database address as asyncpg reads it: without SQLAlchemy's driver name."""
    scheme, _, rest = url.partition("://")
    return f"postgresql://{rest}" if scheme.split("+")[0] in ("postgresql", "postgres") else url


IDLE_SECONDS = 5


def connect_engine(
    url: str, *, pool: int = 8, application: str = "three-batches", idle_seconds: int = IDLE_SECONDS
) -> AsyncEngine:
    """An engine whose connections asyncpg opens itself: several hosts in one address fail over to the writable one.

    What was used last is used next, and PostgreSQL closes what nobody used for ``idle_seconds``: after a busy moment a
    service holds the one or two connections that it works with. The next busy moment opens others.
    """
    dsn = plain_url(url)
    settings = {
        "application_name": application,
        "jit": "off",
        "timezone": "Asia/Shanghai",
        "idle_session_timeout": f"{idle_seconds}s",
    }

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            dsn,
            timeout=10,
            server_settings=settings,
            target_session_attrs="read-write",
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool,
        max_overflow=pool,
        pool_timeout=30,
        pool_pre_ping=True,
        pool_use_lifo=True,
        hide_parameters=True,  # an error's text must not quote a row
    )


class Said(NamedTuple):
    """One committed row of the outbox: its number there, and what is published of it."""

    seq: int
    event_id: UUID
    subject: str
    payload: bytes


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the database or its connection was away, or two transactions collided."""
    if isinstance(error, OSError | TimeoutError | PoolTimeout | InterfaceError | OperationalError):
        return True
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        return _passes(state) or bool(error.connection_invalidated)
    if isinstance(error, asyncpg.PostgresError):
        return _passes(str(error.sqlstate or ""))
    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)


def _passes(state: str) -> bool:
    """Whether PostgreSQL says by this code (SQLSTATE) that it was away, full or in the middle of a collision."""
    return state[:2] in ("08", "53", "57") or state in ("40001", "40P01", "55P03")


class ScopedSession(SyncSession):
    """Tells the database its scope as the first thing in its transaction, which begins with the first statement: who
    waits for a turn before that holds no connection.
    """


@event.listens_for(ScopedSession, "after_begin")
def _work_in_scope(session: SyncSession, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        scope: Scope = session.info["scope"]
        connection.exec_driver_sql(SET, scope.values)


class Database:
    """A service's database.

    ``said`` is called after each commit that put events into the outbox, with its rows in their order; without rows it
    only says that there is something to look for.
    """

    def __init__(
        self, url: str, *, pool: int = 8, application: str = "three-batches", idle_seconds: int = IDLE_SECONDS
    ) -> None:
        self.url, self.application = url, application
        self.engine = connect_engine(url, pool=pool, application=application, idle_seconds=idle_seconds)
        self.said: Callable[[Sequence[Said]], None] = nobody_publishes

    @asynccontextmanager
    async def transaction(self, scope: Scope) -> AsyncIterator[AsyncSession]:
        """Everything inside commits together or not at all; what waits for the commit runs after it.

        It sees, adds and changes only rows within ``scope``, whatever its statements ask for.
        """
        info = {"scope": scope}
        async with AsyncSession(
            self.engine, sync_session_class=ScopedSession, expire_on_commit=False, autoflush=True, info=info
        ) as session:
            try:
                async with session.begin():
                    yield session
            finally:
                for call in session.info.get("at_end", ()):
                    call()
            # What was said under a savepoint that was rolled back is no longer the session's.
            if said := [row for row in session.info.get("said", ()) if row in session]:
                self.said([Said(row.seq, row.event_id, row.subject, row.payload) for row in said])
            for call in session.info.get("after_commit", ()):
                call()

    async def answers(self) -> bool:
        """Whether the database can be asked."""
        async with self.engine.connect() as connection:
            return bool(await connection.scalar(text("select true")))

    async def close(self) -> None:
        """Give the connections back."""
        await self.engine.dispose()


def nobody_publishes(_: Sequence[Said]) -> None:
    """No relay runs in this process: another one's finds the rows by itself."""


@asynccontextmanager
async def as_service(session: AsyncSession) -> AsyncIterator[None]:
    """Look beyond the caller's scope inside his transaction, for what a rule must know of others.

    Nothing read here may be shown: only what follows from it (a name is taken, a stay overlaps). An error that leaves
    the block ends the transaction too: the scope is not put back.
    """
    scope: Scope = session.info["scope"]
    if scope.service:
        yield
        return
    # What waits to be written is the caller's, and is judged as his.
    await session.flush()
    connection = await session.connection()
    session.info["scope"] = replace(scope, service=SERVICE.service)
    await connection.exec_driver_sql(SET, session.info["scope"].values)
    try:
        yield
    finally:
        session.info["scope"] = scope
    await connection.exec_driver_sql(SET, scope.values)


def after_commit(session: AsyncSession, call: Callable[[], None]) -> None:
    """Let something happen only once the transaction stands."""
    session.info.setdefault("after_commit", []).append(call)


def at_end(session: AsyncSession, call: Callable[[], None]) -> None:
    """Let something happen when the transaction is over, however it ended."""
    session.info.setdefault("at_end", []).append(call)


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction, in the scope of who was let in. It ends before the answer is sent, so an answer means
    committed.
    """
    database: Database = request.app.state.database
    caller: Caller | None = getattr(request.state, "caller", None)
    async with database.transaction(NOBODY if caller is None else Scope.of(caller)) as session:
        yield session


async def service_transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction as the service's own work."""
    database: Database = request.app.state.database
    async with database.transaction(SERVICE) as session:
        yield session


# scope="function": with the default scope the commit would come after the answer, and a failed commit would still
# have been answered 201.
Session = Annotated[AsyncSession, Depends(transaction, scope="function")]
ServiceSession = Annotated[AsyncSession, Depends(service_transaction, scope="function")]
"""For routes about the service itself, which belong to no county: dead letters, the seals of the audit trail."""


class MessagingBase(DeclarativeBase):
    """The tables every service has beside its own: what it said and heard, what was asked of it, who did what."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = TYPES


class OutboxRow(MessagingBase):
    """One event said. The payload is exactly the bytes that are published; it is kept 35 days."""

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    subject: Mapped[str] = mapped_column(String(120))
    payload: Mapped[bytes]
    said_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    published_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_outbox_waiting", "seq", postgresql_where=text("published_at is null")),
        Index("ix_outbox_subject_seq", "subject", "seq"),
    )


class InboxRow(MessagingBase):
    """One event heard and acted on: hearing it again changes nothing."""

    __tablename__ = "inbox"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(120))
    heard_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class DeadLetterRow(MessagingBase):
    """An event that kept failing, for a person to look at and replay. It is never dropped."""

    __tablename__ = "dead_letters"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    subject: Mapped[str] = mapped_column(String(120))
    payload: Mapped[bytes]
    deliveries: Mapped[int]
    error_type: Mapped[str] = mapped_column(String(120))
    died_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    replayed_at: Mapped[datetime | None]
    replayed_by: Mapped[str | None] = mapped_column(String(120))


class StreamRow(MessagingBase):
    """The incarnation of a stream we published to: another one means the broker forgot what it had."""

    __tablename__ = "streams"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    created: Mapped[str] = mapped_column(String(60))


class IdempotencyRow(MessagingBase):
    """A creating request that committed: its retry reads the same ids. Kept 30 days."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(String(120))
    path: Mapped[str] = mapped_column(String(300))
    key: Mapped[str] = mapped_column(String(255))
    body_hash: Mapped[bytes]
    status: Mapped[int] = mapped_column(default=0)
    ids: Mapped[dict[str, Any]] = mapped_column(default=dict)
    kept_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (PrimaryKeyConstraint("caller", "path", "key"), Index("ix_idempotency_keys_kept_at", "kept_at"))


class AuditRow(MessagingBase):
    """Who did what to which record, when, why, from where. The service may add rows and read them, nothing else.

    ``seq``, ``at`` and ``xid`` are the database's own words: the service role has no right to give them (`deploy`).
    ``xid`` is the transaction of the deed; by it the sealer knows what can no longer be preceded (`sealer`).
    """

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    county_code: Mapped[str] = mapped_column(Text)
    caller: Mapped[str] = mapped_column(Text)
    roles: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    object_type: Mapped[str] = mapped_column(Text)
    object_id: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    request_id: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    xid: Mapped[int] = mapped_column(BigInteger, server_default=text("(pg_current_xact_id()::text)::bigint"))

    __table_args__ = (
        Index("ix_audit_county_code_seq", "county_code", "seq"),
        Index("ix_audit_object", "object_type", "object_id"),
        Index("ix_audit_xid_seq", "xid", "seq"),
    )


class AuditEpochRow(MessagingBase):
    """One life of this database. A restore begins the next: what was sealed after ``forked_after`` is another's past.

    Rows up to ``floor_seq`` were written in an earlier life, under transaction numbers of that life.
    """

    __tablename__ = "audit_epochs"

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch_id: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    started_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    forked_after: Mapped[int] = mapped_column(BigInteger)
    forked_chain: Mapped[bytes]
    floor_seq: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text)


class AuditSealRow(MessagingBase):
    """One batch of the audit trail, sealed: which rows (``seqs``), the hash of each (32 bytes in a row), their root.

    ``first`` and ``last`` count sealed rows from 1 without a gap, whatever numbers the rows themselves bear.
    """

    __tablename__ = "audit_seals"

    batch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    first: Mapped[int] = mapped_column(BigInteger)
    last: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int]
    first_xid: Mapped[int] = mapped_column(BigInteger)
    last_xid: Mapped[int] = mapped_column(BigInteger)
    seqs: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    leaves: Mapped[bytes]
    root: Mapped[bytes]
    previous: Mapped[bytes]
    chain: Mapped[bytes]
    sealed_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_audit_seals_last_xid", "last_xid"),
        Index("ix_audit_seals_sealed_at_batch", "sealed_at", "batch"),
    )
