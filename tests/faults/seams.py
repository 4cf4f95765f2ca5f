"""Stopping points between the steps of relay and consumer, at seams that belong to the libraries and not to us.

A statement is known by its words, a commit by the statement before it on the same connection. Nothing of the product
knows of these points.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from asyncpg.prepared_stmt import PreparedStatement
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared.kit.bus import Bus

RELAY = ("rows_read", "published", "marking", "marked")
CONSUMER = ("fetched", "begun", "acted", "committed", "acknowledged")
HEARD, MARKED = "insert into inbox", "update outbox"
"""The statement by which an event is taken for new, and the one by which rows are marked as published."""

At = Callable[[str, Any], None]


class Seams:
    """Calls ``at(point, what)`` whenever a worker passes a point; ``what`` is the connection or message in hand."""

    def __init__(self, at: At) -> None:
        self.at = at
        self._hearing: set[int] = set()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch until the end of the block."""
        with pytest.MonkeyPatch.context() as patch:
            self._watch_statements(patch)
            self._watch_commits(patch)
            self._watch_messages(patch)
            yield

    def _watch_statements(self, patch: pytest.MonkeyPatch) -> None:
        fetch, at, hearing = PreparedStatement.fetch, self.at, self._hearing

        async def watched(statement: Any, *arguments: Any, **more: Any) -> Any:
            words, connection = " ".join(statement.get_query().lower().split()), statement._connection
            if HEARD in words:
                at("fetched", connection)
            if MARKED in words:
                at("marking", connection)
            rows = await fetch(statement, *arguments, **more)
            if HEARD in words:
                hearing.add(id(_bare(connection)))
                at("begun", connection)
            if MARKED in words:
                at("marked", connection)
            return rows

        patch.setattr(PreparedStatement, "fetch", watched)

    def _watch_commits(self, patch: pytest.MonkeyPatch) -> None:
        execute, at, hearing = asyncpg.Connection.execute, self.at, self._hearing

        async def watched(connection: Any, query: str, *arguments: Any, **more: Any) -> Any:
            ends = query.upper().startswith("COMMIT") and id(_bare(connection)) in hearing
            if ends:
                hearing.discard(id(_bare(connection)))
                at("acted", connection)
            answer = await execute(connection, query, *arguments, **more)
            if ends:
                at("committed", connection)
            return answer

        patch.setattr(asyncpg.Connection, "execute", watched)

    def _watch_messages(self, patch: pytest.MonkeyPatch) -> None:
        publish, ack, at = Bus.publish, Msg.ack, self.at
        add_consumer = JetStreamContext.add_consumer

        async def publishing(bus: Bus, messages: Any) -> None:
            if messages:
                at("rows_read", bus)
            await publish(bus, messages)
            if messages:
                at("published", bus)

        async def acknowledging(message: Msg) -> None:
            await ack(message)
            at("acknowledged", message)

        async def impatient(context: Any, stream: str, config: Any = None, **more: Any) -> Any:
            # The broker misses an answer after thirty seconds; a test need not sit them out.
            config.ack_wait = 1.0
            return await add_consumer(context, stream, config, **more)

        patch.setattr(Bus, "publish", publishing)
        patch.setattr(Msg, "ack", acknowledging)
        patch.setattr(JetStreamContext, "add_consumer", impatient)


def _bare(connection: Any) -> Any:
    """The connection itself, without the pool's wrapper around it."""
    return getattr(connection, "_con", None) or connection
