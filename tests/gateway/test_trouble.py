"""Slow, dying and absent services, and callers that hang up."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from gateway.main import Gateway
from gateway.settings import GatewaySettings
from tests.clients import Issuer, problem
from tests.gateway.houses import Dying, House, answer, eventually, house, serving, whole_body

BILLS = "/treatment/v1/discharges"
BATCH = BILLS + "/batch"
KEY = {"Idempotency-Key": "k-1"}


@asynccontextmanager
async def before(service: Dying, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway before a service without manners, and a hospital's client of it."""
    async with service.up():
        url = f"http://127.0.0.1:{service.port}"
        read = GatewaySettings(contract_url=url, treatment_url=url, safety_net_url=url, token_jwks_url=issuer.url)
        async with serving(Gateway(read)) as server:
            headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False
            ) as client:
                yield client


async def test_a_service_that_is_down_is_tried_again_later(issuer: Issuer) -> None:
    url = "http://127.0.0.1:9"
    settings = GatewaySettings(contract_url=url, treatment_url=url, safety_net_url=url, token_jwks_url=issuer.url)
    headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
    async with serving(Gateway(settings)) as server:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as client:
            for _ in range(2):
                got = await client.post(BILLS, json={}, headers=KEY)
                problem(got, 503, "temporarily_unavailable")
                assert got.headers["retry-after"] == "2"
            problem(await client.post(BATCH, content=b"x" * 1_000_000), 503, "temporarily_unavailable")


async def test_a_service_that_does_not_answer_in_time(issuer: Issuer) -> None:
    async with house(issuer.url, answer_seconds=0.3) as home:

        async def does(_: Scope, receive: Receive, send: Send) -> None:
            await whole_body(receive)
            await asyncio.sleep(0.8)
            await answer(send)

        home.treatment.does = does
        headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
        async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
            for body in (b"{}", b"x" * 200_000):
                got = await client.post(BILLS, content=body, headers=KEY)
                problem(got, 504, "upstream_timeout")
            assert len(home.treatment.asked) == 2, "what may still be at work is not sent again"
            got = await client.post(BATCH, content=b"{}", headers=KEY)
            assert got.status_code == 200, "a batch may take longer"


@pytest.mark.parametrize(
    ("method", "headers", "sent"),
    [
        ("GET", {}, 3),
        ("HEAD", {}, 3),
        ("POST", KEY, 3),
        ("POST", {}, 2),
        ("PUT", {}, 2),
        ("PATCH", {"If-Match": '"1"'}, 2),
        ("DELETE", {}, 2),
        ("PATCH", KEY, 2),
    ],
)
async def test_only_what_may_be_done_twice_is_sent_again_over_a_new_connection(
    issuer: Issuer, method: str, headers: dict[str, str], sent: int
) -> None:
    service = Dying(["answer", "die"], ["answer"])
    async with before(service, issuer) as client:
        assert (await client.get(BILLS)).status_code == 200
        got = await client.request(method, BILLS, headers=headers, content=b"{}" if method[0] == "P" else None)
        assert service.requests == sent
        if sent == 3:
            assert got.status_code == 200
        else:
            problem(got, 503, "temporarily_unavailable")


async def test_it_is_sent_again_once(issuer: Issuer) -> None:
    service = Dying(["answer", "die"], ["die"])
    async with before(service, issuer) as client:
        await client.get(BILLS)
        problem(await client.post(BILLS, content=b"{}", headers=KEY), 503, "temporarily_unavailable")
        assert service.requests == 3


async def test_it_is_sent_again_once_even_if_every_kept_connection_is_dead(issuer: Issuer) -> None:
    service = Dying(["answer", "die"], ["answer", "die"], ["answer"])
    async with before(service, issuer) as client:
        await asyncio.gather(client.get(BILLS), client.get(BILLS))
        assert service.connections == 2
        problem(await client.get(BILLS), 503, "temporarily_unavailable")
        assert service.requests == 4


async def test_a_service_that_does_not_take_connections_did_not_hear_of_it(issuer: Issuer) -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with house(issuer.url, connect_seconds=0.3) as home:
            home.gateway.upstreams["treatment"].connections.origin = url
            headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
            async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
                problem(await client.post(BILLS, json={}), 503, "temporarily_unavailable")


@pytest.mark.parametrize("act", ["die", "half a head", "half a small body", "nonsense"])
async def test_a_service_that_dies_at_work_is_not_asked_again(issuer: Issuer, act: str) -> None:
    """Over a new connection the request did arrive: only the caller, with its key, may send it again."""
    service = Dying([act])
    async with before(service, issuer) as client:
        problem(await client.post(BILLS, content=b"{}", headers=KEY), 503, "temporarily_unavailable")
        assert service.requests == 1


async def test_half_an_answer_over_a_kept_connection_is_not_a_reason_to_ask_again(issuer: Issuer) -> None:
    for act in ("half a head", "half a small body"):
        service = Dying(["answer", act], ["answer"])
        async with before(service, issuer) as client:
            await client.get(BILLS)
            problem(await client.get(BILLS), 503, "temporarily_unavailable")
            assert service.requests == 2


