"""What the gateway itself refuses, and that no service hears of it."""

import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.routes import LIMITS, MIB, is_public
from tests.clients import Issuer, problem
from tests.gateway.houses import House, eventually, house, raw

BILLS = "/treatment/v1/discharges"
BATCH = BILLS + "/batch"


def nobody_heard(home: House) -> bool:
    """Whether nothing reached a service."""
    return not (home.contract.asked or home.treatment.asked or home.safety_net.asked)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "bearer x", "Basic YTpi", "Bearer nonsense", "Bearer a.b.c", "Bearer " + "x" * 9000, "ey.x.y"],
)
async def test_without_a_valid_token_nobody_passes(
    home: House, stranger: httpx.AsyncClient, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in [("GET", BILLS), ("POST", BILLS), ("GET", "/contract/v1/x"), ("PATCH", "/safety-net/v1/y")]:
        got = await stranger.request(method, path, headers=headers)
        problem(got, 401, "unauthenticated")
        assert got.headers["www-authenticate"] == "Bearer"
    assert nobody_heard(home)


async def test_expired_forged_and_foreign_tokens_do_not_pass(
    home: House, stranger: httpx.AsyncClient, issuer: Issuer
) -> None:
    forger = Issuer()
    tokens = [
        issuer.token("hospital", seconds=-1),
        forger.token("hospital"),
        issuer.token("hospital", iss="another"),
        issuer.token("hospital", aud="another"),
    ]
    for token in tokens:
        got = await stranger.get(BILLS, headers={"Authorization": f"Bearer {token}"})
        problem(got, 401, "unauthenticated")
    assert nobody_heard(home)


async def test_a_token_is_asked_for_before_the_body_is_read(home: House) -> None:
    # The body never comes: the answer must not wait for it.
    head = b"POST /treatment/v1/discharges HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    got = await raw(home.port, head)
    assert got.startswith(b"HTTP/1.1 401 ")


async def test_a_client_that_asks_first_is_not_told_to_send(home: House) -> None:
    head = b"POST /treatment/v1/discharges HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    got = await raw(home.port, head)
    assert got.startswith(b"HTTP/1.1 401 ")
    got = await raw(home.port, head.replace(b"1000", b"2000000"))
    assert b"100 Continue" not in got


async def test_without_the_issuers_keys_it_is_our_fault_not_the_callers(issuer: Issuer) -> None:
    async with house("http://127.0.0.1:9/jwks") as home, httpx.AsyncClient(base_url=home.url) as client:
        got = await client.get(BILLS, headers={"Authorization": f"Bearer {issuer.token('hospital')}"})
        problem(got, 503, "temporarily_unavailable")
        assert got.headers["retry-after"]


@pytest.mark.parametrize(
    "path",
    [
        "/safety-net/v1/policies",
        "/safety-net/v1/policies/450223",
        "/safety-net/v1/policies?on=2018-08-11",
        "/.well-known/jwks.json",
    ],
)
async def test_what_is_public_is_read_without_a_token(home: House, stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 200
    assert (await stranger.head(path)).status_code == 200
    assert not nobody_heard(home)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/safety-net/v1/policies"),
        ("DELETE", "/safety-net/v1/policies/450223"),
        ("GET", "/safety-net/v1/policiesx"),
        ("GET", "/safety-net/v1/policie%73"),
        ("GET", "/contract/v1/policies"),
        ("GET", "/oauth/token"),
        ("POST", "/.well-known/jwks.json"),
        ("GET", "/safety-net/v1"),
        ("GET", "/safety-net/v1/"),
    ],
)
async def test_what_only_looks_public_is_not(home: House, stranger: httpx.AsyncClient, method: str, path: str) -> None:
    assert not is_public(method, path)
    assert (await stranger.request(method, path)).status_code in (401, 404)
    assert nobody_heard(home)


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/treatment", "/treatment/", "/treatment/v1", "/treatment/v1/", "/treatment/v2/discharges", "/oauth",
     "/oauth/token/", "/treatmentx/v1/discharges", "/Treatment/v1/discharges", "/readyz/", "/contract/healthz"],
)  # fmt: skip
async def test_what_is_not_here_is_not_found(home: House, client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404, "not_found")
    assert nobody_heard(home)


