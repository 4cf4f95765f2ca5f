"""A connection of its own for the path that money takes: no pool, no session, statements prepared once.

Screens use the pool (`database`). Here a statement costs what PostgreSQL and the wire cost (`docs/benchmarks.md`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from shared.kit.database import plain_url

BY_KEY = {
    # For what looks everything up by its key. Planning each time would cost more than the work, and a plan made while a
    # table was empty would read it whole for as long as nobody has counted its rows.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}


def arrays(kinds: Iterable[str], first: int = 1) -> str:
    """The parameters of a statement that is given many rows at once: an array a column, counted from ``$first``."""
    return ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, first))


class Direct:
    """One connection, opened at first use and made anew after it was lost. One task at a time may use it.

    ``settings`` are PostgreSQL settings that hold for all it does.
    """

    def __init__(
        self, url: str, *, application: str = "three-batches", settings: Mapping[str, str] | None = None
    ) -> None:
        self._dsn = plain_url(url)
        self._settings = {
            "application_name": application,
            "jit": "off",
            "timezone": "Asia/Shanghai",
            **(settings or {}),
        }
        self._connection: asyncpg.Connection | None = None
        self._prepared: dict[str, PreparedStatement[Any]] = {}
        self._opening = asyncio.Lock()

    @property
    def lost(self) -> bool:
        """Whether there is no open connection at this moment."""
        return self._connection is None or self._connection.is_closed()

    async def connection(self) -> asyncpg.Connection:
        """The open connection. Raises what asyncpg raises when there is none to be had (`is_transient`)."""
        async with self._opening:
            if self._connection is None or self._connection.is_closed():
                self._prepared.clear()
                self._connection = await asyncpg.connect(
                    self._dsn,
                    timeout=10,
                    server_settings=self._settings,
                    target_session_attrs="read-write",
                )
                for name in ("json", "jsonb"):
                    await self._connection.set_type_codec(
                        name, schema="pg_catalog", format="binary", encoder=_ENCODERS[name], decoder=_DECODERS[name]
                    )
            return self._connection

    async def prepared(self, statement: str) -> "PreparedStatement[Any]":
        """The statement, prepared once a connection."""
        connection = await self.connection()
        if statement not in self._prepared:
            self._prepared[statement] = await connection.prepare(statement)
        return self._prepared[statement]

    async def close(self) -> None:
        """Give the connection up; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()


# JSON goes in as the bytes that were written, and is only parsed when it comes out.
_ENCODERS = {"json": bytes, "jsonb": b"\x01".__add__}
_DECODERS = {"json": msgspec.json.decode, "jsonb": lambda raw: msgspec.json.decode(raw[1:])}
