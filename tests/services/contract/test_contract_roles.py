"""Every route of contract-service × every role: who may, who may not, and that nobody may without a token."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx import Response

from shared.kit.caller import ROLES
from tests.clients import client_of, problem
from tests.services.contract.registry import AsRole

EVERYONE = frozenset(ROLES)
REGISTRARS = frozenset({"poverty_office", "health_bureau"})
COUNTY_READERS = {"health_bureau", "poverty_office", "hrss", "civil_affairs", "safety_net_office", "auditor"}
READERS = frozenset(COUNTY_READERS | {"township_government", "township_centre", "family_doctor"})
BUREAU, ADMINISTRATOR, AUDITOR = frozenset({"health_bureau"}), frozenset({"administrator"}), frozenset({"auditor"})
# What each role may do, as the public contract has it; None: no token needed.
ROUTES: dict[tuple[str, str], frozenset[str] | None] = {
    ("POST", "/contract/v1/institutions"): BUREAU,
    ("GET", "/contract/v1/institutions"): EVERYONE,
    ("GET", "/contract/v1/institutions/{institution_code}"): EVERYONE,
    ("PATCH", "/contract/v1/institutions/{institution_code}"): BUREAU,
    ("GET", "/contract/v1/institutions/{institution_code}/history"): EVERYONE,
    ("POST", "/contract/v1/residents"): REGISTRARS,
    ("GET", "/contract/v1/residents"): READERS,
    ("POST", "/contract/v1/residents/search"): READERS,
    ("GET", "/contract/v1/residents/{resident_id}"): READERS,
    ("PATCH", "/contract/v1/residents/{resident_id}"): REGISTRARS,
    ("GET", "/contract/v1/residents/{resident_id}/history"): READERS,
    ("POST", "/contract/v1/accounts/users"): ADMINISTRATOR,
    ("GET", "/contract/v1/accounts/users"): ADMINISTRATOR,
    ("GET", "/contract/v1/accounts/users/{username}"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/users/{username}/lock"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/users/{username}/unlock"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/users/{username}/reset"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/clients"): ADMINISTRATOR,
    ("GET", "/contract/v1/accounts/clients"): ADMINISTRATOR,
    ("GET", "/contract/v1/accounts/clients/{client_id}"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/clients/{client_id}/lock"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/clients/{client_id}/unlock"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/clients/{client_id}/reset"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/clients/{client_id}/keys"): ADMINISTRATOR,
    ("GET", "/contract/v1/accounts/clients/{client_id}/keys"): ADMINISTRATOR,
    ("POST", "/contract/v1/accounts/clients/{client_id}/keys/{key_id}/withdraw"): ADMINISTRATOR,
    ("POST", "/oauth/token"): None,
    ("POST", "/oauth/revoke"): None,
    ("POST", "/oauth/password"): None,
    ("POST", "/oauth/totp"): None,
    ("GET", "/.well-known/jwks.json"): None,
    ("GET", "/contract/v1/dead-letters"): ADMINISTRATOR,
    ("POST", "/contract/v1/dead-letters/{event_id}/replay"): ADMINISTRATOR,
    ("POST", "/contract/v1/reconciliation"): ADMINISTRATOR,
    ("GET", "/contract/v1/audit"): AUDITOR,
    ("GET", "/contract/v1/audit/verification"): AUDITOR,
    ("GET", "/contract/v1/audit/heads"): AUDITOR,
    ("GET", "/contract/v1/audit/{seq}/proof"): AUDITOR,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/openapi.json"): None,
}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path the app answers."""
    for route in iter_route_contexts(app.routes):
        for method in (route.methods or set()) - {"HEAD"}:
            yield method, str(route.path)


async def called(app: FastAPI, token: str | None, method: str, path: str) -> Response:
    """A request to the route that no role's record could satisfy: only who is asking is judged."""
    real = (
        re.sub(r"\{[a-z_]+_id\}", str(uuid4()), path)
        .replace("{institution_code}", "H0")
        .replace("{username}", "nobody")
    )
    async with client_of(app, token) as client:
        return await client.request(method, real, content=b"{" if method != "GET" else None)


def test_every_route_stands_in_the_table(contract: FastAPI) -> None:
    assert set(routes_of(contract)) == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), [route for route, allowed in ROUTES.items() if allowed is not None])
async def test_each_route_answers_its_roles_and_refuses_the_others(
    method: str, path: str, contract: FastAPI, as_role: AsRole
) -> None:
    for role in ROLES:
        token = as_role(role).headers["authorization"].removeprefix("Bearer ")
        answer = await called(contract, token, method, path)
        if role in (ROUTES[method, path] or ()):
            assert answer.status_code not in (401, 403, 500), (role, answer.text)
        else:
            problem(answer, 403, "role_not_allowed")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_token_only_the_public_routes_answer(method: str, path: str, contract: FastAPI) -> None:
    for token in (None, "nonsense"):
        answer = await called(contract, token, method, path)
        if ROUTES[method, path] is None:
            assert answer.status_code in (200, 400, 503)
        else:
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_who_is_asking_comes_before_what_is_asked(as_role: AsRole) -> None:
    for role, status in (((), 401), (("insurer",), 403)):
        client = as_role(*role)
        for answer in (
            await client.get("/contract/v1/residents?limit=999&unknown=1"),
            await client.post("/contract/v1/residents", content=b"[" * 100, headers={"Content-Type": "text/plain"}),
            await client.get("/contract/v1/residents/not-an-id"),
        ):
            assert answer.status_code == status, answer.text


async def test_a_role_nobody_knows_opens_nothing(as_role: AsRole) -> None:
    problem(await as_role("king").get("/contract/v1/institutions"), 403, "role_not_allowed")
