"""Large bodies flow through, both ways, and are never held as a whole."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.clients import Issuer
from tests.gateway.houses import House, Service, eventually, serving, whole_body

BATCH = "/treatment/v1/discharges/batch"
MIB = 1024 * 1024
LINE = b'{"bill_no":"' + b"x" * 200 + b'"}\n'


async def test_a_batch_is_answered_line_by_line_while_it_is_sent(home: House, issuer: Issuer) -> None:
    """The service begins to read before the caller has finished to send, and the caller to read before it is done."""
    heard = asyncio.Event()

    async def does(_: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        heard.set()
        while message.get("more_body"):
            message = await receive()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x-ndjson")]}
        )
        for number in range(3):
            await send({"type": "http.response.body", "body": b'{"line":%d}\n' % number, "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b""})

    async def lines() -> AsyncIterator[bytes]:
        yield LINE * 400
        async with asyncio.timeout(5):
            await heard.wait()
        yield LINE

    home.treatment.does = does
    headers = {"Authorization": f"Bearer {issuer.token('hospital')}", "Content-Type": "application/x-ndjson"}
    got: list[bytes] = []
    async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
        async with client.stream("POST", BATCH, content=lines()) as answered:
            assert answered.headers["content-type"] == "application/x-ndjson"
            got += [piece async for piece in answered.aiter_raw()]
    assert b"".join(got) == b'{"line":0}\n{"line":1}\n{"line":2}\n'
    assert len(got) > 1, "pieces come as the service writes them"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 5 * MIB])
async def test_answers_of_any_size_arrive_whole(
    home: House, issuer: Issuer, method: str, known: bool, size: int
) -> None:
    async def does(_: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        headers = [(b"content-length", str(size).encode())] if known else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for at in range(0, size, 100_000):
            piece = b"x" * min(100_000, size - at)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    home.treatment.does = does
    headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
    async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
        for _ in range(2):
            got = await client.request(method, BATCH, content=b"{}" if method == "POST" else None)
            assert (got.status_code, got.content) == (200, b"x" * size)
    await eventually(lambda: home.gateway.upstreams["treatment"].under_way == 0)


@asynccontextmanager
async def gateway_process(service: Service, jwks_url: str) -> AsyncIterator[tuple[int, int]]:
    """The gateway as a process of its own, as in the house; its port and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{service.port}"
    named = {f"GATEWAY_{name}_URL": url for name in ("CONTRACT", "TREATMENT", "SAFETY_NET")}
    options = ["--no-access-log", "--no-proxy-headers", "--http", "gateway.protocol:BoundedHttp"]
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "uvicorn", "gateway.main:app", "--port", str(port), *options],
        env={**os.environ, **named, "TOKEN_JWKS_URL": jwks_url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(20):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/healthz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


def highest_memory(pid: int) -> int:
    """The most memory a process has used so far, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


async def test_the_gateway_holds_no_whole_bodies(issuer: Issuer) -> None:
    """Six batches of 15 MiB up and 60 MiB down, with a slow service and slow callers: 450 MiB, in a few MiB."""
    service = Service()
    pieces, size = 240, 256 * 1024
    taken: list[int] = []

    async def does(scope: Scope, receive: Receive, send: Send) -> None:
        more, total = scope["method"] == "POST", 0
        while more:
            message = await receive()
            total += len(message.get("body", b""))
            more = message.get("more_body", False)
            await asyncio.sleep(0)
        taken.append(total)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": b"y" * size, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def up() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b"x" * size
            await asyncio.sleep(0)

    async def one(client: httpx.AsyncClient) -> int:
        received = 0
        async with client.stream("POST", BATCH, content=up()) as got:
            await asyncio.sleep(0.3)
            async for piece in got.aiter_raw():
                received += len(piece)
        return received

    service.does = does
    async with serving(service) as upstream:
        service.port = upstream.port
        async with gateway_process(service, issuer.url) as (port, pid):
            headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                await client.get("/contract/v1/institutions")
                before = highest_memory(pid)
                received = await asyncio.gather(*(one(client) for _ in range(6)))
                grown = highest_memory(pid) - before
    assert received == [pieces * size] * 6
    assert taken[1:] == [60 * size] * 6
    assert grown < 32 * MIB, f"{grown / MIB:.1f} MiB"
