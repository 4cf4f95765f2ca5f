"""Rate limits: for each client and each address, said on every answer, in bounded memory, by a clock of the test's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

import gateway.limits as limits
from gateway.errors import TooManyRequests
from gateway.limits import Buckets
from gateway.settings import GatewaySettings
from shared.kit.tokens import block_of
from tests.clients import Issuer, problem
from tests.gateway.houses import House, house

BILLS = "/treatment/v1/discharges"


class Hands:
    """A clock whose hands the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@asynccontextmanager
async def limited(issuer: Issuer, **settings: Any) -> AsyncIterator[tuple[House, Hands, httpx.AsyncClient]]:
    """A gateway with limits that a test can reach."""
    hands = Hands()
    async with house(issuer.url, clock=hands, **settings) as home:
        async with httpx.AsyncClient(base_url=home.url, timeout=20, trust_env=False) as client:
            yield home, hands, client


def signed(issuer: Issuer, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuer.token('hospital', subject=who)}"}


async def test_a_client_over_its_limit_is_told_when_to_come_again_and_no_service_hears_it(issuer: Issuer) -> None:
    async with limited(issuer, client_rate=1, client_burst=3) as (home, hands, client):
        mine, other = signed(issuer, "a"), signed(issuer, "b")
        for left in (2, 1, 0):
            answer = await client.get(BILLS, headers=mine)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"client";q=3;w=3'
            assert answer.headers["ratelimit"] == f'"client";r={left};t={3 - left}'
        refused = await client.post(BILLS, headers=mine, content=b"{}")
        problem(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"] == '"client";r=0;t=3'
        assert refused.headers["ratelimit-policy"] == '"client";q=3;w=3'
        assert len(home.treatment.asked) == 3
        assert (await client.get(BILLS, headers=other)).status_code == 200, "another client has its own bucket"
        hands.at += 1
        assert (await client.get(BILLS, headers=mine)).status_code == 200
        problem(await client.get(BILLS, headers=mine), 429, "rate_limited")
        hands.at += 100
        assert (await client.get(BILLS, headers=mine)).headers["ratelimit"] == '"client";r=2;t=1'


async def test_an_address_is_counted_before_anything_is_known_of_the_caller(issuer: Issuer) -> None:
    async with limited(issuer, address_rate=1, address_burst=2) as (_, _hands, client):
        for _ in range(2):
            refused = await client.get(BILLS)
            problem(refused, 401, "unauthenticated")
            assert refused.headers["ratelimit-policy"] == '"address";q=2;w=2'
        problem(await client.get(BILLS, headers=signed(issuer, "a")), 429, "rate_limited")
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200, "who looks after the house is never kept out"


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/password", "/oauth/totp", "/oauth/revoke"])
async def test_asking_for_tokens_has_a_tighter_limit_of_its_own(issuer: Issuer, path: str) -> None:
    async with limited(issuer, sign_in_rate=0.1, sign_in_burst=2) as (home, hands, client):
        for _ in range(2):
            answer = await client.post(path, data={"x": "1"})
            assert answer.headers["ratelimit-policy"] == '"sign-in";q=2;w=20'
        refused = await client.post(path, data={"x": "1"})
        problem(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == "10"
        assert len(home.contract.asked) == 2
        assert (await client.get(BILLS, headers=signed(issuer, "a"))).status_code == 200, "bills go on"
        hands.at += 10
        assert (await client.post(path, data={"x": "1"})).status_code == 200


async def test_a_service_cant_speak_of_the_limits_in_our_stead(issuer: Issuer) -> None:
    async with limited(issuer) as (home, _, client):

        async def boast(_scope: Any, _receive: Any, send: Any) -> None:
            headers = [(b"ratelimit", b'"x";r=9'), (b"ratelimit-policy", b'"x";q=9'), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

        home.treatment.does = boast
        answer = await client.get(BILLS, headers=signed(issuer, "a"))
        assert answer.headers.get_list("ratelimit") == ['"client";r=3999;t=1']
        assert answer.headers.get_list("ratelimit-policy") == ['"client";q=4000;w=2']


def test_the_defaults_are_far_above_a_county() -> None:
    """A client may post 1,000 bills a second, second after second."""
    settings = GatewaySettings(contract_url="x", treatment_url="x", safety_net_url="x")
    hands = Hands()
    for name in ("client", "address"):
        rate, burst = getattr(settings, f"{name}_rate"), getattr(settings, f"{name}_burst")
        buckets = Buckets(name, rate, burst, hands)
        for _ in range(60):
            for _ in range(1000):
                buckets.take("one")
            hands.at += 1


def test_a_rate_is_kept_to_the_request() -> None:
    hands = Hands()
    buckets = Buckets("client", 10, 10, hands)
    passed = 0
    for _ in range(3000):
        try:
            buckets.take("one")
            passed += 1
        except TooManyRequests:
            pass
        hands.at += 0.01
    assert passed in (309, 310), "ten at once, then ten a second for thirty seconds"


def test_strangers_without_number_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BUCKETS", 100)
    buckets = Buckets("address", 1, 2, Hands())
    for number in range(10_000):
        buckets.take(f"stranger-{number}")
        if number % 50 == 0:
            try:
                buckets.take("regular")
            except TooManyRequests:
                continue
    assert len(buckets) == 100
    with pytest.raises(TooManyRequests):
        buckets.take("regular")


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_of_the_new_kind_counts_with_its_whole_block(address: str, block: str) -> None:
    assert block_of(address) == block
