"""What each service's Alembic ``env.py`` does, and how a table is put under row-level security, written once.

The second is part of migrations that have run: what changes there is a new name, not another meaning of an old one.
"""

import asyncio

from alembic import context, op
from sqlalchemy import MetaData, pool, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.kit.database import plain_url

# Said in this way because the planner takes `= 'on'` for true of one row in 200, and then reads whole tables for a page
# of 50; "is not null" it takes for true of all, and plans as if there were no policy.
SERVICE_ON = "case current_setting('app.service', true) when 'on' then true end is not null"


def _told(setting: str) -> str:
    """The word of `scope.SETTINGS`; null, which equals nothing, where a transaction has not been told any."""
    return f"nullif(current_setting('app.{setting}', true), '')"


COUNTY, INSTITUTION, TOWNSHIP = _told("county"), _told("institution"), _told("township")
VILLAGE, SUBJECT = _told("village"), _told("subject")


def protect(table: str, *, read: str = "", add: str = "", change: str = "") -> None:
    """Put a table under row-level security: the service's own work may do everything, a caller what is said here.

    Conditions on one row in SQL; what has none is not for callers. Who adds with RETURNING or ON CONFLICT, and who
    changes, must also be let read. ``add`` looks at no other table where one statement fills both: it would not see it.
    """
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"create policy service on {table} using ({SERVICE_ON}) with check ({SERVICE_ON})")
    if read:
        op.execute(f"create policy read on {table} for select using ({read})")
    if add:
        op.execute(f"create policy add on {table} for insert with check ({add})")
    if change:
        op.execute(f"create policy change on {table} for update using ({change}) with check ({change})")


def protect_kit_tables() -> None:
    """The kit's own tables, the same in every service (decision 0018 says which are left open, and why)."""
    by_system = f"caller = 'system' and county_code in ('', {COUNTY}) and {COUNTY} is not null"
    protect(
        "audit",
        # Rows without a county are the system's own. One's own deeds are no secret, and what is added is read back.
        read=f"county_code = {COUNTY} or (county_code = '' and {COUNTY} is not null) or caller = {SUBJECT}",
        # Nobody writes in another's name; who is bound to less than a county bears its code in no setting.
        add=f"(caller = {SUBJECT} and county_code = coalesce({COUNTY}, county_code)) or ({by_system})",
    )
    own = f"caller = {SUBJECT}"
    protect("idempotency_keys", read=own, add=own, change=own)
    protect("dead_letters")


def _migrate(connection: Connection, metadata: list[MetaData]) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        # Two processes that migrate at once take turns; a lock that can't be had quickly gives up instead of queueing.
        context.execute(text("select pg_advisory_xact_lock(7310000)"))
        context.run_migrations()


def run(metadata: list[MetaData]) -> None:
    """Migrate the database named by ``sqlalchemy.url``; the tables of the service and of the kit together."""
    url = context.config.get_main_option("sqlalchemy.url") or ""

    async def go() -> None:
        engine = create_async_engine(
            plain_url(url).replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=pool.NullPool
        )
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, metadata)
        await engine.dispose()

    asyncio.run(go())
