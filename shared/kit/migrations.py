"""What each service's Alembic ``env.py`` does, written once."""

import asyncio

from alembic import context
from sqlalchemy import MetaData, pool, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.kit.database import plain_url


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
