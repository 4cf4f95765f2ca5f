"""Bills when the handlers forget whose they are: the database still shows a caller nothing foreign."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import Response

from shared.kit.sealer import seal_audit
from tests.clients import Client, Issuer, client_of, problem
from tests.services.treatment.conftest import TCM_HOSPITAL, a_bill
from tests.services.treatment.test_after_recording import BILLS, correct, hear, recorded, settled
from tests.services.unfiltered import filters_removed, policies_lifted, shown

AUDIT = "/treatment/v1/audit"


@dataclass
class Known:
    """A bill of the county hospital's, settled, and who has no business with it."""

    bill: dict[str, Any]
    discharge_id: str
    audited: int
    callers: dict[str, Client]


@pytest.fixture(scope="module")
async def known(treatment: FastAPI, issuer: Issuer, hospital: Client) -> Known:
    bill, discharge_id = await recorded(hospital)
    await hear(treatment, settled(discharge_id))
    assert (await hospital.get(f"{BILLS}/{discharge_id}")).status_code == 200
    audit = await client_of(treatment, issuer.token("auditor")).get(AUDIT, params={"object_id": discharge_id})
    await seal_audit(treatment.state.database)
    callers = {
        role: client_of(treatment, issuer.token(role, subject=f"far.{role}", county_code="150824"))
        for role in ("hrss", "auditor")
    }
    callers["hospital"] = client_of(treatment, issuer.token("hospital", subject="tcm", institution_code=TCM_HOSPITAL))
    # A hospital's clerk who holds an office as well, on a route for hospitals: the office opens nothing there.
    callers["clerk"] = client_of(
        treatment, issuer.token("hospital", "poverty_office", subject="both", institution_code=TCM_HOSPITAL)
    )
    callers["unbound"] = client_of(treatment, issuer.token("hospital", subject="unbound"))
    return Known(bill, discharge_id, audit.json()["items"][0]["seq"], callers)


Ask = Callable[[Known, Client], Awaitable[Response]]
ROUTES: dict[str, tuple[str, Ask]] = {
    "list": ("hrss auditor hospital clerk unbound", lambda _, client: client.get(BILLS, params={"limit": "200"})),
    "read": ("hrss auditor hospital clerk unbound", lambda known, client: client.get(f"{BILLS}/{known.discharge_id}")),
    "changes": (
        "hospital clerk unbound",
        lambda _, client: client.get(f"{BILLS}/changes?limit=200"),
    ),
    "correct": (
        "hrss hospital clerk",
        lambda known, client: correct(client, known.discharge_id, {**known.bill, "version": 1}),
    ),
    "audit": (
        "auditor",
        lambda known, client: client.get(f"{AUDIT}?object_type=discharge&object_id={known.discharge_id}"),
    ),
    "proof": ("auditor", lambda known, client: client.get(f"{AUDIT}/{known.audited}/proof")),
}
EACH = [(route, caller) for route, (callers, _) in ROUTES.items() for caller in callers.split()]


@pytest.mark.parametrize(("route", "caller"), EACH)
async def test_a_handler_without_its_filter_shows_nothing_foreign(known: Known, route: str, caller: str) -> None:
    ask, client = ROUTES[route][1], known.callers[caller]
    foreign = (known.discharge_id, known.bill["bill_no"])
    assert not shown(await ask(known, client), foreign)
    with filters_removed():
        answer = await ask(known, client)
        assert not shown(answer, foreign)
        if "items" in answer.text:
            assert answer.json()["items"] == [] or caller in ("hospital", "clerk", "hrss")
            assert answer.json().get("next_cursor") is None or route == "changes"
        else:
            problem(answer, 404, "not_found")


@pytest.mark.parametrize(("route", "caller"), [(route, caller) for route, caller in EACH if route != "correct"])
async def test_without_policies_it_would_be_shown(known: Known, route: str, caller: str) -> None:
    """The test above removes what it says it removes: only the policies stand between."""
    ask, client = ROUTES[route][1], known.callers[caller]
    with policies_lifted():
        assert (await ask(known, client)).status_code in (200, 404)
        with filters_removed() as removed:
            answer = await ask(known, client)
        assert removed
        assert answer.status_code == 200, answer.text


async def test_a_foreign_bill_can_not_be_voided(known: Known, hospital: Client) -> None:
    with filters_removed():
        for caller in ("hospital", "clerk", "unbound"):
            answer = await known.callers[caller].post(f"{BILLS}/{known.discharge_id}/void", json={"reason": "误报"})
            problem(answer, 404, "not_found")
    assert (await hospital.get(f"{BILLS}/{known.discharge_id}")).json()["state"] == "settled"


async def test_another_countys_window_is_told_nothing_of_a_bill_that_stands(known: Known) -> None:
    """What stands under a number is compared only for who may see it, filter or none."""
    with filters_removed():
        answer = await known.callers["hrss"].create(BILLS, known.bill)
    assert known.discharge_id not in answer.text
    assert answer.status_code in (403, 409)


async def test_a_key_belongs_to_its_caller(known: Known, hospital: Client) -> None:
    """Another caller's key is another key, even where nobody asks whose it is."""
    bill, key = a_bill(), str(uuid4())
    assert (await hospital.create(BILLS, bill, key=key)).status_code == 201
    other = {**bill, "institution_code": TCM_HOSPITAL}
    with filters_removed():
        answer = await known.callers["hospital"].create(BILLS, other, key=key)
    assert answer.status_code == 201, answer.text
    assert "Idempotency-Replayed" not in answer.headers


async def test_a_stay_elsewhere_is_flagged_but_not_shown(treatment: FastAPI, hospital: Client, issuer: Issuer) -> None:
    """R-34: what another hospital recorded is known to the rule, and to nobody else."""
    _, elsewhere = await recorded(hospital)
    other = client_of(treatment, issuer.token("hospital", subject="tcm", institution_code=TCM_HOSPITAL))
    _, own = await recorded(other, institution_code=TCM_HOSPITAL)
    answer = await other.get(f"{BILLS}/{own}")
    assert "overlapping_stay" in answer.json()["flags"]
    assert elsewhere not in answer.text
