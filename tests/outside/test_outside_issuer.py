"""An outside OIDC issuer by settings: a real one, in a process of its own; gateway and service take its tokens."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from deploy.state import free_port
from shared.kit import caller, tokens
from shared.kit.outside import ClaimMapping, OutsideIssuer, outside_issuer
from shared.kit.problems import TemporarilyUnavailable
from tests.clients import Client, Issuer, client_of, problem
from tests.conftest import Starter
from tests.gateway.houses import House, house
from treatment_service.main import app as treatment

BILLS = "/treatment/v1/discharges"
MAPPING = {
    "subject": "preferred_username",
    "roles": {
        "claim": "realm_access.roles",
        "map": {"县医院结算": ["hospital"], "人社局": ["hrss"], "兜底办": ["safety_net_office"]},
    },
    "county_code": {"value": "450223"},
    "institution_code": {"claim": "org", "map": {"yy-01": "H45022300001"}},
    "department": {"claim": "dept"},
}
AUDIENCE = "three-batches-county"


class Provider:
    """The outside issuer's process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def token(self, *groups: str, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of somebody in these groups."""
        said = {"preferred_username": "zhang.san", "org": "yy-01", "realm_access": {"roles": list(groups)}, **claims}
        answer = httpx.post(f"{self.url}/token", json={"claims": said, "head": head or {}}, trust_env=False)
        return str(answer.json()["access_token"])

    def rotate(self) -> None:
        """Let it sign with a new key."""
        httpx.post(f"{self.url}/rotate", trust_env=False).raise_for_status()

    def settings(self, **more: str) -> dict[str, str]:
        """What an operator writes into the environment."""
        known = {"issuer": self.url, "audience": AUDIENCE, "claims": json.dumps(MAPPING, ensure_ascii=False)}
        return {f"TOKEN_OUTSIDE_{name.upper()}": value for name, value in {**known, **more}.items()}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.outside.provider:app", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "critical"])
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{url}/keys", trust_env=False).raise_for_status()
            break
        except httpx.HTTPError:
            assert time.monotonic() < until, "the provider did not start"
            time.sleep(0.05)
    yield Provider(url)
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
async def service(starter: Starter, provider: Provider) -> AsyncIterator[FastAPI]:
    """treatment-service with an outside issuer in its settings."""
    urls = await starter.database("treatment")
    async with starter.running(treatment, "treatment", urls, **provider.settings()) as running:
        yield running


@pytest.fixture(scope="module")
async def home(issuer: Issuer, provider: Provider) -> AsyncIterator[House]:
    """A gateway with the same settings."""
    settings: dict[str, Any] = {name.lower(): value for name, value in provider.settings().items()}
    async with house(issuer.url, **settings) as made:
        yield made


async def at_the_gateway(home: House, token: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=home.url, trust_env=False) as client:
        return await client.get(BILLS, headers={"Authorization": f"Bearer {token}"})


def at_the_service(service: FastAPI, token: str) -> Client:
    return client_of(service, token)


async def test_its_tokens_open_what_the_mapping_says(service: FastAPI, home: House, provider: Provider) -> None:
    token = provider.token("县医院结算", "everybody")
    assert (await at_the_gateway(home, token)).status_code == 200
    async with at_the_service(service, token) as client:
        assert (await client.get(BILLS)).status_code == 200
        problem(await client.get("/treatment/v1/audit"), 403, "role_not_allowed")
    claims = await service.state.verifier.claims(token)
    assert caller.caller_of(claims) == caller.Caller(
        "outside:zhang.san", frozenset({"hospital"}), "450223", institution_code="H45022300001"
    )


async def test_our_own_tokens_are_good_beside_them(service: FastAPI, home: House, issuer: Issuer) -> None:
    token = issuer.token("hospital", institution_code="H45022300001")
    assert (await at_the_gateway(home, token)).status_code == 200
    async with at_the_service(service, token) as client:
        assert (await client.get(BILLS)).status_code == 200


@pytest.mark.parametrize("groups", [[], ["everybody"], ["hospital"], ["administrator"]])
async def test_a_group_that_is_not_mapped_is_no_role(service: FastAPI, provider: Provider, groups: list[str]) -> None:
    async with at_the_service(service, provider.token(*groups)) as client:
        problem(await client.get(BILLS), 403, "role_not_allowed")


