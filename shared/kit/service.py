"""How a service is put together: settings, database, event channel, routers, problems, log lines, in that order."""

import asyncio
import ctypes
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kit.bus import Bus
from shared.kit.cursors import known_parameters_only
from shared.kit.database import Database
from shared.kit.log import REQUEST_ID, hush_libraries, log, name_service, request_id
from shared.kit.operations import health, operations
from shared.kit.refusals import on_anything, speak_problems
from shared.kit.sealing import Keyring
from shared.kit.settings import ServiceSettings
from shared.kit.tokens import TokenVerifier
from shared.kit.trail import trail
from shared.kit.worker import Wiring, Worker

GIVE_BACK_SECONDS = 5.0
# Linux's usual C library has it; where there is none, nothing is given back.
_TRIM: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)


async def give_memory_back(every_seconds: float = GIVE_BACK_SECONDS) -> None:
    """Give freed memory back to the machine, for ever: a batch of 5,000 bills leaves 40 MB of holes, which the C
    library would keep.
    """
    while True:
        await asyncio.sleep(every_seconds)
        _TRIM(0)


class Trace:
    """Gives each request an id, echoes it, and writes one log line about it: no query, no body, no path values."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        this = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        token, started, status = request_id.set(this), time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", this.encode())]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            # Answered here and nowhere else: the answer would lack the request id, and the server would write a
            # traceback with row values into its log.
            if status:
                raise
            await (await on_anything(Request(scope), error))(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "") or ""
            if route not in ("/healthz", "/readyz"):
                ms = int((time.perf_counter() - started) * 1000)
                log("info", "request", method=scope["method"], route=route, status=status, ms=ms)
            request_id.reset(token)


class Service(FastAPI):
    """A FastAPI app with an entrance of its own: `Trace`, then a door that may answer before the layers of a screen."""

    entrance: ASGIApp

    def open(self, door: Callable[[ASGIApp], ASGIApp] | None) -> None:
        """Put the door, if there is one, before the routes, and `Trace` before the door."""
        self.entrance = Trace(door(super().__call__) if door is not None else super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the app."""
        if scope["type"] == "http":
            scope["app"] = self
            await self.entrance(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The layers without the outermost, which would answer what goes wrong before `Trace` does."""
        outermost = super().build_middleware_stack()
        assert isinstance(outermost, ServerErrorMiddleware)
        return outermost.app


def create_service(
    *,
    name: str,
    title: str,
    description: str,
    settings: type[ServiceSettings],
    routers: list[APIRouter],
    wiring: Callable[[FastAPI], Wiring],
    at_start: Callable[[FastAPI], Any] | None = None,
    beside: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    door: Callable[[ASGIApp], ASGIApp] | None = None,
) -> Service:
    """One service: its HTTP routes in the order money moves, and its events (`worker.Wiring`).

    ``beside`` runs as long as the service does; ``door`` stands before the routes and may answer in their place.

    Settings are read when the service starts, not when it is imported. ``app.state`` holds settings, database, bus,
    keyring, verifier and worker for the endpoints.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        name_service(name)
        state, read = app.state, settings.load()
        state.settings = read
        state.keyring = Keyring(read.data_keys, read.data_keys_file)
        state.verifier = TokenVerifier(read.token_jwks_url, read.token_issuer, read.outside())
        state.database = Database(read.database_url, pool=read.database_pool, application=name)
        state.bus = Bus(read.nats_url, name=name, replicas=read.nats_stream_replicas)
        state.worker = Worker(state.database, state.bus, wiring(app))
        if at_start is not None:
            await at_start(app)
        if read.run_worker:
            state.worker.start()
        # What was made for the start stays: the collector of cycles need not look through it again and again.
        gc.collect()
        gc.freeze()
        log("info", "started")
        hush_libraries()
        giving = asyncio.create_task(give_memory_back())
        try:
            async with beside(app) if beside is not None else nullcontext():
                yield
        finally:
            giving.cancel()
            await state.worker.stop()
            await state.bus.close()
            await state.database.close()
            log("info", "stopped")

    app = Service(
        title=title,
        description=description,
        version="1",
        lifespan=life,
        dependencies=[Depends(known_parameters_only)],
        docs_url=None,
        redoc_url=None,
        # A path with a slash too many is no path of ours: it is refused as any other, before anybody reads it.
        redirect_slashes=False,
    )
    prefix = f"/{name.replace('_', '-')}/v1"
    for router in [*routers, operations(prefix, "operations"), trail(prefix, name.replace("_", "-")), health]:
        app.include_router(router)
    speak_problems(app)
    app.open(door)
    return app