@pytest.mark.parametrize(
    "path",
    [
        b"/treatment/v1/../../internal", b"/treatment/v1/./x", b"/treatment/v1/x/..", b"/treatment/v1/%2e%2e/x",
        b"/treatment/v1/.%2E/x", b"/treatment/v1/a%2fb", b"/treatment/v1/a%2Fb", b"/treatment/v1/a%5cb",
        b"/treatment/v1//x", b"//treatment/v1/x", b"/treatment/v1/x//", b"/treatment/v1/a\\b", b"/treatment/v1/%00",
        b"/treatment/v1/%0d%0aX:1", b"/treatment/v1/%zz", b"/treatment/v1/%", b"/treatment/v1/%ff",
        b"/treatment/v1/a%2", b"/treatment/v1/<x>", b"/safety-net/v1/policies/../settlements",
        b"/safety-net/v1/policies/%2e%2e/settlements",
    ],
)  # fmt: skip
async def test_nobody_climbs_out_of_a_prefix(home: House, issuer: Issuer, path: bytes) -> None:
    token = issuer.token("hospital").encode()
    request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    got = await raw(home.port, request)
    assert got.startswith(b"HTTP/1.1 400 "), got
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == "malformed_path"
    assert nobody_heard(home)


@pytest.mark.parametrize(
    "path", [b"/treatment/v1/...", b"/treatment/v1/a..b", b"/treatment/v1/%E7%94%B2", b"/treatment/v1/a:b@c"]
)
async def test_honest_paths_pass(home: House, issuer: Issuer, path: bytes) -> None:
    token = issuer.token("hospital").encode()
    await raw(home.port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
    assert home.treatment.asked[0].target.encode() == path


async def test_long_addresses_and_large_heads_are_refused(home: House, client: httpx.AsyncClient) -> None:
    problem(await client.get(BILLS + "/" + "x" * 5000), 414, "uri_too_long")
    problem(await client.get(BILLS + "?a=" + "x" * 5000), 414, "uri_too_long")
    problem(await client.get(BILLS, headers={"X-Large": "x" * 40_000}), 431, "headers_too_large")
    problem(await client.get(BILLS, headers=[(f"X-{n}", "1") for n in range(120)]), 431, "headers_too_large")
    problem(await client.get(BILLS, headers={b"X-Name": b"\xff\xfe"}), 400, "malformed_request")
    assert nobody_heard(home)


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "LINK"])
async def test_strange_methods_are_refused(home: House, client: httpx.AsyncClient, method: str) -> None:
    got = await client.request(method, BILLS)
    problem(got, 405, "method_not_allowed")
    assert "GET" in got.headers["allow"]
    assert nobody_heard(home)


@pytest.mark.parametrize(("path", "limit"), [(BILLS, MIB), ("/oauth/token", MIB), (BATCH, 16 * MIB)])
async def test_a_body_may_be_as_large_as_its_limit_and_no_larger(
    home: House, client: httpx.AsyncClient, path: str, limit: int
) -> None:
    service = home.contract if path == "/oauth/token" else home.treatment
    assert (await client.post(path, content=b"x" * limit)).status_code == 200
    assert len(service.asked[0].body) == limit
    assert service.asked[0].header("content-length") == str(limit)
    assert service.asked[0].header("transfer-encoding") is None
    problem(await client.post(path, content=b"x" * (limit + 1)), 413, "body_too_large")
    assert len(service.asked) == 1, "refused by its announced length, before the service heard of it"


async def test_an_announced_body_is_refused_before_it_comes(home: House, issuer: Issuer) -> None:
    head = f"POST {BILLS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {issuer.token('hospital')}\r\n"
    started = time.monotonic()
    got = await raw(home.port, head.encode() + b"Content-Length: 999999999\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 1
    assert b"connection: close" in got.lower()


async def test_a_body_of_unknown_length_is_refused_when_it_grows_too_large(
    home: House, client: httpx.AsyncClient
) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 1024

    assert (await client.post(BILLS, content=pieces(1024))).status_code == 200
    assert len(home.treatment.asked[0].body) == MIB
    problem(await client.post(BILLS, content=pieces(1025)), 413, "body_too_large")
    assert await eventually(lambda: home.treatment.broken_off == 1), "the service must not take it for the whole"
    assert home.treatment.asked[1].body == b""


async def test_only_what_has_a_larger_limit_is_named(home: House) -> None:
    assert LIMITS.keys() == {BATCH}
    assert home.settings.answer_seconds > 30, "a hospital may wait 30 s for its settlement"


async def test_two_lengths_are_refused(home: House) -> None:
    """Two readings of where a body ends are how one request is smuggled inside another."""
    for lengths in (
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: +2",
        b"Content-Length: 2, 2",
    ):
        got = await raw(
            home.port, b"POST /oauth/token HTTP/1.1\r\nHost: x\r\n" + lengths + b"\r\n\r\n{}", until_closed=True
        )
        assert got.startswith(b"HTTP/1.1 400 "), (lengths, got)
    assert nobody_heard(home)
