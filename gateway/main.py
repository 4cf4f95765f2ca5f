"""One door: who you are, what you may touch, then which service."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from gateway.body import refuse_sender
from gateway.errors import ClientGone, MethodNotAllowed
from gateway.exchange import Exchange
from gateway.limits import RateLimits
from gateway.own import OwnPages
from gateway.proxy import Upstream
from gateway.routes import LIMITS, ORDINARY, checked_path, is_public, service_of
from gateway.settings import GatewaySettings
from shared.kit.log import hush_libraries, log, name_service
from shared.kit.problems import InternalError, Problem
from shared.kit.tokens import TokenVerifier, bearer

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
ALLOW = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
QUIET = frozenset(("/healthz", "/readyz"))


class Gateway:
    """The gateway as a bare ASGI app: it keeps nothing between requests but connections, verified tokens and counts."""

    def __init__(self, settings: GatewaySettings | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.clock = settings, clock
        self.upstreams: dict[str, Upstream] = {}
        self.verifier: TokenVerifier
        self.own: OwnPages
        self.limits: RateLimits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._life(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def open(self) -> None:
        """Read the settings and get ready to ask the services."""
        settings = self.settings or GatewaySettings.load()
        name_service("gateway")
        self.upstreams = {name: Upstream(name, origin, settings) for name, origin in settings.upstreams().items()}
        self.verifier = TokenVerifier(settings.jwks_url(), settings.token_issuer, settings.outside())
        self.limits = RateLimits(settings, self.clock)
        self.own = OwnPages(self.upstreams)

    async def close(self) -> None:
        """Let go of the services."""
        for upstream in self.upstreams.values():
            upstream.connections.close()

    async def _life(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.open()
        except ValidationError as error:
            # The settings' names, never what was given for them.
            missing = ", ".join(_setting(part["loc"]) for part in error.errors())
            await send({"type": "lifespan.startup.failed", "message": f"missing or wrong settings: {missing}"})
            return
        await send({"type": "lifespan.startup.complete"})
        log("info", "started")
        hush_libraries()
        await receive()
        await self.close()
        log("info", "stopped")
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        exchange = Exchange(scope, receive, send)
        try:
            await self._serve(exchange, scope)
        except ClientGone:
            log("info", "client_gone", route=exchange.route)
        except Problem as problem:
            if not exchange.status:
                await refuse_sender(exchange, problem)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log("error", "internal_error", error_type=type(error).__name__)
            if not exchange.status:
                await refuse_sender(exchange, InternalError())
        finally:
            if exchange.route not in QUIET:
                _log_request(exchange, started)

    async def _serve(self, exchange: Exchange, scope: Scope) -> None:
        exchange.read_headers()
        raw, query = scope["raw_path"], scope["query_string"]
        path = exchange.path = checked_path(raw, query)
        exchange.target = b"%b?%b" % (raw, query) if query else raw
        if exchange.method == "OPTIONS":
            # No page of another site may call us from a browser, so there is nothing to allow beyond the methods.
            await exchange.begin(204, [ALLOW])
            await exchange.send({"type": "http.response.body", "body": b""})
            return
        if exchange.method not in METHODS:
            raise MethodNotAllowed(headers={"Allow": ALLOW[1].decode()})
        if path not in QUIET:
            self.limits.by_address(exchange)
        if page := self.own.page(path):
            exchange.route = path
            await page(exchange)
            return
        service = service_of(path)
        exchange.route = f"/{service}/v1"
        if not is_public(exchange.method, path):
            claims: dict[str, Any] = await self.verifier.claims(
                bearer(exchange.fields.get(b"authorization", b"").decode("latin-1"))
            )
            exchange.subject = str(claims["sub"])
            self.limits.by_client(exchange)
        await self.upstreams[service].forward(exchange, LIMITS.get(path, ORDINARY))


def _setting(place: tuple[int | str, ...]) -> str:
    """A setting's name; what lies inside the outside issuer's mapping has none of its own."""
    name = str(place[0]).upper() if place else ""
    return f"GATEWAY_{name}" if name.lower() in GatewaySettings.model_fields else "TOKEN_OUTSIDE_…"


def _log_request(exchange: Exchange, started: float) -> None:
    ms = int((time.perf_counter() - started) * 1000)
    log(
        "info",
        "request",
        method=exchange.method,
        route=exchange.route,
        status=exchange.status,
        ms=ms,
        client=exchange.subject,
    )


app = Gateway()
