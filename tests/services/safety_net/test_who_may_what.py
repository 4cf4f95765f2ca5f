"""Every route of safety-net-service × every role, and whose settlements each role sees."""

import re
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import Response

from shared.kit.caller import ROLES
from tests.clients import Client, Issuer, client_of, problem
from tests.services.safety_net.world import World

COUNTY_WIDE = {
    "hrss",
    "health_bureau",
    "safety_net_office",
    "auditor",
    "poverty_office",
    "civil_affairs",
    "finance",
    "department_leader",
}
READERS = COUNTY_WIDE | {"hospital", "township_government"}
CLAIM_READERS = {"hospital", "safety_net_office", "department_leader", "department_head", "finance", "auditor"}
P = "/safety-net/v1"
ALLOWED: dict[tuple[str, str], set[str]] = {
    ("GET", f"{P}/settlements"): READERS,
    ("GET", f"{P}/settlements/{{settlement_id}}"): READERS,
    ("GET", f"{P}/notices/{{settlement_id}}"): READERS,
    ("GET", f"{P}/notices/checks/{{check_code}}"): READERS,
    ("POST", f"{P}/notices/{{settlement_id}}/prints"): {"hospital"},
    ("GET", f"{P}/notices/{{settlement_id}}/prints"): READERS,
    ("GET", f"{P}/notices/{{settlement_id}}/prints/{{number}}"): READERS,
    ("POST", f"{P}/notices/{{settlement_id}}/prints/{{number}}/signature"): {"hospital"},
    ("POST", f"{P}/settlements/estimate"): {"hospital", "hrss", "safety_net_office"},
    ("POST", f"{P}/settlements/{{settlement_id}}/recompute"): {"safety_net_office", "auditor"},
    ("POST", f"{P}/settlements/{{settlement_id}}/decisions"): {"safety_net_office"},
    ("GET", f"{P}/settlements/{{settlement_id}}/decisions"): {"safety_net_office", "department_leader", "auditor"},
    ("GET", f"{P}/settlements/{{settlement_id}}/decisions/{{decision_id}}"): {
        "safety_net_office",
        "department_leader",
        "auditor",
    },
    ("POST", f"{P}/settlements/{{settlement_id}}/decisions/{{decision_id}}/confirm"): {
        "safety_net_office",
        "department_leader",
    },
    ("POST", f"{P}/settlements/{{settlement_id}}/decisions/{{decision_id}}/withdraw"): {
        "safety_net_office",
        "department_leader",
    },
    ("POST", f"{P}/claims"): {"hospital"},
    ("GET", f"{P}/claims"): CLAIM_READERS,
    ("GET", f"{P}/claims/{{claim_id}}"): CLAIM_READERS,
    ("GET", f"{P}/claims/{{claim_id}}/lines"): CLAIM_READERS,
    ("GET", f"{P}/claims/{{claim_id}}/summary.pdf"): CLAIM_READERS,
    ("GET", f"{P}/claims/{{claim_id}}/summary.xlsx"): CLAIM_READERS,
    ("POST", f"{P}/claims/{{claim_id}}/lines/{{place}}/return"): {"safety_net_office"},
    ("POST", f"{P}/claims/{{claim_id}}/review"): {"safety_net_office"},
    ("GET", f"{P}/working-days"): set(ROLES),
    ("GET", f"{P}/working-days/deadline"): set(ROLES),
    ("GET", f"{P}/working-days/{{year}}"): set(ROLES),
    ("POST", f"{P}/working-days/arrangements"): {"health_bureau"},
    ("GET", f"{P}/working-days/arrangements/{{arrangement_id}}"): set(ROLES),
    ("GET", f"{P}/recoveries"): {"safety_net_office", "finance", "department_leader", "auditor"},
    ("GET", f"{P}/dead-letters"): {"administrator"},
    ("POST", f"{P}/dead-letters/{{event_id}}/replay"): {"administrator"},
    ("POST", f"{P}/reconciliation"): {"administrator"},
    ("GET", f"{P}/audit"): {"auditor"},
    ("GET", f"{P}/audit/verification"): {"auditor"},
    ("GET", f"{P}/audit/heads"): {"auditor"},
    ("GET", f"{P}/audit/{{seq}}/proof"): {"auditor"},
}
PUBLIC = {
    ("GET", f"{P}/policies"),
    ("GET", f"{P}/policies/{{county_code}}/{{pack}}/{{effective_date}}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
}


async def ask(caller: Client, method: str, url: str) -> Response:
    """An empty request: enough to learn whether one may ask at all."""
    return await (caller.create(url, {}) if method == "POST" else caller.get(url))


async def test_every_route_stands_in_the_table(safety_net: FastAPI) -> None:
    described = {
        (method.upper(), path) for path, methods in safety_net.openapi()["paths"].items() for method in methods
    }
    assert described == set(ALLOWED) | {entry for entry in PUBLIC if entry[1].startswith(P)}


@pytest.mark.parametrize("role", ROLES)
async def test_every_route_refuses_every_other_role(world: World, role: str) -> None:
    caller = world.caller(role)
    for (method, path), allowed in ALLOWED.items():
        url = re.sub(r"\{\w+\}", str(uuid4()), path)
        if path == f"{P}/reconciliation" and role in allowed:
            continue  # asks the other services, which are not here
        answer = await ask(caller, method, url)
        if role in allowed:
            assert answer.status_code not in (401, 403), (method, path, role, answer.text)
        else:
            problem(answer, 403, "role_not_allowed")


async def test_every_route_but_the_public_ones_asks_for_a_token(safety_net: FastAPI) -> None:
    nobody = client_of(safety_net)
    for method, path in ALLOWED:
        url = re.sub(r"\{\w+\}", str(uuid4()), path)
        problem(await ask(nobody, method, url), 401, "unauthenticated")
    assert (await nobody.get(f"{P}/policies")).status_code == 200


@pytest.mark.parametrize("role", sorted(READERS))
async def test_a_settlement_is_seen_in_scope_and_is_not_there_outside(world: World, role: str) -> None:
    settlement = await world.settle()
    outside = {
        "hospital": {"institution_code": "H45022300999"},
        "township_government": {"township_code": "450223101"},
    }.get(role, {"county_code": "450204"})
    for path in (f"{P}/settlements", f"{P}/notices"):
        url = f"{path}/{settlement.settlement_id}"
        assert (await world.caller(role).get(url)).status_code == 200
        problem(await world.caller(role, **outside).get(url), 404, "not_found")
    mine = {"discharge_id": str(world.discharge_id)}
    inside = await world.caller(role).get(f"{P}/settlements", params=mine)
    assert [item["settlement_id"] for item in inside.json()["items"]] == [str(settlement.settlement_id)]
    assert (await world.caller(role, **outside).get(f"{P}/settlements", params=mine)).json()["items"] == []


async def test_a_bound_role_without_its_binding_sees_nothing(world: World) -> None:
    settlement = await world.settle()
    for role, unbound in (("hospital", {"institution_code": None}), ("township_government", {"township_code": None})):
        answer = await world.caller(role, **unbound).get(f"{P}/settlements/{settlement.settlement_id}")
        problem(answer, 404, "not_found")


async def test_a_hospital_sees_its_own_patient_of_another_county(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident(county_code="450204"), world.a_bill())
    settlement = await world.live()
    assert settlement.county_code == "450204"
    url = f"{P}/settlements/{settlement.settlement_id}"
    assert (await world.caller("hospital").get(url)).status_code == 200
    problem(await world.caller("hrss").get(url), 404, "not_found")


@pytest.mark.parametrize("path", ["recompute", "decisions"])
async def test_another_countys_office_finds_nothing_to_work_on(world: World, path: str) -> None:
    settlement = await world.settle()
    caller = world.caller("safety_net_office", county_code="450204")
    body = {"decision": "reject", "reason": "理由", "legal_basis": "A3-16"}
    answer = await caller.create(f"{P}/settlements/{settlement.settlement_id}/{path}", body)
    problem(answer, 404, "not_found")


async def test_a_forged_token_opens_nothing(world: World, safety_net: FastAPI) -> None:
    forger = Issuer()
    problem(await client_of(safety_net, forger.token("auditor")).get(f"{P}/settlements"), 401, "unauthenticated")
    stale = world.issuer.token("auditor", seconds=-10)
    problem(await client_of(safety_net, stale).get(f"{P}/settlements"), 401, "unauthenticated")
