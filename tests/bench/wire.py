"""Requests as bytes over kept connections: as little work as can be, for the load shares the cores with the loaded.

One request is under way on a connection at a time. Of an answer only status and body are told apart.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

LOST = 0
PATIENCE_SECONDS = 60.0
Answered = Callable[["Connection", int, bytes], None]


class Connection(asyncio.Protocol):
    """One kept connection; ``told`` is called with status and body of each answer, or with `LOST`."""

    def __init__(self, told: Answered) -> None:
        self.told = told
        self.transport: asyncio.Transport
        self.busy = False
        self.closed = False
        self.sent_at = 0.0
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0
        self._body_at = 0
        self._chunked = False

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self.busy, self.sent_at = True, time.perf_counter()
        self.transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the loop; an answer under way is lost."""
        self.closed = True
        if self.busy:
            self.busy = False
            self.told(self, LOST, b"")

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._parts.append(data)
        self._have += len(data)
        if not self._body_at and not self._read_head():
            return
        if self._chunked:
            if not self._tail().endswith(b"\r\n0\r\n\r\n"):
                return
        elif self._have < self._need:
            return
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        body = _joined_chunks(whole, self._body_at) if self._chunked else whole[self._body_at :]
        self._parts, self._have, self._body_at, self._chunked, self.busy = [], 0, 0, False, False
        self.told(self, int(whole[9:12]), body)

    def _read_head(self) -> bool:
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        data = self._parts[0]
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._body_at = end + 4
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            stop = head.find(b"\r\n", at + 2)
            self._need = self._body_at + int(head[at + 17 : stop if stop >= 0 else end])
        elif b"\r\ntransfer-encoding: chunked" in head:
            self._chunked = True
        else:
            self._need = self._body_at
        return True

    def _tail(self) -> bytes:
        # The seven bytes looked for may themselves have come in pieces.
        return b"".join(self._parts[-7:])[-7:]


def _joined_chunks(whole: bytes, at: int) -> bytes:
    found: list[bytes] = []
    while True:
        end = whole.index(b"\r\n", at)
        size = int(whole[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(found)
        found.append(whole[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


async def connect(host: str, port: int, told: Answered) -> Connection:
    """Open one connection."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(told), host, port)
    return connection


class Client:
    """One connection for one request after another, each awaited."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.seconds = 0.0
        self._connection: Connection | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, request: bytes, seconds: float = 120.0) -> tuple[int, bytes]:
        """Status and body; `LOST` without an answer. ``self.seconds``: from sending to the last byte."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self.host, self.port, self._told)
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(request)
        try:
            async with asyncio.timeout(seconds):
                return await self._answer
        except TimeoutError:
            self.close()
            self.seconds = math.inf
            return LOST, b""

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.busy = False
            self._connection.transport.close()
            self._connection = None

    def _told(self, connection: Connection, status: int, body: bytes) -> None:
        self.seconds = time.perf_counter() - connection.sent_at
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))


@dataclass
class Load:
    """What a load came to. ``statuses`` counts every answer by its status.

    ``latencies`` are the seconds of answered requests, without end for refused and unsettled ones.
    ``seconds`` is from the first request to the last answer, ``cpu_seconds`` what this process itself took meanwhile,
    ``unsettled`` how many answers lacked what was looked for in them.
    """

    began_at: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unsettled: int = 0

    @property
    def answered(self) -> int:
        """How many answers came."""
        return sum(self.statuses.values()) - self.statuses[LOST]

    def strange(self, wanted: int) -> str:
        """Every answer of another status than wanted; empty when there is none."""
        odd = {status: count for status, count in sorted(self.statuses.items()) if status != wanted and count}
        return ", ".join(f"{count} × {status or 'no answer'}" for status, count in odd.items())


class _Loading:
    def __init__(self, needle: bytes) -> None:
        self.needle, self.load = needle, Load()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cpu = time.process_time()
        self.load.began_at = time.time()
        self.began = time.perf_counter()

    def note(self, status: int, body: bytes, latency: float) -> None:
        self.load.statuses[status] += 1
        if status:
            lacking = status < 400 and self.needle not in body
            self.load.unsettled += lacking
            # Who was refused, or got less than he waited for, has not been served however soon he was told.
            self.load.latencies.append(math.inf if lacking or status >= 400 else latency)

    async def ended(self, seconds: float) -> None:
        """Wait for the last answer; what has not come after so long never will, and is lost."""
        await asyncio.wait({self.done}, timeout=seconds)
        if not self.done.done():
            self.finish()
            self.load.statuses[LOST] += self.load.sent - sum(self.load.statuses.values())

    def finish(self) -> None:
        self.load.seconds = time.perf_counter() - self.began
        self.load.cpu_seconds = time.process_time() - self._cpu
        if not self.done.done():
            self.done.set_result(None)


async def closed_loop(
    host: str, port: int, connections: int, seconds: float, request: Callable[[], bytes], needle: bytes = b""
) -> Load:
    """Each connection sends its next request when its last was answered, for so many seconds.

    A lost connection is counted and not made anew. ``needle`` is looked for in each answer's body.
    """
    kept = [await connect(host, port, lambda *_: None) for _ in range(connections)]
    loading = _Loading(needle)
    load, until, running = loading.load, loading.began + seconds, connections

    def told(connection: Connection, status: int, body: bytes) -> None:
        nonlocal running
        now = time.perf_counter()
        loading.note(status, body, now - connection.sent_at)
        if status and now < until and not connection.closed:
            load.sent += 1
            connection.send(request())
            return
        running -= 1
        if not running:
            loading.finish()

    for connection in kept:
        connection.told = told
        load.sent += 1
        connection.send(request())
    await loading.ended(seconds + PATIENCE_SECONDS)
    for connection in kept:
        connection.transport.close()
    return load


# An idle connection is given up before the server does so, which might be just as we write on it.
IDLE_SECONDS = 2.0


async def open_loop(
    host: str, port: int, rate: float, seconds: float, request: Callable[[], bytes], needle: bytes = b""
) -> Load:
    """So many requests a second at even distances, answered or not; latency counts from when each was due.

    Connections are taken from a pool that grows when all are busy, as hospitals do not wait for each other.
    """
    idle: list[Connection] = []
    loading = _Loading(needle)
    load, due, ended = loading.load, dict[Connection, float](), False

    def told(connection: Connection, status: int, body: bytes) -> None:
        loading.note(status, body, time.perf_counter() - due.pop(connection))
        connection.sent_at = time.perf_counter()
        if not connection.closed:
            idle.append(connection)
        if ended and not due:
            loading.finish()

    async def fresh() -> Connection:
        while idle:
            connection = idle.pop()
            if not connection.closed and time.perf_counter() - connection.sent_at < IDLE_SECONDS:
                return connection
            connection.transport.close()
        return await connect(host, port, told)

    for number in range(round(rate * seconds)):
        at = loading.began + number / rate
        if (pause := at - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        connection = await fresh()
        due[connection] = at
        load.sent += 1
        connection.send(request())
    ended = True
    if not due:
        loading.finish()
    await loading.ended(PATIENCE_SECONDS)
    for connection in idle:
        connection.transport.close()
    return load
