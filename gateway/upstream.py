"""The gateway's own HTTP/1.1 client: kept connections to one service, one request at a time on each.

`Connections` hands out a `Connection`, kept or new. It takes one request, is then the answer to it, and goes back when
that has been read. Nothing is held as a whole: a slow reader stops the service, a slow service the sender. What goes
wrong is a `TimeoutError`, a `ConnectionError` (or another `OSError`), or what the caller's own body raised.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# Below the services' own patience with an idle connection (5 s), so that we rarely pick one that is being closed.
KEEP_SECONDS = 4.0
HEAD_BYTES = 64 * 1024
# More than this of an answer is not read ahead of who takes it.
AHEAD_BYTES = 64 * 1024


class NotReached(ConnectionError):
    """No connection within the time allowed: the service has not heard of the request."""


class BrokenOff(ConnectionError):
    """The service hung up, or spoke something else than HTTP, before its answer was whole."""


class Connection(asyncio.Protocol):
    """A connection to a service and the answer that is coming over it.

    ``status``, ``headers`` (names in small letters) and ``length`` (None: not said) are the answer's once `ask` has
    returned. ``came``: any byte of it has come; ``whole``: all of it has; ``kept``: used for a request before.
    """

    transport: asyncio.Transport

    def __init__(self, home: "Connections") -> None:
        self.home, self.loop = home, home.loop
        self.parser = HttpResponseParser(self)
        self.kept = False
        self.good_until = 0.0
        self.lost: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._full: asyncio.Future[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._begin()
        # Between two requests there is nothing to be said.
        self.whole = True

    def _begin(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.came = self.whole = self._chunked = self._reusable = False
        self._pieces: list[bytes] = []
        self._ahead = self._head_bytes = 0

    async def ask(
        self, head: bytes, body: bytes | AsyncIterator[bytes], seconds: float, *, chunked: bool = False
    ) -> None:
        """Send a request and wait for the head of its answer; the service may be silent for so many seconds.

        A body that comes in pieces may still be on its way when the head of the answer is there.
        """
        self._begin()
        if isinstance(body, bytes):
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._sending = self.loop.create_task(self._send(body, chunked, seconds))
        try:
            while not self.status:
                await self._hear(seconds)
        except BaseException:
            self.close()
            raise

    async def piece(self, seconds: float) -> bytes:
        """The next part of the answer's body, of any size; empty at its end."""
        while not self._pieces and not self.whole:
            await self._hear(seconds)
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._ahead > AHEAD_BYTES and not self.transport.is_closing():
            self.transport.resume_reading()
        self._ahead = 0
        return piece

    async def rest(self, seconds: float) -> bytes:
        """All of the answer's body; for answers known to be small."""
        while not self.whole:
            await self._hear(seconds)
        return await self.piece(seconds)

    def leave(self) -> None:
        """Done with the answer: the connection is kept for the next request, or closed if anything is left on it."""
        if self.whole and self._reusable and self._sending is None and self.lost is None:
            self.kept = True
            self.home.keep(self)
        else:
            self.close()

    def close(self) -> None:
        """Hang up."""
        self._lose(BrokenOff("closed"))

    async def _hear(self, seconds: float) -> None:
        """Wait until something happens. The service's time runs from when it has all of the request."""
        if self.lost is not None:
            raise self.lost
        self._waiter = self.loop.create_future()
        timer = None if self._sending else self.loop.call_later(seconds, self._lose, TimeoutError())
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    async def _send(self, pieces: AsyncIterator[bytes], chunked: bool, seconds: float) -> None:
        try:
            async for piece in pieces:
                self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._full is not None:
                    async with asyncio.timeout(seconds):
                        await self._full
            if chunked:
                self.transport.write(b"0\r\n\r\n")
        except Exception as error:
            # The service must not take what it has for the whole.
            self._lose(error)
        finally:
            self._sending = None
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self, why: Exception) -> None:
        """Use it no more. Who waits for the rest of an answer is told why; what is whole stays whole."""
        if self.lost is None:
            self.lost = why
            self.home.forget(self)
            self.transport.abort()
            if self._sending is not None:
                self._sending.cancel()
            self.resume_writing()
            self._wake()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The service has taken the connection."""
        self.transport = transport
        self.home.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Some of an answer, or something nobody asked for."""
        self.came = True
        if not self.status:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._lose(BrokenOff("no HTTP"))
            return
        if self.status:
            if self._ahead > AHEAD_BYTES:
                self.transport.pause_reading()
            self._wake()
        elif self._head_bytes > HEAD_BYTES:
            self._lose(BrokenOff("endless head"))

    def eof_received(self) -> None:
        """The end: also of the answer, if nothing else would show where that is."""
        self.whole = self.whole or (self.status > 0 and self.length is None and not self._chunked)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._lose(error or BrokenOff("hung up"))

    def pause_writing(self) -> None:
        """The service is slow to take what we send."""
        self._full = self.loop.create_future()

    def resume_writing(self) -> None:
        """It has taken most of it."""
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        self._full = None

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for. What is raised here, and below, breaks off."""
        if self.whole:
            raise BrokenOff("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer, which nobody reads."""
        if self.status:
            return
        name = name.lower()
        if name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            self._chunked = True
            if value.lower() != b"chunked":
                raise BrokenOff("packed in a way that we did not ask for")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole; one that only says that the real one will follow (1xx) is passed over."""
        status = self.parser.get_status_code()
        if 100 <= status < 200:
            self.headers, self.length = [], None
            return
        # Among the bytes that came there may be some of the body.
        if self._head_bytes > HEAD_BYTES and sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            raise BrokenOff("huge head")
        if not 200 <= status <= 599:
            raise BrokenOff("no status")
        if status in (204, 304):
            # The length of a body that isn't here would be taken for that of one that is.
            self.headers, self.length = [header for header in self.headers if header[0] != b"content-length"], 0
        self.status, self._reusable = status, self.parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._pieces.append(data)
        self._ahead += len(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.whole = self.status > 0


class Connections:
    """The open connections to one service: there are never more than there were requests at once."""

    def __init__(self, origin: str, connect_seconds: float) -> None:
        self.origin, self.connect_seconds = origin, connect_seconds
        self.loop = asyncio.get_running_loop()
        self.open: set[Connection] = set()
        self._idle: deque[Connection] = deque()

    async def take(self) -> Connection:
        """The connection that was used last, else a new one. Raises `NotReached`, or the `OSError` of a refusal."""
        now = self.loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.good_until > now and not connection.transport.is_closing():
                return connection
            connection.close()
        url = urlsplit(self.origin)
        tls = url.scheme == "https"
        host, port = url.hostname or "", url.port or (443 if tls else 80)
        try:
            async with asyncio.timeout(self.connect_seconds):
                _, connection = await self.loop.create_connection(lambda: Connection(self), host, port, ssl=tls or None)
        except TimeoutError:
            raise NotReached from None
        return connection

    def keep(self, connection: Connection) -> None:
        """Have it ready for the next request."""
        connection.good_until = self.loop.time() + KEEP_SECONDS
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """It is gone."""
        self.open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Hang up on all."""
        for connection in list(self.open):
            connection.close()
