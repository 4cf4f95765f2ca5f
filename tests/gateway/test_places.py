"""How many requests of one caller are under way at once: nobody takes the places of the others."""

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from gateway.settings import GatewaySettings
from tests.clients import Issuer, problem
from tests.gateway.houses import House, answer, eventually, house, raw, whole_body

BILLS = "/treatment/v1/discharges"


def waits(go_on: asyncio.Event, home: House) -> None:
    """Let treatment-service and contract-service answer when the test says so."""

    async def does(_: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await go_on.wait()
        await answer(send)

    home.treatment.does = home.contract.does = does


async def test_one_hospital_does_not_take_the_places_of_the_others(issuer: Issuer) -> None:
    async with house(issuer.url, upstream_limit=8, client_limit=3) as home:
        go_on = asyncio.Event()
        waits(go_on, home)
        mine, other = (
            {"Authorization": f"Bearer {issuer.token('hospital', subject=who)}", "Idempotency-Key": "k"}
            for who in ("a", "b")
        )
        async with httpx.AsyncClient(base_url=home.url, timeout=60) as client:
            waiting = [asyncio.create_task(client.post(BILLS, json={}, headers=mine)) for _ in range(8)]
            assert await eventually(lambda: sum(task.done() for task in waiting) == 5, 60)
            for task in waiting:
                if task.done():
                    problem(task.result(), 429, "too_many_at_once")
                    assert task.result().headers["retry-after"] == "2"
            # With another token of the same hospital it is still the same hospital.
            again = {**mine, "Authorization": f"Bearer {issuer.token('hospital', subject='a', jti='2')}"}
            problem(await client.post(BILLS, json={}, headers=again), 429, "too_many_at_once")
            others = [asyncio.create_task(client.post(BILLS, json={}, headers=other)) for _ in range(3)]
            assert await eventually(lambda: len(home.treatment.asked) == 6, 60)
            elsewhere = asyncio.create_task(client.get("/contract/v1/institutions", headers=mine))
            assert await eventually(lambda: len(home.contract.asked) == 1, 60), "each service has places of its own"
            go_on.set()
            assert [(await task).status_code for task in [*others, elsewhere]] == [200] * 4
            assert sorted([(await task).status_code for task in waiting]) == [200] * 3 + [429] * 5
            assert (await client.post(BILLS, json={}, headers=mine)).status_code == 200, "a place left is free again"
        upstream = home.gateway.upstreams["treatment"]
        assert await eventually(lambda: upstream.under_way == 0, 60)
        assert not upstream.of_client, "nothing is kept of who has gone"


async def test_without_a_token_the_places_are_those_of_the_address(issuer: Issuer) -> None:
    async with house(issuer.url, client_limit=2) as home:
        go_on = asyncio.Event()
        waits(go_on, home)
        async with httpx.AsyncClient(base_url=home.url, timeout=60) as client:
            waiting = [asyncio.create_task(client.post("/oauth/token", data={"x": "1"})) for _ in range(3)]
            assert await eventually(lambda: any(task.done() for task in waiting), 60)
            go_on.set()
            assert sorted([(await task).status_code for task in waiting]) == [200, 200, 429]


def test_by_default_one_client_may_take_a_quarter() -> None:
    settings = GatewaySettings(contract_url="x", treatment_url="x", safety_net_url="x")
    assert settings.client_limit * 4 == settings.upstream_limit


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT treatment:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /healthz HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_after_an_upgrade_nothing_more_is_read(home: House, request_: bytes) -> None:
    """Nobody can say where its body ends; what follows must not be taken for another request, nor answered as none."""
    got = await raw(home.port, request_ + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", until_closed=True)
    assert got.count(b"HTTP/1.1 ") == 1
    assert got.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    assert b"connection: close" in got
    assert b"text/plain" not in got


async def test_what_is_no_http_is_refused_as_everything_is(home: House) -> None:
    got = await raw(home.port, b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", until_closed=True)
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n")
    assert httpx.Response(400, content=body).json()["code"] == "malformed_request"
