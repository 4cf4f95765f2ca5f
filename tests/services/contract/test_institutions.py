"""Institutions: registered by the county that needs them, read by everyone signed in."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.clients import Client, problem
from tests.services.contract.registry import INSTITUTIONS, AsRole, an_institution, patched, said, written_down


async def test_an_institution_is_registered_said_and_written_down(contract: FastAPI, bureau: Client) -> None:
    body = an_institution(insurance_designated=[{"from": "2016-01-01", "to": "2018-06-30"}])
    answer = await bureau.create(INSTITUTIONS, body)
    assert answer.status_code == 201, answer.text
    code = body["institution_code"]
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"{INSTITUTIONS}/{code}"
    read = answer.json()
    assert body.items() <= read.items()
    assert (read["registered_by_county"], read["has_client"]) == ("450223", False)
    (event,) = await said(contract, "contract.institution_changed.v1", "institution_code", code)
    assert event["insurance_designated"] == [{"first_day": "2016-01-01", "last_day": "2018-06-30"}]
    assert (event["revision"], event["has_client"], event["kind"]) == (1, False, "county_hospital")
    (row,) = await written_down(contract, "institution", code)
    assert (row.action, row.caller) == ("registered", "test-health_bureau")


async def test_the_same_code_twice_is_refused_and_made_once(contract: FastAPI, bureau: Client) -> None:
    body = an_institution()
    answers = await asyncio.gather(*(bureau.create(INSTITUTIONS, body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    refused = next(answer for answer in answers if answer.status_code == 409)
    problem(refused, 409, "institution_already_registered")
    code = body["institution_code"]
    assert len(await said(contract, "contract.institution_changed.v1", "institution_code", code)) == 1


async def test_a_bureau_registers_outside_hospitals_and_only_it_changes_them(bureau: Client, as_role: AsRole) -> None:
    body = an_institution(kind="city_hospital", county_code="450200", level=3)
    assert (await bureau.create(INSTITUTIONS, body)).status_code == 201
    path = f"{INSTITUTIONS}/{body['institution_code']}"
    other = as_role("health_bureau", county_code="450200")
    assert (await other.get(path)).status_code == 200
    problem(await patched(other, path, {"level": 2}), 403, "not_your_institution")
    assert (await patched(bureau, path, {"level": 2})).json()["level"] == 2


async def test_the_county_its_code_names_may_take_a_record_over(
    contract: FastAPI, bureau: Client, as_role: AsRole
) -> None:
    """Whoever registered another county's hospital first does not keep it from that county."""
    body = an_institution("H15082400077", county_code="150824")
    home, third = (as_role("health_bureau", county_code=county) for county in ("150824", "450200"))
    assert (await bureau.create(INSTITUTIONS, body)).status_code == 201
    path = f"{INSTITUTIONS}/{body['institution_code']}"
    problem(await patched(third, path, {"level": 1}), 403, "not_your_institution")
    same = await patched(home, path, {"level": body["level"]})
    assert (same.status_code, same.json()["registered_by_county"]) == (200, "450223"), "nothing changed, nothing taken"
    taken = await patched(home, path, {"level": 1})
    assert (taken.status_code, taken.json()["registered_by_county"], taken.json()["level"]) == (200, "150824", 1)
    problem(await patched(bureau, path, {"level": 3}, '"2"'), 403, "not_your_institution")
    *_, last = await written_down(contract, "institution", body["institution_code"])
    assert (last.county_code, last.detail) == ("150824", {"fields": ["level"], "taken_over": True})


