"""A head that never ends, a caller that never speaks, and a gateway without its settings."""

import asyncio
import contextlib
import time
from typing import Any

import pytest

from gateway import protocol
from gateway.main import Gateway
from tests.clients import Issuer
from tests.gateway.houses import House, house, raw


async def test_an_endless_head_is_cut_off(home: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Endless: ")
    await writer.drain()
    sent = 0
    while not reader.at_eof() and sent < 50_000_000:
        writer.write(b"x" * 4096)
        sent += 4096
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        if reader.exception() is not None:
            break
        await asyncio.sleep(0)
    assert sent < 10_000_000
    writer.close()


async def test_a_head_that_is_too_large_is_told_so(home: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: ")
    await asyncio.sleep(0.1)
    writer.write(b"x" * 70_000)
    async with asyncio.timeout(3):
        got = await reader.readuntil(b"}")
    assert got.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in got
    writer.close()


async def test_who_says_nothing_or_not_to_the_end_is_not_waited_for(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    async with house(issuer.url) as home:
        for said in (b"", b"GET /healthz HTTP/1.1\r\nHos"):
            reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
            writer.write(said)
            started = time.monotonic()
            async with asyncio.timeout(3):
                await reader.read()
            assert 0.2 < time.monotonic() - started < 2
            writer.close()


async def test_a_kept_connection_and_requests_in_a_row_are_not_hurried(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with house(issuer.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
        for pause in (0.0, 0.6, 0.6):
            await asyncio.sleep(pause)
            writer.write(request)
            assert (await reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200 ")
        body = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
        writer.write(body + request)
        async with asyncio.timeout(3):
            assert (await reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_without_its_settings_it_says_which_and_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CONTRACT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GATEWAY_UPSTREAM_LIMIT", "none")
    for name in ("GATEWAY_TREATMENT_URL", "GATEWAY_SAFETY_NET_URL"):
        monkeypatch.delenv(name, raising=False)
    said: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        said.append(message)

    await Gateway()({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in said] == ["lifespan.startup.failed"]
    for name in ("GATEWAY_TREATMENT_URL", "GATEWAY_SAFETY_NET_URL", "GATEWAY_UPSTREAM_LIMIT"):
        assert name in said[0]["message"]
    assert "GATEWAY_CONTRACT_URL" not in said[0]["message"]


async def test_settings_may_stand_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from gateway.settings import GatewaySettings

    (tmp_path / "url").write_text("http://127.0.0.1:7/\n")
    monkeypatch.delenv("TOKEN_JWKS_URL", raising=False)  # services that other tests started read it
    monkeypatch.setenv("GATEWAY_CONTRACT_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("GATEWAY_TREATMENT_URL", "http://127.0.0.1:8")
    monkeypatch.setenv("GATEWAY_SAFETY_NET_URL", "http://127.0.0.1:9")
    read = GatewaySettings.load()
    assert read.upstreams()["contract"] == "http://127.0.0.1:7"
    assert read.jwks_url() == "http://127.0.0.1:7/.well-known/jwks.json"
    monkeypatch.setenv("TOKEN_JWKS_URL", "http://127.0.0.1:7/keys")
    assert GatewaySettings.load().jwks_url() == "http://127.0.0.1:7/keys"


async def test_nonsense_is_refused_without_harm(home: House) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        await raw(home.port, nonsense + b"\r\n\r\n", until_closed=True)
    assert (await raw(home.port, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
