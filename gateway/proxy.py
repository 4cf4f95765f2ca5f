"""Handing a request on to a service and its answer back."""

import asyncio
from types import SimpleNamespace

import aiohttp
from aiohttp import (
    ClientError,
    ClientOSError,
    ClientResponse,
    ClientTimeout,
    ConnectionTimeoutError,
    ServerDisconnectedError,
)
from yarl import URL

from gateway.body import Upload, let_finish, take_body
from gateway.errors import ServiceAway, TooBusy, UpstreamTimeout
from gateway.exchange import Exchange, passed_back
from gateway.routes import Limits
from gateway.settings import GatewaySettings
from shared.kit.log import log

# Below the services' own patience with an idle connection (5 s), so that we rarely pick one that is being closed.
KEEP_SECONDS = 4.0
SMALL_ANSWER = 64 * 1024
NO_AUTOMATIC = frozenset(("Accept", "Accept-Encoding", "Content-Type", "User-Agent"))
# May be sent twice without harm. A POST may when it bears an Idempotency-Key.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
# The first answer byte has come when the client library has part of an answer to show.
NOTHING_CAME = "Server disconnected"


def open_session() -> aiohttp.ClientSession:
    """The connections to the services. It follows nothing, keeps nothing, unpacks nothing."""
    kept = aiohttp.TraceConfig()
    kept.on_connection_reuseconn.append(_note_kept)
    session = aiohttp.ClientSession(
        # How many connections there are is decided by each `Upstream`.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=NO_AUTOMATIC,
        trace_configs=[kept],
        trust_env=False,
    )
    # The library would send a PUT or DELETE a second time whatever had become of the first; we decide (`_may_repeat`).
    session._retry_connection = False
    return session


async def _note_kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.kept = True


class Attempt:
    """One sending of a request, and whether it went over a connection that had been used before."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept = False


class Upstream:
    """One service, and how many requests to it are under way."""

    def __init__(self, name: str, origin: str, session: aiohttp.ClientSession, settings: GatewaySettings) -> None:
        self.name, self.origin, self.session = name, origin, session
        self._origin = origin.encode()
        self.limit, self.under_way = settings.upstream_limit, 0
        self.client_seconds, self.batch_seconds = settings.client_seconds, settings.batch_seconds
        connect = settings.connect_seconds
        self._ordinary = ClientTimeout(None, sock_connect=connect, sock_read=settings.answer_seconds)
        # A large body may flow for long; a service that does not take it must not hold us for ever.
        self._upload = ClientTimeout(settings.batch_seconds, sock_connect=connect, sock_read=settings.answer_seconds)
        self._batch = ClientTimeout(settings.batch_seconds, sock_connect=connect, sock_read=settings.batch_seconds)

    async def forward(self, exchange: Exchange, limits: Limits) -> None:
        """Ask the service and pass its answer back."""
        body = await take_body(exchange, limits.body, self.client_seconds)
        if self.under_way >= self.limit:
            raise TooBusy
        self.under_way += 1
        try:
            await self._exchange(exchange, body, limits)
        except ConnectionTimeoutError:
            raise self._failure(body, ServiceAway(), "connect_timeout") from None
        except TimeoutError:
            raise self._failure(body, UpstreamTimeout(), "upstream_timeout") from None
        except (ClientError, OSError) as error:
            raise self._failure(body, ServiceAway(), type(error).__name__) from None
        finally:
            self.under_way -= 1

    def _failure(self, body: bytes | Upload | None, problem: Exception, kind: str) -> Exception:
        # Did the service fail us, or did the caller's own body break off?
        if isinstance(body, Upload) and body.refusal is not None:
            return body.refusal
        log("warning", "upstream_failed", code=self.name, error_type=kind)
        return problem

    async def _exchange(self, exchange: Exchange, body: bytes | Upload | None, limits: Limits) -> None:
        answer = await self._ask(exchange, body, limits)
        try:
            content: bytes | None = None
            length = answer.content_length
            if exchange.method == "HEAD":
                content = b""
            elif length is not None and length <= SMALL_ANSWER:
                content = await answer.read()
            # The service may have answered before it had the whole body.
            early = not exchange.body_read
            headers = passed_back(answer.raw_headers, self._origin)
            if early:
                headers.append((b"connection", b"close"))
            await exchange.begin(answer.status, headers)
            if content is None:
                if not await self._stream(exchange, answer, early):
                    return
                content = b""
            await exchange.send({"type": "http.response.body", "body": content, "more_body": early})
        finally:
            # Gives the connection back, or closes it when there is something left on it.
            answer.release()
        if early:
            await answer.wait_for_close()
            await let_finish(exchange)
            await exchange.send({"type": "http.response.body", "body": b""})

    async def _ask(self, exchange: Exchange, body: bytes | Upload | None, limits: Limits) -> ClientResponse:
        url = URL(self.origin + exchange.target, encoded=True)
        # A service knows GET; what HEAD leaves out is left out here.
        method = "GET" if exchange.method == "HEAD" else exchange.method
        timeout = self._batch if limits.batch else self._ordinary
        if isinstance(body, Upload):
            timeout = self._batch if limits.batch else self._upload
            if not exchange.chunked:
                exchange.forward["Content-Length"] = str(exchange.length)
        while True:
            attempt = Attempt()
            try:
                return await self.session.request(
                    method,
                    url,
                    headers=exchange.forward,
                    data=body.chunks() if isinstance(body, Upload) else body,
                    allow_redirects=False,
                    timeout=timeout,
                    trace_request_ctx=attempt,
                )
            except (ClientOSError, ServerDisconnectedError) as error:
                if not _may_repeat(exchange, body, attempt, error):
                    raise
                log("info", "sent_again", code=self.name)

    async def _stream(self, exchange: Exchange, answer: ClientResponse, early: bool) -> bool:
        """Pass on the pieces of an answer as they come; whether all of them came and had somewhere to go."""
        gone = None if early else asyncio.ensure_future(exchange.hung_up())
        try:
            async with asyncio.timeout(self.batch_seconds):
                async for chunk in answer.content.iter_any():
                    if gone is not None and gone.done():
                        return False
                    await exchange.send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (ClientError, OSError) as error:
            # Half an answer is out: ending without its end tells the caller that it is not whole.
            log("warning", "answer_broke_off", code=self.name, error_type=type(error).__name__)
            return False
        finally:
            if gone is not None:
                gone.cancel()
        return True


def _may_repeat(exchange: Exchange, body: bytes | Upload | None, attempt: Attempt, error: Exception) -> bool:
    """Only what came to nothing because a kept connection had been closed, and only if twice is as good as once."""
    if not attempt.kept or exchange.repeated or isinstance(body, Upload):
        return False
    if isinstance(error, ServerDisconnectedError) and error.message != NOTHING_CAME:
        return False
    exchange.repeated = exchange.method in SAFE or (exchange.method == "POST" and exchange.idempotency_key)
    return exchange.repeated