async def test_a_change_needs_the_state_read_and_keeps_the_former_one(contract: FastAPI, bureau: Client) -> None:
    body = an_institution()
    path = f"{INSTITUTIONS}/{body['institution_code']}"
    await bureau.create(INSTITUTIONS, body)
    problem(await patched(bureau, path, {"level": 3}, match=None), 428, "precondition_required")
    problem(await patched(bureau, path, {"level": 3}, match='"2"'), 412, "precondition_failed")
    designated = [{"from": "2017-01-01", "to": None}]
    answer = await patched(bureau, path, {"insurance_designated": designated, "phone": None})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert (answer.json()["insurance_designated"], answer.json()["phone"]) == (designated, None)
    same = await patched(bureau, path, {"insurance_designated": designated}, '"2"')
    assert (same.status_code, same.headers["etag"], same.json()) == (200, '"2"', answer.json())
    events = await said(contract, "contract.institution_changed.v1", "institution_code", body["institution_code"])
    assert [event["revision"] for event in events] == [1, 2]
    states = (await bureau.get(f"{path}/history")).json()["items"]
    assert [(state["revision"], state["institution"]["phone"]) for state in states] == [(2, None), (1, body["phone"])]
    assert states[1]["changed_by"] == "test-health_bureau"
    rows = await written_down(contract, "institution", body["institution_code"])
    assert [row.detail for row in rows] == [{}, {"fields": ["insurance_designated", "phone"]}, {"fields": []}]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"kind": "hospital"}, "value_unknown"),
    "level": ({"level": 4}, "field_invalid"),
    "level_text": ({"level": "2"}, "field_invalid"),
    "county": ({"county_code": "45022"}, "format_invalid"),
    "township_elsewhere": ({"township_code": "150824100"}, "township_outside_county"),
    "designations_overlap": (
        {"insurance_designated": [{"from": "2016-01-01", "to": None}, {"from": "2018-01-01", "to": None}]},
        "periods_overlap",
    ),
    "designation_backwards": (
        {"insurance_designated": [{"from": "2016-01-02", "to": "2016-01-01"}]},
        "dates_out_of_order",
    ),
    "code": ({"institution_code": "H 1"}, "format_invalid"),
    "name": ({"name": ""}, "text_too_short"),
    "unknown": ({"beds": 1}, "unknown_field"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_record_that_breaks_a_rule_is_refused(case: str, bureau: Client) -> None:
    known, code = REFUSED[case]
    problem(await bureau.create(INSTITUTIONS, an_institution() | known), 422, code)


async def test_the_code_of_an_institution_stays(bureau: Client) -> None:
    body = an_institution()
    path = f"{INSTITUTIONS}/{body['institution_code']}"
    await bureau.create(INSTITUTIONS, body)
    problem(await patched(bureau, path, {"institution_code": "H1"}), 422, "institution_code_fixed")
    assert (await patched(bureau, path, {"institution_code": body["institution_code"]})).status_code == 200


async def test_lists_filter_by_code_kind_and_county(bureau: Client, as_role: AsRole) -> None:
    county = f"99{uuid4().int % 10000:04d}"
    first, second = an_institution(county_code=county), an_institution(county_code=county, kind="other")
    for body in (first, second):
        assert (await bureau.create(INSTITUTIONS, body)).status_code == 201
    reader = as_role("hospital", institution_code="H1")

    async def codes(**filters: str) -> list[str]:
        return [item["institution_code"] for item in (await reader.get(INSTITUTIONS, params=filters)).json()["items"]]

    assert await codes(county_code=county) == [second["institution_code"], first["institution_code"]]
    assert await codes(county_code=county, kind="other") == [second["institution_code"]]
    assert await codes(institution_code=first["institution_code"]) == [first["institution_code"]]
    assert await codes(institution_code="H") == []
    problem(await reader.get(INSTITUTIONS, params={"kind": "hospital"}), 422, "value_unknown")


async def test_an_unknown_institution_is_not_found(bureau: Client) -> None:
    for path in (f"{INSTITUTIONS}/H0", f"{INSTITUTIONS}/H0/history"):
        problem(await bureau.get(path), 404, "not_found")
    problem(await patched(bureau, f"{INSTITUTIONS}/H0", {}), 404, "not_found")
    problem(await bureau.get(f"{INSTITUTIONS}/H%200"), 422, "format_invalid")
