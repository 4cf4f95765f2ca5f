"""What the gateway answers itself: is the house well, what can be asked of it, and a plain front page."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.errors import MethodNotAllowed, ServiceAway
from gateway.exchange import Exchange, Headers
from gateway.merge import Document, merge
from gateway.pages import SECURITY_HEADERS, docs_page, front_page
from gateway.proxy import Upstream
from gateway.routes import READING
from shared.kit.log import log
from shared.kit.problems import TemporarilyUnavailable

ASK_SECONDS = 3.0
DOCUMENT_SECONDS = 60.0
NO_STORE = (b"cache-control", b"no-store")
JSON: Headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
HTML: Headers = [(b"content-type", b"text/html; charset=utf-8"), *SECURITY_HEADERS]

Page = Callable[[Exchange], Awaitable[None]]


class OwnPages:
    """The gateway's own paths; anyone may read them."""

    def __init__(self, services: Mapping[str, Upstream]) -> None:
        self.services = services
        self._documents: dict[str, Document] = {}
        self._merged: tuple[float, bytes, bytes] = (0.0, b"", b"")
        self._merging = asyncio.Lock()
        self._pages: dict[str, Page] = {
            "/": self._front,
            "/healthz": self._alive,
            "/readyz": self._ready,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
        }

    def page(self, path: str) -> Page | None:
        """The page at this path, if it is one of ours."""
        return self._pages.get(path)

    async def _front(self, exchange: Exchange) -> None:
        await _show(exchange, [*HTML, NO_STORE], front_page())

    async def _alive(self, exchange: Exchange) -> None:
        await _show(exchange, [*JSON, NO_STORE], b'{"status":"ok"}')

    async def _ready(self, exchange: Exchange) -> None:
        said = await asyncio.gather(*(self._ask_ready(service) for service in self.services.values()))
        services = dict(zip(self.services, said, strict=True))
        away = [name for name, checks in services.items() if checks["status"] not in ("ok", "degraded")]
        # Bills are taken while the broker is away: that is said, and is no reason to send nobody here.
        quiet = [f"{name}: event_channel" for name, checks in services.items() if checks.get("event_channel") is False]
        status = "unavailable" if away else "degraded" if quiet else "ok"
        body = {
            "status": status,
            "not_ready": [*(_what_is_away(name, services[name]) for name in away), *quiet],
            "services": services,
        }
        await _show(exchange, [*JSON, NO_STORE], msgspec.json.encode(body), 503 if away else 200)

    async def _ask_ready(self, service: Upstream) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                _, body = await service.read(b"/readyz")
            said = msgspec.json.decode(body)
        except (OSError, msgspec.DecodeError):
            return {"status": "away"}
        return said if isinstance(said, dict) and isinstance(said.get("status"), str) else {"status": "away"}

    async def _openapi(self, exchange: Exchange) -> None:
        document, _ = await self._described()
        await _show(exchange, [*JSON, (b"cache-control", b"max-age=60")], document)

    async def _docs(self, exchange: Exchange) -> None:
        _, page = await self._described()
        await _show(exchange, [*HTML, (b"cache-control", b"max-age=60")], page)

    async def _described(self) -> tuple[bytes, bytes]:
        """The merged document and its page, at most a minute old."""
        async with self._merging:
            until, document, page = self._merged
            if time.monotonic() < until:
                return document, page
            found = await asyncio.gather(*(self._ask_document(name) for name in self.services))
            if missing := [name for name in self.services if name not in self._documents]:
                raise TemporarilyUnavailable(f"接口说明暂缺（{'、'.join(missing)} 尚未就绪），请稍后重试。")
            merged = merge(self._documents)
            document, page = msgspec.json.encode(merged), docs_page(merged)
            # What a service said before stands for it while it is away, but is not held for long.
            self._merged = (time.monotonic() + (DOCUMENT_SECONDS if all(found) else 2.0), document, page)
            return document, page

    async def _ask_document(self, name: str) -> bool:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                status, body = await self.services[name].read(b"/openapi.json")
            if status != 200:
                raise ServiceAway
            self._documents[name] = msgspec.json.decode(body, type=dict[str, Any])
        except (OSError, ServiceAway, msgspec.MsgspecError) as error:
            log("warning", "document_not_read", code=name, error_type=type(error).__name__)
            return False
        return True


def _what_is_away(name: str, checks: Mapping[str, Any]) -> str:
    return f"{name}: database" if checks.get("database") is False else name


async def _show(exchange: Exchange, headers: Headers, body: bytes, status: int = 200) -> None:
    if exchange.method not in READING:
        raise MethodNotAllowed(headers={"Allow": "GET, HEAD, OPTIONS"})
    await exchange.answer(status, headers, body)
