"""Handing a request on to a service and its answer back."""

import asyncio
from urllib.parse import urlsplit

from gateway.body import Upload, let_finish, take_body
from gateway.errors import ServiceAway, TooBusy, TooManyAtOnce, UpstreamTimeout
from gateway.exchange import Exchange, passed_back
from gateway.routes import Limits
from gateway.settings import GatewaySettings
from gateway.upstream import Connection, Connections
from shared.kit.log import log

SMALL_ANSWER = 64 * 1024
# May be sent twice without harm. A POST may when it bears an Idempotency-Key.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class Upstream:
    """One service, and how many requests to it are under way."""

    def __init__(self, name: str, origin: str, settings: GatewaySettings) -> None:
        self.name, self.connections = name, Connections(origin, settings.connect_seconds)
        self._origin, url = origin.encode(), urlsplit(origin)
        self._prefix, self._host = url.path.encode(), b" HTTP/1.1\r\nhost: %b\r\n" % url.netloc.encode()
        self.limit, self.under_way = settings.upstream_limit, 0
        self.client_limit = settings.client_limit
        self.of_client: dict[str, int] = {}
        self.client_seconds, self.answer_seconds = settings.client_seconds, settings.answer_seconds
        self.batch_seconds = settings.batch_seconds

    async def forward(self, exchange: Exchange, limits: Limits) -> None:
        """Ask the service and pass its answer back."""
        body = await take_body(exchange, limits.body, self.client_seconds)
        client = exchange.client
        of_client = self.of_client.get(client, 0)
        if of_client >= self.client_limit:
            raise TooManyAtOnce(headers={"Retry-After": "2"})
        if self.under_way >= self.limit:
            raise TooBusy
        self.under_way += 1
        self.of_client[client] = of_client + 1
        try:
            if limits.batch or isinstance(body, Upload):
                # It may flow for long; a service that does not take it must not hold us for ever.
                async with asyncio.timeout(self.batch_seconds):
                    await self._exchange(exchange, body, self.batch_seconds if limits.batch else self.answer_seconds)
            else:
                await self._exchange(exchange, body, self.answer_seconds)
        except OSError as error:
            log("warning", "upstream_failed", code=self.name, error_type=type(error).__name__)
            raise (UpstreamTimeout if isinstance(error, TimeoutError) else ServiceAway) from None
        finally:
            self.under_way -= 1
            if self.of_client[client] == 1:
                del self.of_client[client]
            else:
                self.of_client[client] -= 1

    async def read(self, path: bytes) -> tuple[int, bytes]:
        """Status and body of one of the service's own pages; for the gateway's own use, beside what callers ask."""
        answer = await self.connections.take()
        await answer.ask(b"GET %b%b%b\r\n" % (self._prefix, path, self._host), b"", self.answer_seconds)
        try:
            pieces = []
            while piece := await answer.piece(self.answer_seconds):
                pieces.append(piece)
            return answer.status, b"".join(pieces)
        finally:
            answer.leave()

    async def _exchange(self, exchange: Exchange, body: bytes | Upload, seconds: float) -> None:
        answer = await self._ask(exchange, body, seconds)
        try:
            content: bytes | None = None
            if answer.whole or (answer.length is not None and answer.length <= SMALL_ANSWER):
                content = await answer.rest(seconds)
            if exchange.method == "HEAD":
                content = b""
            # The service may have answered before it had the whole body.
            early = not exchange.body_read
            headers = passed_back(answer.headers, self._origin)
            if early:
                headers.append((b"connection", b"close"))
            await exchange.begin(answer.status, headers)
            if content is None:
                if not await self._stream(exchange, answer, seconds, early):
                    return
                content = b""
            await exchange.send({"type": "http.response.body", "body": content, "more_body": early})
        finally:
            answer.leave()
        if early:
            await let_finish(exchange)
            await exchange.send({"type": "http.response.body", "body": b""})

    async def _ask(self, exchange: Exchange, body: bytes | Upload, seconds: float) -> Connection:
        # A service knows GET; what HEAD leaves out is left out here.
        method = "GET" if exchange.method == "HEAD" else exchange.method
        head = b"%b %b%b%b%b" % (method.encode(), self._prefix, exchange.target, self._host, exchange.forward)
        if isinstance(body, Upload):
            length = b"transfer-encoding: chunked" if exchange.chunked else b"content-length: %d" % exchange.length
            connection = await self.connections.take()
            await connection.ask(b"%b%b\r\n\r\n" % (head, length), body.chunks(), seconds, chunked=exchange.chunked)
            return connection
        head += b"content-length: %d\r\n\r\n" % len(body) if body or method != "GET" else b"\r\n"
        connection = await self.connections.take()
        try:
            await connection.ask(head, body, seconds)
        except ConnectionError:
            # Again only what came to nothing because a kept connection was being closed, if twice is as good as once.
            if connection.came or not connection.kept or not _may_repeat(exchange):
                raise
            log("info", "sent_again", code=self.name)
            connection = await self.connections.take()
            await connection.ask(head, body, seconds)
        return connection

    async def _stream(self, exchange: Exchange, answer: Connection, seconds: float, early: bool) -> bool:
        """Pass on the pieces of an answer as they come; whether all of them came and had somewhere to go."""
        gone = None if early else asyncio.ensure_future(exchange.hung_up())
        try:
            async with asyncio.timeout(self.batch_seconds):
                while piece := await answer.piece(seconds):
                    if gone is not None and gone.done():
                        return False
                    await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
        except OSError as error:
            # Half an answer is out: ending without its end tells the caller that it is not whole.
            log("warning", "answer_broke_off", code=self.name, error_type=type(error).__name__)
            return False
        finally:
            if gone is not None:
                gone.cancel()
        return True


def _may_repeat(exchange: Exchange) -> bool:
    return exchange.method in SAFE or (exchange.method == "POST" and b"idempotency-key" in exchange.fields)
