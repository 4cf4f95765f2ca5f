"""Registry and accounts when the handlers forget whose they are: the database still shows a caller nothing foreign."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Response

from shared.kit.sealer import seal_audit
from tests.clients import Client, problem
from tests.services.contract.conftest import CENTRE, TOWNSHIP
from tests.services.contract.registry import (
    INSTITUTIONS,
    RESIDENTS,
    AsRole,
    an_institution,
    patched,
    registered,
)
from tests.services.contract.staff import CLIENTS, USERS, hired
from tests.services.unfiltered import filters_removed, policies_lifted, shown

FAR = {"county_code": "150824"}
AUDIT = "/contract/v1/audit"


@dataclass
class Known:
    """A resident, a member of staff and a hospital's system of Luzhai, and who has no business with them."""

    resident: dict[str, Any]
    username: str
    client_id: str
    audited: int
    callers: dict[str, Client]

    @property
    def resident_path(self) -> str:
        return f"{RESIDENTS}/{self.resident['resident_id']}"


@pytest.fixture(scope="module")
async def known(contract: FastAPI, bureau: Client, administrator: Client, as_role: AsRole) -> Known:
    resident = await registered(bureau, village_code=f"{TOWNSHIP}001")
    user = await hired(administrator)
    institution = an_institution()
    assert (await bureau.create(INSTITUTIONS, institution)).status_code == 201
    client_id = f"his.{institution['institution_code'].lower()}"
    wanted = {"client_id": client_id, "institution_code": institution["institution_code"]}
    made = await administrator.create(CLIENTS, wanted)
    assert made.status_code == 201, made.text
    audit = await as_role("auditor").get(AUDIT, params={"object_id": resident["resident_id"]})
    await seal_audit(contract.state.database)
    callers = {
        "hrss": as_role("hrss", **FAR),
        "auditor": as_role("auditor", **FAR),
        "poverty_office": as_role("poverty_office", **FAR),
        "township_government": as_role("township_government", township_code="450223109"),
        "far_township": as_role("township_government", township_code=TOWNSHIP, **FAR),
        "township_centre": as_role("township_centre", institution_code=institution["institution_code"]),
        "family_doctor": as_role("family_doctor", institution_code=CENTRE),
        "administrator": as_role("administrator", subject="far.chief", **FAR),
    }
    return Known(resident, user["username"], client_id, audit.json()["items"][0]["seq"], callers)


Ask = Callable[[Known, Client], Awaitable[Response]]
READERS = "hrss auditor township_government far_township township_centre family_doctor"
ROUTES: dict[str, tuple[str, Ask]] = {
    "residents": (READERS, lambda _, client: client.get(RESIDENTS, params={"limit": "200"})),
    "by household": (
        READERS,
        lambda known, client: client.get(RESIDENTS, params={"household_no": known.resident["household_no"]}),
    ),
    "resident": (READERS, lambda known, client: client.get(known.resident_path)),
    "history": (READERS, lambda known, client: client.get(f"{known.resident_path}/history")),
    "search": (
        READERS,
        lambda known, client: client.post(
            f"{RESIDENTS}/search", json={"identity_number": known.resident["identity"]["number"]}
        ),
    ),
    "change": (
        "poverty_office",
        lambda known, client: patched(client, known.resident_path, {"phone": "1"}, match='"1"'),
    ),
    "users": ("administrator", lambda _, client: client.get(USERS, params={"limit": "200"})),
    "user": ("administrator", lambda known, client: client.get(f"{USERS}/{known.username}")),
    "lock": ("administrator", lambda known, client: client.post(f"{USERS}/{known.username}/lock")),
    "reset": ("administrator", lambda known, client: client.post(f"{USERS}/{known.username}/reset")),
    "clients": ("administrator", lambda _, client: client.get(CLIENTS, params={"limit": "200"})),
    "client": ("administrator", lambda known, client: client.get(f"{CLIENTS}/{known.client_id}")),
    "client lock": ("administrator", lambda known, client: client.post(f"{CLIENTS}/{known.client_id}/lock")),
    "keys": ("administrator", lambda known, client: client.get(f"{CLIENTS}/{known.client_id}/keys")),
    "audit": (
        "auditor",
        lambda known, client: client.get(f"{AUDIT}?object_type=resident&object_id={known.resident['resident_id']}"),
    ),
    "proof": ("auditor", lambda known, client: client.get(f"{AUDIT}/{known.audited}/proof")),
}
EACH = [(route, caller) for route, (callers, _) in ROUTES.items() for caller in callers.split()]


def foreign(known: Known) -> tuple[Any, ...]:
    return (known.resident["resident_id"], known.resident["household_no"], known.username, known.client_id)


@pytest.mark.parametrize(("route", "caller"), EACH)
async def test_a_handler_without_its_filter_shows_nothing_foreign(known: Known, route: str, caller: str) -> None:
    ask, client = ROUTES[route][1], known.callers[caller]
    with filters_removed():
        answer = await ask(known, client)
    assert not shown(answer, foreign(known))
    if answer.status_code == 200:
        assert answer.json()["items"] == []
        assert answer.json()["next_cursor"] is None
    else:
        problem(answer, 404, "not_found")


READING = [(route, caller) for route, caller in EACH if route not in ("change", "lock", "reset", "client lock")]


@pytest.mark.parametrize(("route", "caller"), READING)
async def test_without_policies_it_would_be_shown(known: Known, route: str, caller: str) -> None:
    """The test above removes what it says it removes: only the policies stand between."""
    with policies_lifted(), filters_removed() as removed:
        answer = await ROUTES[route][1](known, known.callers[caller])
    assert removed
    assert answer.status_code == 200, answer.text
    assert answer.json().get("items") != [] or route == "keys"


async def test_what_the_far_county_tried_changed_nothing(known: Known, administrator: Client, bureau: Client) -> None:
    assert (await administrator.get(f"{USERS}/{known.username}")).json()["active"] is True
    assert (await administrator.get(f"{CLIENTS}/{known.client_id}")).json()["active"] is True
    assert (await bureau.get(known.resident_path)).json()["revision"] == 1


async def test_a_name_is_taken_in_whichever_county_it_was_given(known: Known) -> None:
    """The administrator of another county does not see the account, and yet can't make a second one of its name."""
    chief = known.callers["administrator"]
    wanted = {"username": known.username, "name": "测试人员", "roles": ["safety_net_office"]}
    assert (await chief.create(USERS, wanted)).json()["code"] == "account_already_exists"
    problem(await chief.get(f"{USERS}/{known.username}"), 404, "not_found")


async def test_a_township_centre_sees_its_township_by_the_databases_own_look_up(known: Known, as_role: AsRole) -> None:
    centre = as_role("township_centre", institution_code=CENTRE)
    with filters_removed():
        listed = (await centre.get(RESIDENTS, params={"limit": "200"})).json()["items"]
    assert listed
    assert {item["village_code"][:9] for item in listed} == {TOWNSHIP}
    assert known.resident["resident_id"] in {item["resident_id"] for item in listed}