async def test_a_large_answer_that_breaks_off_is_seen_to_be_broken(issuer: Issuer) -> None:
    async with before(Dying(["half a body"]), issuer) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(BILLS)


async def test_a_restarted_service_is_reached_by_the_next_request(issuer: Issuer) -> None:
    first = Dying(["answer"])
    async with before(first, issuer) as client:
        for _ in range(5):
            assert (await client.post(BILLS, content=b"{}", headers=KEY)).status_code == 200
            # The connection the gateway keeps is closed by now: it must have noticed.
            await asyncio.sleep(0.02)


async def test_no_more_requests_than_the_limit_reach_a_service_at_once(issuer: Issuer) -> None:
    async with house(issuer.url, upstream_limit=3) as home:
        at_once = highest = 0
        go_on = asyncio.Event()

        async def does(_: Scope, receive: Receive, send: Send) -> None:
            nonlocal at_once, highest
            at_once += 1
            highest = max(highest, at_once)
            await whole_body(receive)
            await go_on.wait()
            at_once -= 1
            await answer(send)

        home.treatment.does = does
        headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
        async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
            waiting = [asyncio.create_task(client.post(BILLS, json={})) for _ in range(10)]
            assert await eventually(lambda: sum(task.done() for task in waiting) == 7)
            # Another service is not held up by this one.
            assert (await client.get("/contract/v1/institutions")).status_code == 200
            go_on.set()
            answers = await asyncio.gather(*waiting)
            assert sorted(got.status_code for got in answers) == [200] * 3 + [503] * 7
            refused = next(got for got in answers if got.status_code == 503)
            problem(refused, 503, "temporarily_unavailable")
            assert refused.headers["retry-after"]
            assert highest == 3
            assert (await client.get(BILLS)).status_code == 200, "a place that was left is free again"
            assert home.gateway.upstreams["treatment"].under_way == 0


async def test_a_caller_that_hangs_up_inside_its_body_leaves_nothing_half_done(home: House, issuer: Issuer) -> None:
    token = issuer.token("hospital")
    for length, sent in ((1000, 10), (900_000, 300_000)):
        _, writer = await asyncio.open_connection("127.0.0.1", home.port)
        head = f"POST {BILLS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
        writer.write(head.encode() + b"x" * sent)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
    assert await eventually(lambda: home.treatment.broken_off == 1)
    assert len(home.treatment.asked) == 1, "a small body that never came whole is not begun"
    assert home.treatment.asked[0].body == b""
    assert await eventually(lambda: home.gateway.upstreams["treatment"].under_way == 0)


async def test_a_caller_that_hangs_up_while_it_waits(home: House, issuer: Issuer) -> None:
    done = asyncio.Event()

    async def does(_: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await asyncio.sleep(0.2)
        done.set()
        await answer(send, 201, [], b"x" * 100)

    home.treatment.does = does
    headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
    async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(BILLS, json={}, timeout=0.1)
    async with asyncio.timeout(2):
        await done.wait()
    assert await eventually(lambda: home.gateway.upstreams["treatment"].under_way == 0)


async def test_a_caller_that_hangs_up_inside_a_large_answer_stops_it(home: House, issuer: Issuer) -> None:
    stopped = asyncio.Event()

    async def does(_: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(asyncio.CancelledError):
            while not gone.done():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                await asyncio.sleep(0.001)
        stopped.set()

    home.treatment.does = does
    headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
    async with httpx.AsyncClient(base_url=home.url, headers=headers) as client, client.stream("GET", BILLS) as got:
        async for _ in got.aiter_bytes():
            break
    async with asyncio.timeout(3):
        await stopped.wait()
    assert await eventually(lambda: home.gateway.upstreams["treatment"].under_way == 0)


async def test_a_caller_that_pauses_too_long_inside_its_body(issuer: Issuer) -> None:
    async with house(issuer.url, client_seconds=0.2) as home:
        for length, sent in ((1000, 10), (900_000, 300_000)):
            head = (
                f"POST {BILLS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {issuer.token('hospital')}\r\n"
                f"Content-Length: {length}\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
            started = time.monotonic()
            writer.write(head.encode() + b"x" * sent)
            got = await reader.readuntil(b"\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 408 "), got
            assert time.monotonic() - started < 1
            writer.close()


async def test_an_answer_before_the_whole_body_is_passed_on(home: House, issuer: Issuer) -> None:
    async def does(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, 403, [(b"content-type", b"application/problem+json")], b'{"code":"role_not_allowed"}')

    home.treatment.does = does
    headers = {"Authorization": f"Bearer {issuer.token('hospital')}"}
    async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
        for size in (900_000, 15_000_000):
            got = await client.post(BATCH, content=b"x" * size)
            assert (got.status_code, got.json()) == (403, {"code": "role_not_allowed"})
    home.treatment.does = None
    async with httpx.AsyncClient(base_url=home.url, headers=headers) as client:
        assert (await client.post(BILLS, content=b"{}")).status_code == 200