async def test_claims_of_ours_in_its_tokens_mean_nothing(service: FastAPI, provider: Provider) -> None:
    token = provider.token("人社局", roles=["administrator"], county_code="150824", sub="chief", org="elsewhere")
    found = caller.caller_of(await service.state.verifier.claims(token))
    assert found == caller.Caller("outside:zhang.san", frozenset({"hrss"}), "450223")


BAD: dict[str, dict[str, Any]] = {
    "another_audience": {"aud": "another"},
    "no_audience": {"aud": None},
    "over": {"exp": 1_000_000_000},
    "no_end": {"exp": None},
    "our_own_name_as_issuer": {"iss": "three-batches"},
    "another_issuer": {"iss": "https://elsewhere"},
    "nobody": {"preferred_username": None},
    "a_list_as_name": {"preferred_username": ["a"]},
}


@pytest.mark.parametrize("case", BAD)
async def test_what_does_not_hold_is_refused_at_both_doors(
    service: FastAPI, home: House, provider: Provider, case: str
) -> None:
    token = provider.token("人社局", **BAD[case])
    problem(await at_the_gateway(home, token), 401, "unauthenticated")
    async with at_the_service(service, token) as client:
        problem(await client.get(BILLS), 401, "unauthenticated")


async def test_neither_issuer_may_speak_for_the_other(service: FastAPI, provider: Provider, issuer: Issuer) -> None:
    ours_as_theirs = issuer.token("hospital", iss=provider.url, aud=AUDIENCE, preferred_username="x")
    theirs_with_our_key = provider.token("人社局", head={"kid": "test"})
    wrong_kind = provider.token("人社局", head={"alg": "HS256"})
    unsigned = jwt.encode({"iss": provider.url, "aud": AUDIENCE, "exp": 2**33, "iat": 1}, "", algorithm="none")
    for token in (ours_as_theirs, theirs_with_our_key, wrong_kind, unsigned):
        async with at_the_service(service, token) as client:
            problem(await client.get(BILLS), 401, "unauthenticated")


async def test_a_key_it_begins_to_use_is_found(
    service: FastAPI, home: House, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "RETRY_SECONDS", 0.0)
    provider.rotate()
    token = provider.token("人社局")
    assert jwt.get_unverified_header(token)["kid"] == "city-2"
    assert (await at_the_gateway(home, token)).status_code == 200
    async with at_the_service(service, token) as client:
        assert (await client.get(BILLS)).status_code == 200


async def test_its_keys_may_be_named_instead_of_found(provider: Provider) -> None:
    mapping = ClaimMapping.model_validate(MAPPING)
    named = OutsideIssuer(issuer=provider.url, audience=AUDIENCE, mapping=mapping, jwks_url=f"{provider.url}/keys")
    verifier = tokens.TokenVerifier("http://127.0.0.1:9/", "three-batches", named)
    assert (await verifier.claims(provider.token("人社局")))["roles"] == ["hrss"]


async def test_a_discovery_document_of_another_issuer_is_not_believed(provider: Provider) -> None:
    mapping = ClaimMapping.model_validate(MAPPING)
    discovery = f"{provider.url}/.well-known/openid-configuration"
    other = OutsideIssuer(issuer="https://city", audience=AUDIENCE, mapping=mapping, discovery_url=discovery)
    verifier = tokens.TokenVerifier("http://127.0.0.1:9/", "three-batches", other)
    with pytest.raises(TemporarilyUnavailable):
        await verifier.claims(provider.token("人社局", iss="https://city"))


def test_settings_that_would_be_dangerous_or_meaningless_are_refused() -> None:
    text = json.dumps(MAPPING)
    assert outside_issuer("", "", "", "", "") is None
    assert outside_issuer("https://city", "x", text, "", "") is not None
    refused = [
        ("http://city", "x", text, "", ""),
        ("https://city", "x", text, "http://city/keys", ""),
        ("https://city", "", text, "", ""),
        ("https://city", "x", "", "", ""),
        ("https://city", "x", json.dumps({**MAPPING, "county_code": {}}), "", ""),
        ("https://city", "x", json.dumps({**MAPPING, "surprise": 1}), "", ""),
    ]
    for settings in refused:
        with pytest.raises(ValidationError):
            outside_issuer(*settings)
