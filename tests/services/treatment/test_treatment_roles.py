"""Every route of treatment-service × every role."""

from uuid import uuid4

import pytest
from fastapi import FastAPI

from shared.kit.caller import ROLES
from tests.clients import Issuer, client_of, problem
from tests.services.treatment.conftest import COUNTY_HOSPITAL

READERS = {"hospital", "hrss", "health_bureau", "safety_net_office", "auditor"}
TABLE = {
    ("POST", "/treatment/v1/discharges"): {"hospital", "hrss"},
    ("POST", "/treatment/v1/discharges/batch"): {"hospital", "hrss"},
    ("GET", "/treatment/v1/discharges/changes"): {"hospital"},
    ("GET", "/treatment/v1/discharges"): READERS,
    ("GET", "/treatment/v1/discharges/{discharge_id}"): READERS,
    ("POST", "/treatment/v1/discharges/{discharge_id}/corrections"): {"hospital", "hrss"},
    ("POST", "/treatment/v1/discharges/{discharge_id}/void"): {"hospital"},
    ("GET", "/treatment/v1/dead-letters"): {"administrator"},
    ("POST", "/treatment/v1/dead-letters/{event_id}/replay"): {"administrator"},
    ("POST", "/treatment/v1/reconciliation"): {"administrator"},
    ("GET", "/treatment/v1/audit"): {"auditor"},
    ("GET", "/treatment/v1/audit/verification"): {"auditor"},
    ("GET", "/treatment/v1/audit/heads"): {"auditor"},
    ("GET", "/treatment/v1/audit/{seq}/proof"): {"auditor"},
}


def test_the_table_names_every_route(treatment: FastAPI) -> None:
    routes = {(method.upper(), path) for path, item in treatment.openapi()["paths"].items() for method in item}
    assert routes == set(TABLE)


@pytest.mark.parametrize(("method", "path"), TABLE)
async def test_each_role_may_do_what_the_contract_says_and_no_more(
    treatment: FastAPI, issuer: Issuer, method: str, path: str
) -> None:
    url = path.replace("{discharge_id}", str(uuid4())).replace("{event_id}", str(uuid4()))
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    content = b"{}" if method == "POST" else b""
    problem(await client_of(treatment).request(method, url, headers=headers, content=content), 401, "unauthenticated")
    for role in ROLES:
        token = issuer.token(role, institution_code=COUNTY_HOSPITAL)
        answer = await client_of(treatment, token).request(method, url, headers=headers, content=content)
        if role in TABLE[method, path]:
            assert answer.status_code not in (401, 500), (role, answer.text)
            assert answer.status_code != 403 or answer.json()["code"] != "role_not_allowed", role
        else:
            problem(answer, 403, "role_not_allowed")


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."],
)
async def test_what_is_no_token_opens_nothing(treatment: FastAPI, token: str) -> None:
    problem(await client_of(treatment, token).get("/treatment/v1/discharges"), 401, "unauthenticated")


async def test_expired_foreign_and_forged_tokens_open_nothing(treatment: FastAPI, issuer: Issuer) -> None:
    stranger = Issuer()
    for token in (
        issuer.token("auditor", seconds=-10),
        issuer.token("auditor", iss="somebody-else"),
        issuer.token("auditor", aud="another-service"),
        stranger.token("auditor"),
    ):
        problem(await client_of(treatment, token).get("/treatment/v1/discharges"), 401, "unauthenticated")
