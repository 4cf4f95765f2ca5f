"""PATCH /contract/v1/residents/{id} and its history: nothing is ever deleted."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from contract_service.residents.models import ResidentState
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.contract.registry import (
    RESIDENTS,
    AsRole,
    a_number,
    a_resident,
    patched,
    registered,
    said,
    written_down,
)

LEFT_POVERTY = [
    {"from": "2016-01-01", "to": "2017-12-31", "category": "registered_poor"},
    {"from": "2018-01-01", "to": None, "category": "out_of_poverty"},
]


async def test_a_list_replaces_the_list_and_the_rest_stays(contract: FastAPI, bureau: Client, as_role: AsRole) -> None:
    before = await registered(bureau, phone="0772-1234567")
    path = f"{RESIDENTS}/{before['resident_id']}"
    answer = await patched(as_role("poverty_office"), path, {"registered_poor": LEFT_POVERTY})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    after = answer.json()
    changing = {"registered_poor": LEFT_POVERTY, "revision": 2, "changed_at": after["changed_at"]}
    assert after == before | changing
    assert (await bureau.get(path)).json() == after
    first, second = await said(contract, "contract.resident_changed.v1", "resident_id", before["resident_id"])
    assert (first["revision"], second["revision"]) == (1, 2)
    assert [period["category"] for period in second["registered_poor"]] == ["registered_poor", "out_of_poverty"]
    row = (await written_down(contract, "resident", before["resident_id"]))[1]
    assert (row.action, row.caller, row.detail) == ("changed", "test-poverty_office", {"fields": ["registered_poor"]})


async def test_null_removes_what_may_be_absent_and_nothing_else(bureau: Client) -> None:
    path = f"{RESIDENTS}/{(await registered(bureau, phone='0772-1234567'))['resident_id']}"
    assert (await patched(bureau, path, {"phone": None})).json()["phone"] is None
    body = problem(await patched(bureau, path, {"name": None}, '"2"'), 422, "field_missing")
    assert body["errors"][0]["pointer"] == "/name"


async def test_a_change_that_changes_nothing_makes_no_state_and_says_nothing(contract: FastAPI, bureau: Client) -> None:
    before = await registered(bureau)
    path = f"{RESIDENTS}/{before['resident_id']}"
    same = {name: before[name] for name in ("name", "registered_poor", "insurance", "phone", "identity")}
    for patch in ({}, same, {"name": f" {before['name']} "}):
        answer = await patched(bureau, path, patch)
        assert (answer.status_code, answer.headers["etag"], answer.json()) == (200, '"1"', before)
    assert len(await said(contract, "contract.resident_changed.v1", "resident_id", before["resident_id"])) == 1
    assert len((await bureau.get(f"{path}/history")).json()["items"]) == 1
    rows = await written_down(contract, "resident", before["resident_id"])
    assert [row.detail for row in rows if row.action == "changed"] == [{"fields": []}] * 3


async def test_a_former_identity_stays_matchable_and_taken(contract: FastAPI, bureau: Client) -> None:
    newborn: dict[str, Any] = {"identity": {"type": "birth_certificate", "number": "Z000000021"}}
    child = await registered(bureau, **newborn)
    path, number = f"{RESIDENTS}/{child['resident_id']}", a_number()
    answer = await patched(bureau, path, {"identity": {"type": "resident_id", "number": number}})
    assert answer.json()["identity"] == {"type": "resident_id", "number": number}
    assert answer.json()["former_identities"] == [newborn["identity"]]
    for known_by in ("Z000000021", number):
        found = await bureau.post(f"{RESIDENTS}/search", json={"identity_number": known_by})
        assert [item["resident_id"] for item in found.json()["items"]] == [child["resident_id"]]
    event = (await said(contract, "contract.resident_changed.v1", "resident_id", child["resident_id"]))[-1]
    digest = contract.state.keyring.digest
    assert event["identities"] == [
        {"type": "resident_id", "digest": digest(number)},
        {"type": "birth_certificate", "digest": digest("Z000000021")},
    ]
    problem(await bureau.create(RESIDENTS, a_resident(**newborn)), 409, "resident_already_registered")
    other = await registered(bureau)
    taken = await patched(bureau, f"{RESIDENTS}/{other['resident_id']}", newborn)
    assert problem(taken, 409, "resident_already_registered")["resident_id"] == child["resident_id"]
    back = await patched(bureau, path, newborn, '"2"')
    assert back.json()["identity"] == newborn["identity"]
    assert back.json()["former_identities"] == [{"type": "resident_id", "number": number}]


async def test_a_part_of_the_identity_merges_into_it(bureau: Client) -> None:
    resident, number = await registered(bureau), a_number()
    answer = await patched(bureau, f"{RESIDENTS}/{resident['resident_id']}", {"identity": {"number": number}})
    assert answer.json()["identity"] == {"type": "resident_id", "number": number}


REFUSED: dict[str, tuple[Any, str]] = {
    "overlap": ({"registered_poor": LEFT_POVERTY + LEFT_POVERTY[1:]}, "periods_overlap"),
    "village": ({"village_code": "150824100001"}, "village_outside_county"),
    "identity": ({"identity": {"number": "450223197503120000"}}, "identity_check_digit"),
    "unknown": ({"resident_id": "1"}, "unknown_field"),
    "county": ({"county_code": "150824"}, "unknown_field"),
    "not_an_object": ([1], "field_invalid"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_change_that_breaks_a_rule_is_refused(case: str, bureau: Client) -> None:
    patch, code = REFUSED[case]
    resident = await registered(bureau)
    path = f"{RESIDENTS}/{resident['resident_id']}"
    problem(await patched(bureau, path, patch), 422, code)
    assert (await bureau.get(path)).json() == resident


async def test_if_match_is_required_and_must_be_what_stands(bureau: Client) -> None:
    path = f"{RESIDENTS}/{(await registered(bureau))['resident_id']}"
    problem(await patched(bureau, path, {"phone": None}, match=None), 428, "precondition_required")
    for stale in ('"0"', '"2"', 'W/"1"', "*", "1"):
        problem(await patched(bureau, path, {"phone": "0772-0"}, match=stale), 412, "precondition_failed")
    assert (await patched(bureau, path, {"phone": "0772-0"}, match='"7", "1"')).status_code == 200


async def test_of_two_changes_at_once_one_is_told(bureau: Client) -> None:
    path = f"{RESIDENTS}/{(await registered(bureau))['resident_id']}"
    answers = await asyncio.gather(*(patched(bureau, path, {"phone": f"0772-{n}"}) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


async def test_only_a_merge_patch_is_taken(bureau: Client) -> None:
    path = f"{RESIDENTS}/{(await registered(bureau))['resident_id']}"
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {}):
        answer = await bureau.patch(path, content=b'{"phone": null}', headers={"If-Match": '"1"', **headers})
        problem(answer, 415, "unsupported_media_type")


async def test_history_keeps_every_state_with_who_and_when(contract: FastAPI, bureau: Client, as_role: AsRole) -> None:
    first = await registered(bureau, name="测试前")
    path = f"{RESIDENTS}/{first['resident_id']}"
    await patched(as_role("poverty_office"), path, {"name": "测试后", "identity": {"number": a_number()}})
    await patched(bureau, path, {"village_code": "450223102001"}, '"2"')
    newest, page = await bureau.get(f"{path}/history?limit=2"), []
    page = newest.json()["items"]
    rest = await bureau.get(f"{path}/history", params={"limit": "2", "cursor": newest.json()["next_cursor"]})
    states = page + rest.json()["items"]
    assert rest.json()["next_cursor"] is None
    assert [(state["revision"], state["changed_by"]) for state in states] == [
        (3, "test-health_bureau"),
        (2, "test-poverty_office"),
        (1, "test-health_bureau"),
    ]
    assert [state["resident"]["name"] for state in states] == ["测试后", "测试后", "测试前"]
    assert states[2]["resident"] == {name: first[name] for name in states[2]["resident"]}
    assert states[2]["changed_at"] == first["changed_at"]
    async with contract.state.database.transaction(SERVICE) as session:
        query = select(ResidentState).where(ResidentState.resident_id == UUID(first["resident_id"]))
        kept = list(await session.scalars(query))
    assert len(kept) == 3
    assert all(first["identity"]["number"] not in str(state.state) for state in kept), "sealed in the history too"
