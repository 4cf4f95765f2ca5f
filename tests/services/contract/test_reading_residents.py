"""Who may see which residents: lists, one by one, and by number."""

import json
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.clients import Client, problem
from tests.services.contract.registry import (
    INSTITUTIONS,
    RESIDENTS,
    AsRole,
    a_number,
    a_resident,
    an_institution,
    patched,
    registered,
    written_down,
)

CENTRE, TOWNSHIP = "H45022300100", "450223100"
MERGE = {"content-type": "application/merge-patch+json"}


async def ids(client: Client, **filters: str) -> list[str]:
    """The residents a client finds, over all pages."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(RESIDENTS, params={"limit": "200", **filters, **cursor})
        assert answer.status_code == 200, answer.text
        found += [item["resident_id"] for item in answer.json()["items"]]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def sees(client: Client, resident: dict[str, Any]) -> bool:
    """Whether a client sees a resident; one by one, by history, by number and in the list it is the same."""
    one = await client.get(f"{RESIDENTS}/{resident['resident_id']}")
    history = await client.get(f"{RESIDENTS}/{resident['resident_id']}/history")
    search = await client.post(f"{RESIDENTS}/search", json={"identity_number": resident["identity"]["number"]})
    listed = await ids(client, household_no=resident["household_no"])
    seen = {one.status_code == 200, history.status_code == 200, bool(search.json()["items"]), bool(listed)}
    assert len(seen) == 1, (one.text, history.text, search.text, listed)
    if not seen.copy().pop():
        problem(one, 404, "not_found")
        problem(history, 404, "not_found")
    return seen.pop()


async def test_county_roles_see_their_county_and_no_other(bureau: Client, as_role: AsRole) -> None:
    resident = await registered(bureau)
    for role in ("health_bureau", "poverty_office", "hrss", "civil_affairs", "safety_net_office", "auditor"):
        assert await sees(as_role(role), resident)
        assert not await sees(as_role(role, county_code="150824"), resident)


async def test_a_townships_office_sees_its_township(bureau: Client, as_role: AsRole) -> None:
    inside = await registered(bureau, village_code=f"{TOWNSHIP}002")
    outside = await registered(bureau, village_code="450223102001")
    office = as_role("township_government", township_code=TOWNSHIP)
    assert await sees(office, inside)
    assert not await sees(office, outside)
    assert not await sees(as_role("township_government"), inside), "bound to no township, it sees nobody"


async def test_a_township_centre_sees_the_township_of_its_institution(bureau: Client, as_role: AsRole) -> None:
    inside = await registered(bureau, village_code=f"{TOWNSHIP}002")
    outside = await registered(bureau, village_code="450223102001")
    centre = as_role("township_centre", institution_code=CENTRE)
    assert await sees(centre, inside)
    assert not await sees(centre, outside)
    claimed = as_role("township_centre", institution_code=CENTRE, township_code="450223102")
    assert not await sees(claimed, outside), "the register says where an institution lies, not the token"
    unknown = as_role("township_centre", institution_code="H45022399999")
    assert not await sees(unknown, inside)


async def test_a_centre_of_no_known_township_sees_nobody(bureau: Client, as_role: AsRole) -> None:
    code = f"T{uuid4().hex[:11]}"
    body = an_institution(code, kind="township_centre", township_code=None)
    assert (await bureau.create(INSTITUTIONS, body)).status_code == 201
    assert not await sees(as_role("township_centre", institution_code=code), await registered(bureau))


async def test_a_family_doctor_sees_nobody_until_there_are_teams(bureau: Client, as_role: AsRole) -> None:
    resident = await registered(bureau)
    doctor = as_role("family_doctor", institution_code=CENTRE, township_code=TOWNSHIP, village_code=f"{TOWNSHIP}001")
    assert not await sees(doctor, resident)
    assert await ids(doctor) == []


async def test_two_roles_reach_as_far_as_both(bureau: Client, as_role: AsRole) -> None:
    inside = await registered(bureau, village_code=f"{TOWNSHIP}002")
    elsewhere = await registered(bureau, village_code="450223102001")
    both = as_role(
        "township_government", "township_centre", "family_doctor", township_code="450223102", institution_code=CENTRE
    )
    assert await sees(both, inside)
    assert await sees(both, elsewhere)


async def test_a_change_outside_the_county_is_not_found(bureau: Client, as_role: AsRole) -> None:
    resident = await registered(bureau)
    other = as_role("poverty_office", county_code="150824")
    problem(await patched(other, f"{RESIDENTS}/{resident['resident_id']}", {"phone": None}), 404, "not_found")


async def test_lists_filter_by_beginning_of_name_household_and_village(bureau: Client) -> None:
    mark = uuid4().hex[:8]
    first = await registered(bureau, name=f"{mark}·测试 甲", household_no=f"{mark}1", village_code="450223104004")
    second = await registered(bureau, name=f"{mark}测试乙", household_no=f"{mark}1", village_code="450223105001")
    await registered(bureau, name=f"测试{mark}", household_no=f"{mark}2")
    both = [second["resident_id"], first["resident_id"]]
    assert await ids(bureau, name=mark) == both, "newest first"
    assert await ids(bureau, name=f"{mark}测试甲") == both[1:], "spaces and middle dots don't count"
    assert await ids(bureau, name=f"{mark}%") == [], "a percent sign is only a percent sign"
    assert await ids(bureau, household_no=f"{mark}1") == both
    assert await ids(bureau, household_no=f"{mark}1", village_code="450223104004") == both[1:]
    assert await ids(bureau, name=mark, village_code="450223106001") == []


async def test_a_search_finds_any_spelling_and_nobody_for_an_unknown_number(bureau: Client) -> None:
    resident = await registered(bureau)
    number = resident["identity"]["number"]
    for spelled in (f"{number[:6]} {number[6:14]}-{number[14:]}", number.lower()):
        answer = await bureau.post(f"{RESIDENTS}/search", json={"identity_number": spelled})
        assert answer.json() == {"items": [resident], "next_cursor": None}
    assert (await bureau.post(f"{RESIDENTS}/search", json={"identity_number": a_number()})).json()["items"] == []
    problem(await bureau.post(f"{RESIDENTS}/search", json={"identity_number": ""}), 422, "text_too_short")
    problem(await bureau.post(f"{RESIDENTS}/search", json={"number": "1"}), 422, "field_missing")


async def test_reading_is_written_down_without_name_or_number(
    contract: FastAPI, bureau: Client, as_role: AsRole
) -> None:
    resident = await registered(bureau)
    resident_id, number = resident["resident_id"], resident["identity"]["number"]
    reader = as_role("auditor", subject="the-auditor")
    await reader.get(f"{RESIDENTS}/{resident_id}")
    await reader.get(f"{RESIDENTS}/{resident_id}/history")
    await reader.post(f"{RESIDENTS}/search", json={"identity_number": number})
    await reader.get(RESIDENTS, params={"name": resident["name"], "household_no": resident["household_no"]})
    rows = [row for row in await written_down(contract, "resident", resident_id) if row.caller == "the-auditor"]
    assert [row.action for row in rows] == ["read", "read_history", "searched"]
    listed = [row for row in await written_down(contract, "resident", "*") if row.caller == "the-auditor"]
    shown = {"by": ["household_no", "name"], "residents": [resident_id], "numbers": "whole"}
    assert [row.detail for row in listed] == [shown]
    assert number not in json.dumps([row.detail for row in rows + listed])


async def test_the_auditor_reads_the_trail_of_his_county(bureau: Client, as_role: AsRole) -> None:
    resident = await registered(bureau)
    filters = {"object_type": "resident", "object_id": resident["resident_id"]}
    (row,) = (await as_role("auditor").get("/contract/v1/audit", params=filters)).json()["items"]
    assert (row["action"], row["caller"]) == ("registered", "test-health_bureau")
    elsewhere = await as_role("auditor", county_code="150824").get("/contract/v1/audit", params=filters)
    assert elsewhere.json()["items"] == []


@pytest.mark.parametrize("path", [f"{RESIDENTS}/{uuid4()}", f"{RESIDENTS}/{uuid4()}/history"])
async def test_an_unknown_resident_is_not_found(path: str, bureau: Client) -> None:
    problem(await bureau.get(path), 404, "not_found")


async def test_an_id_that_is_none_is_refused(bureau: Client) -> None:
    problem(await bureau.get(f"{RESIDENTS}/450223197503120006"), 422, "field_invalid")


async def test_a_resident_may_be_registered_by_both_offices_and_no_other(as_role: AsRole) -> None:
    assert (await as_role("poverty_office").create(RESIDENTS, a_resident())).status_code == 201
    assert (await as_role("health_bureau").create(RESIDENTS, a_resident())).status_code == 201
    problem(await as_role("hrss").create(RESIDENTS, a_resident()), 403, "role_not_allowed")
