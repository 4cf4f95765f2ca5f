"""What the rules leave to the office: one person proposes, another confirms."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from safety_net_service.settlements.models import Settlement
from shared.kit.caller import ROLES
from shared.kit.money import yuan
from tests.clients import Client, problem
from tests.services.safety_net.world import World

PASS = {"decision": "pass", "reason": "经查户口簿，确为同一人", "legal_basis": "A3-04"}
REJECT = {"decision": "reject", "reason": "经查不是同一人", "legal_basis": "A3-04"}


def office(world: World, person: str = "first") -> Client:
    return world.caller("safety_net_office", subject=f"{person}-{world.discharge_id}")


def path(settlement: Settlement) -> str:
    return f"/safety-net/v1/settlements/{settlement.settlement_id}/decisions"


async def held(world: World) -> Settlement:
    """A bill on whose name the register and the hospital differ."""
    await world.hear(world.an_institution(), world.a_resident(name_digest="0" * 64), world.a_bill())
    settlement = await world.live()
    assert settlement.state == "held"
    return settlement


async def proposed(world: World, settlement: Settlement, body: dict[str, Any]) -> dict[str, Any]:
    answer = await office(world).create(path(settlement), body)
    assert answer.status_code == 201, answer.text
    read: dict[str, Any] = answer.json()
    return read


async def confirmed(world: World, settlement: Settlement, body: dict[str, Any]) -> dict[str, Any]:
    decision = await proposed(world, settlement, body)
    answer = await office(world, "second").post(f"{path(settlement)}/{decision['decision_id']}/confirm")
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


async def test_a_held_settlement_is_passed_by_two_persons(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    assert (decision["state"], decision["closed_by"], decision["exclusion"]) == ("proposed", None, None)
    assert (await world.live()).settlement_id == settlement.settlement_id
    answer = await office(world, "second").post(f"{path(settlement)}/{decision['decision_id']}/confirm")
    body = answer.json()
    assert (answer.status_code, body["state"]) == (200, "confirmed")
    assert body["settlement"]["state"] == "settled"
    assert body["settlement"]["amounts"]["safety_net"] == "3200.00"
    assert body["settlement"]["decision_id"] == decision["decision_id"]
    old, new = await world.settlements()
    assert (old.state, old.superseded_by) == ("superseded", new.settlement_id)
    assert str(new.settlement_id) == body["decided_settlement_id"]
    assert [event.state for event in await world.said()] == ["held", "settled"]
    assert await world.audited(decision["decision_id"]) == ["proposed", "confirmed"]
    recomputed = await world.caller("auditor").post(f"/safety-net/v1/settlements/{new.settlement_id}/recompute")
    assert recomputed.json()["equal"] is True


async def test_a_held_settlement_is_rejected_with_its_doubt_as_the_reason(world: World) -> None:
    settlement = await held(world)
    body = (await confirmed(world, settlement, REJECT))["settlement"]
    assert (body["state"], body["decision"]) == ("rejected", "reject")
    assert [reason["code"] for reason in body["reasons"]] == ["evidence_missing"]
    assert "经查不是同一人" in body["reasons"][0]["detail"]
    assert body["amounts"]["safety_net"] == "0.00"


@pytest.mark.clause("A3-05", "A3-16")
@pytest.mark.parametrize(
    ("more", "code", "clause"),
    [
        ({}, "other_by_law", "A3-16"),
        ({"exclusion": "other_by_law"}, "other_by_law", "A3-16"),
        ({"exclusion": "outside_insured_scope"}, "outside_insured_scope", "A3-05"),
        ({"legal_basis": "A3-05：不属补偿范围病种"}, "outside_insured_scope", "A3-05"),
    ],
)
async def test_a_settled_one_is_rejected_under_one_of_two_rules(
    world: World, more: dict[str, str], code: str, clause: str
) -> None:
    settlement = await world.settle()
    body = {"decision": "reject", "reason": "查明系他人购药", "legal_basis": "《社会保险法》第三十条", **more}
    read = await confirmed(world, settlement, body)
    assert read["exclusion"] == code
    assert [(each["code"], each["clause"]) for each in read["settlement"]["reasons"]] == [(code, clause)]
    assert await world.cases() == []


async def test_a_department_leader_of_the_county_may_be_the_second_person(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    url = f"{path(settlement)}/{decision['decision_id']}/confirm"
    problem(await world.caller("department_leader", county_code="450204").post(url), 404, "not_found")
    assert (await world.caller("department_leader").post(url)).status_code == 200


async def test_the_same_person_may_not_confirm(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    problem(await office(world).post(f"{path(settlement)}/{decision['decision_id']}/confirm"), 403, "same_person")
    leader_too = world.caller("department_leader", subject=f"first-{world.discharge_id}")
    problem(await leader_too.post(f"{path(settlement)}/{decision['decision_id']}/confirm"), 403, "same_person")
    assert (await world.live()).state == "held"


async def test_confirming_again_is_the_same_and_another_comes_too_late(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    url = f"{path(settlement)}/{decision['decision_id']}/confirm"
    first, again = await office(world, "second").post(url), await office(world, "second").post(url)
    assert (again.status_code, again.json()) == (200, first.json())
    problem(await office(world, "third").post(url), 409, "decision_closed")
    assert len(await world.settlements()) == 2


async def test_two_who_confirm_at_once_make_one_settlement(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    url = f"{path(settlement)}/{decision['decision_id']}/confirm"
    answers = await asyncio.gather(*(office(world, f"person-{number}").post(url) for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert len(await world.settlements()) == 2


async def test_one_decision_at_a_time_and_a_withdrawn_one_makes_room(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    problem(await office(world, "second").create(path(settlement), REJECT), 409, "decision_open")
    url = f"{path(settlement)}/{decision['decision_id']}"
    withdrawn = await office(world).post(f"{url}/withdraw")
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "withdrawn")
    assert (await office(world).post(f"{url}/withdraw")).status_code == 200
    problem(await office(world, "second").post(f"{url}/confirm"), 409, "decision_closed")
    assert (await confirmed(world, settlement, REJECT))["settlement"]["state"] == "rejected"
    listed = (await world.caller("auditor").get(path(settlement))).json()["items"]
    assert [each["state"] for each in listed] == ["confirmed", "withdrawn"]


async def test_a_decision_posted_twice_is_one(world: World) -> None:
    settlement = await held(world)
    key = str(uuid4())
    first = await office(world).create(path(settlement), PASS, key=key)
    again = await office(world).create(path(settlement), PASS, key=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    problem(await office(world).create(path(settlement), REJECT, key=key), 422, "idempotency_key_reused")
    problem(await office(world).post(path(settlement), json=PASS), 400, "idempotency_key_missing")


async def test_what_no_longer_stands_can_not_be_decided(world: World) -> None:
    settlement = await held(world)
    decision = await proposed(world, settlement, PASS)
    await world.hear(world.a_correction(name_digest="0" * 64))
    url = f"{path(settlement)}/{decision['decision_id']}/confirm"
    problem(await office(world, "second").post(url), 409, "settlement_superseded")
    problem(await office(world).create(path(settlement), REJECT), 409, "settlement_superseded")
    live = await world.live()
    await world.hear(world.a_void(3))
    problem(await office(world).create(path(live), REJECT), 409, "settlement_voided")


async def test_a_bill_that_waits_for_its_new_patient_can_not_be_decided_by_its_old_version(world: World) -> None:
    settlement = await held(world)
    await world.hear(world.a_correction(identity_digest=world.digest("SOMEBODY ELSE")))
    problem(await office(world).create(path(settlement), PASS), 409, "settlement_superseded")


async def test_what_is_claimed_is_not_undone(world: World) -> None:
    settlement = await world.settle()
    await world.claim(settlement)
    problem(await office(world).create(path(settlement), {**REJECT, "legal_basis": "A3-16"}), 409, "already_claimed")


async def test_only_a_held_one_is_passed_and_only_where_the_law_leaves_it_open(world: World) -> None:
    settlement = await world.settle()
    problem(await office(world).create(path(settlement), PASS), 409, "settlement_not_held")
    await world.hear(world.a_correction(identity_digest=None))
    problem(await office(world).create(path(await world.live()), PASS), 409, "decision_without_effect")
    await world.hear(world.a_correction(3, cause="traffic_accident"))
    problem(await office(world).create(path(await world.live()), PASS), 409, "settlement_not_held")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**PASS, "exclusion": "other_by_law"}, "exclusion_of_a_pass"),
        ({**REJECT, "amount": "1.00"}, "amount_of_a_rejection"),
        ({**PASS, "reason": ""}, "text_too_short"),
        ({"decision": "pass"}, "field_missing"),
        ({**PASS, "decision": "maybe"}, "value_unknown"),
        ({**PASS, "colour": "red"}, "unknown_field"),
    ],
)
async def test_a_contradictory_decision_is_refused(world: World, body: dict[str, str], code: str) -> None:
    problem(await office(world).create(path(await held(world)), body), 422, code)


@pytest.mark.clause("R-19")
async def test_a_decision_stands_when_the_register_changes(world: World) -> None:
    settlement = await held(world)
    body = await confirmed(world, settlement, REJECT)
    await world.hear(world.a_resident(revision=2, name_digest="0" * 64, household_no="2"))
    await world.hear(world.a_resident(revision=3))
    live = await world.live()
    assert str(live.settlement_id) == body["decided_settlement_id"]
    assert live.state == "rejected"


async def test_a_passed_one_stays_passed_when_the_register_changes(world: World) -> None:
    body = await confirmed(world, await held(world), PASS)
    await world.hear(world.a_resident(revision=2))
    assert str((await world.live()).settlement_id) == body["decided_settlement_id"]
    assert await world.cases() == []


async def test_the_office_may_take_its_own_rejection_back(world: World) -> None:
    await confirmed(world, await held(world), REJECT)
    body = await confirmed(world, await world.live(), PASS)
    assert body["settlement"]["state"] == "settled"
    assert [each.state for each in await world.settlements()] == ["superseded", "superseded", "settled"]


@pytest.mark.clause("R-33")
async def test_a_correction_is_judged_anew_and_the_lapsed_decision_is_written_down(world: World) -> None:
    decision = await confirmed(world, await held(world), PASS)
    await world.hear(world.a_correction(medical_assistance="2000.00"))
    live = await world.live()
    assert (live.state, live.decision_id) == ("held", None)
    assert yuan(live.safety_net_fen) == "0.00"
    trail = await world.caller("auditor").get(
        "/safety-net/v1/audit", params={"object_type": "settlement", "object_id": str(live.settlement_id)}
    )
    lapsed = [row["detail"].get("decision_lapsed") for row in trail.json()["items"]]
    assert decision["decision_id"] in lapsed


@pytest.mark.clause("A3-03")
async def test_what_is_held_waits_for_the_office_and_for_nobody_else(world: World) -> None:
    """A3-03: it is the Office (医疗兜底保障办公室) that reviews; no department, hospital or auditor does it for it."""
    settlement = await held(world)
    for role in set(ROLES) - {"safety_net_office"}:
        answer = await world.caller(role, institution_code="H45022300001").create(path(settlement), PASS)
        problem(answer, 403, "role_not_allowed")
    assert (await world.live()).state == "held"
    await proposed(world, settlement, PASS)


@pytest.mark.parametrize("name", ["reason", "legal_basis"])
@pytest.mark.parametrize(
    "number",
    [
        "450223197503120006",
        "45022319750312000x",
        "450223 19750312 0006",
        "４５０２２３１９７５０３１２０００６",
        "450223750312000",
    ],
)
async def test_what_the_office_writes_names_no_identity_number(world: World, name: str, number: str) -> None:
    settlement = await held(world)
    answer = await office(world).create(path(settlement), {**PASS, name: f"经查{number}号身份证"})
    refused = problem(answer, 422, "identity_number_in_text")
    assert [error["pointer"] for error in refused["errors"]] == [f"/{name}"]
    assert number not in answer.text


async def test_other_numbers_may_stand_in_what_the_office_writes(world: World) -> None:
    settlement = await held(world)
    reason = "鹿兜底〔2018〕37号，卡号6217000000000000000，2018-08-01 2018-08-11，电话13800000000"
    await proposed(world, settlement, {**PASS, "reason": reason})


async def test_the_location_of_a_decision_leads_to_it(world: World) -> None:
    settlement = await held(world)
    answer = await office(world).create(path(settlement), PASS)
    read = await office(world).get(answer.headers["location"])
    assert (read.status_code, read.json()) == (200, answer.json())


async def test_a_rejection_names_the_rule_it_rests_on(world: World) -> None:
    settlement = await held(world)
    sent = {"decision": "reject", "reason": "依法", "legal_basis": "《社会保险法》第三十条"}
    await confirmed(world, settlement, sent)
    live = await world.live()
    assert "《社会保险法》第三十条" in str(live.answer["reasons"])
