"""A gateway on a port of its own, before services that do what a test wants of them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.main import Gateway
from gateway.protocol import BoundedHttp
from gateway.settings import GatewaySettings

Behaviour = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Server(uvicorn.Server):
    """A server inside the test process; signals stay pytest's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    @property
    def port(self) -> int:
        """The port it got."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0, **more: Any) -> AsyncIterator[Server]:
    """An app behind uvicorn, as in the house."""
    options = {"access_log": False, "log_level": "critical", "proxy_headers": False, "timeout_graceful_shutdown": 1}
    server = Server(uvicorn.Config(app, host="127.0.0.1", port=port, **{**options, **more}))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


@dataclass
class Asked:
    """One request as it reached the service."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """A header's value; it may stand there once only."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) <= 1, values
        return values[0] if values else None


async def answer(send: Send, status: int = 200, headers: Headers | None = None, body: bytes = b"{}") -> None:
    """A complete answer with its length."""
    own = headers if headers is not None else [(b"content-type", b"application/json")]
    length = [] if status in (204, 304) else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *length]})
    await send({"type": "http.response.body", "body": body if length else b""})


async def whole_body(receive: Receive) -> bytes:
    """All of a body; raises when it breaks off."""
    collected = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the body broke off")
        collected += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return collected


@dataclass
class Service:
    """A service that remembers what it was asked and does what `does` says."""

    does: Behaviour | None = None
    asked: list[Asked] = field(default_factory=list)
    broken_off: int = 0
    port: int = 0
    document: dict[str, Any] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=lambda: {"status": "ok", "event_channel": True, "database": True})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI app."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        target = scope["raw_path"].decode() + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        if target == "/readyz":
            status = 200 if self.ready["status"] != "unavailable" else 503
            await answer(send, status, body=httpx.Response(200, json=self.ready).content)
        elif target == "/openapi.json":
            await answer(send, 200, body=httpx.Response(200, json=self.document).content)
        else:
            headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
            this = Asked(scope["method"], target, headers)
            self.asked.append(this)
            await self._do(this, scope, receive, send)

    async def _do(self, this: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        if self.does is not None:
            await self.does(scope, receive, send)
            return
        try:
            this.body = await whole_body(receive)
        except ConnectionError:
            self.broken_off += 1
            return
        await answer(send)


@dataclass
class House:
    """A gateway and its three services."""

    contract: Service
    treatment: Service
    safety_net: Service
    url: str
    gateway: Gateway
    settings: GatewaySettings

    @property
    def port(self) -> int:
        """The gateway's port."""
        return int(self.url.rsplit(":", 1)[1])


@asynccontextmanager
async def house(jwks_url: str, clock: Callable[[], float] = time.monotonic, **settings: Any) -> AsyncIterator[House]:
    """Three services and the gateway, all on ports of their own."""
    services = [Service(), Service(), Service()]
    async with contextlib.AsyncExitStack() as stack:
        for service in services:
            service.port = (await stack.enter_async_context(serving(service))).port
        urls = [f"http://127.0.0.1:{service.port}" for service in services]
        read = GatewaySettings(
            contract_url=urls[0], treatment_url=urls[1], safety_net_url=urls[2], token_jwks_url=jwks_url, **settings
        )
        gateway = Gateway(read, clock)
        port = (await stack.enter_async_context(serving(gateway, http=BoundedHttp))).port
        yield House(
            services[0], services[1], services[2], url=f"http://127.0.0.1:{port}", gateway=gateway, settings=read
        )


async def raw(port: int, request: bytes, *, until_closed: bool = False) -> bytes:
    """What comes back for these very bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            if until_closed:
                return await reader.read()
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")
    finally:
        writer.close()


class Dying:
    """A service without manners: for each connection a list of what it does with one request after another."""

    def __init__(self, *scripts: list[str]) -> None:
        self.scripts, self.requests, self.connections = list(scripts), 0, 0
        self.port = 0

    @asynccontextmanager
    async def up(self, port: int = 0) -> AsyncIterator["Dying"]:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for act in script:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
                self.requests += 1
                if act == "die":
                    break
                if act == "half a head":
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
                elif act == "half a body":
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 100_000)
                elif act == "half a small body":
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n" + b"x" * 10)
                elif act == "nonsense":
                    writer.write(b"this is no HTTP\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()


async def eventually(true: Callable[[], bool], seconds: float = 3.0) -> bool:
    """Whether this becomes true in time."""
    for _ in range(int(seconds * 100)):
        if true():
            return True
        await asyncio.sleep(0.01)
    return False
