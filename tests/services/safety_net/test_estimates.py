"""What a bill would be settled as, before it is sent."""

from copy import deepcopy
from typing import Any

import pytest
from sqlalchemy import func, select

from safety_net_service.estimates.schemas import EXAMPLE
from safety_net_service.settlements.models import Settlement
from shared.kit.database import OutboxRow
from shared.kit.scope import SERVICE
from tests.clients import problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/settlements/estimate"


def a_body(world: World, **changes: Any) -> dict[str, Any]:
    """The contract's example for this world's hospital and patient; ``charges__total="1.00"`` reaches inside."""
    body: dict[str, Any] = deepcopy(EXAMPLE)
    body["institution_code"] = world.institution_code
    body["patient"]["identity_number"] = world.number.lower()
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = body
        for folder in folders:
            place = place[folder]
        place[name] = value
    return body


async def counted(world: World) -> tuple[int, int]:
    async with world.state.database.transaction(SERVICE) as session:
        settlements = await session.scalar(select(func.count()).select_from(Settlement))
        said = await session.scalar(select(func.count()).select_from(OutboxRow))
    return settlements or 0, said or 0


@pytest.mark.clause("A3-20", "C-01")
@pytest.mark.parametrize("role", ["hospital", "hrss", "safety_net_office"])
async def test_an_estimate_says_what_the_settlement_would_and_keeps_nothing(world: World, role: str) -> None:
    await world.hear(world.an_institution(), world.a_resident())
    before = await counted(world)
    answer = await world.caller(role).post(PATH, json=a_body(world))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["amounts"]["safety_net"]) == ("settled", "3200.00")
    assert await counted(world) == before
    assert "estimated" in await world.audited(world.institution_code)
    await world.hear(world.a_bill())
    settled = (await world.live()).answer
    assert {name: body[name] for name in settled} == settled


async def test_of_an_unknown_patient_it_says_so_at_once(world: World) -> None:
    await world.hear(world.an_institution())
    body = (await world.caller("hospital").post(PATH, json=a_body(world))).json()
    assert [reason["code"] for reason in body["reasons"]] == ["not_registered"]


async def test_a_hospital_estimates_only_its_own_bills(world: World) -> None:
    await world.hear(world.an_institution())
    caller = world.caller("hospital", institution_code="H45022300999")
    problem(await caller.post(PATH, json=a_body(world)), 403, "not_your_institution")


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"reimbursements__basic_insurance": "17000.01"}, "reimbursed_above_total", "/reimbursements"),
        ({"reimbursements__other": "5200.01"}, "reimbursed_above_total", "/reimbursements"),
        ({"stay__discharged_on": "2018-07-31"}, "dates_out_of_order", "/stay/discharged_on"),
        ({"stay__discharged_on": "2999-01-01"}, "date_in_future", "/stay/discharged_on"),
        ({"stay__admitted_on": "2015-08-08"}, "stay_too_long", "/stay/admitted_on"),
        ({"stay__admitted_on": "0001-01-01"}, "stay_too_long", "/stay/admitted_on"),
        ({"charges__in_scope": "20000.01"}, "part_above_total", "/charges/in_scope"),
        ({"charges__non_medical": "20000.01"}, "part_above_total", "/charges/non_medical"),
        ({"charges__catalogue_drugs": "8000.01"}, "part_above_total", "/charges/catalogue_drugs"),
        ({"charges__total": "20000"}, "money_malformed", "/charges/total"),
        ({"charges__total": 20000.0}, "money_malformed", "/charges/total"),
        ({"stay__admitted_on": "2018-02-30"}, "date_malformed", "/stay/admitted_on"),
        ({"circumstances__cause": "bad luck"}, "value_unknown", "/circumstances/cause"),
        ({"colour": "red"}, "unknown_field", "/colour"),
    ],
)
@pytest.mark.clause("C-21")
async def test_what_the_intake_refuses_is_refused_with_the_same_codes(
    world: World, changes: dict[str, Any], code: str, pointer: str
) -> None:
    await world.hear(world.an_institution())
    answer = await world.caller("hospital").post(PATH, json=a_body(world, **changes))
    assert problem(answer, 422, code)["errors"][0]["pointer"] == pointer


async def test_a_stay_of_three_years_is_believed(world: World) -> None:
    await world.hear(world.an_institution())
    answer = await world.caller("hospital").post(PATH, json=a_body(world, stay__admitted_on="2015-08-09"))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("role", ["hrss", "safety_net_office"])
async def test_an_office_learns_of_nobody_but_its_own_countys_residents(world: World, role: str) -> None:
    await world.hear(world.an_institution(), world.a_resident())
    nobody = a_body(world, patient__identity_number="TESTNOBODY")
    elsewhere = world.caller(role, county_code="450204")
    of_resident, of_nobody = [(await elsewhere.post(PATH, json=body)).json() for body in (a_body(world), nobody)]
    assert of_resident == of_nobody
    assert [reason["code"] for reason in of_resident["reasons"]] == ["not_registered"]
    assert (await world.caller(role).post(PATH, json=a_body(world))).json()["state"] == "settled"


@pytest.mark.clause("R-20")
async def test_a_hospital_is_told_of_its_own_bill_what_the_settlement_will_tell_it(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident(county_code="450204"))
    answer = await world.caller("hospital").post(PATH, json=a_body(world))
    await world.hear(world.a_bill())
    settled = (await world.live()).answer
    assert {name: answer.json()[name] for name in settled} == settled


@pytest.mark.parametrize("role", ["hospital", "hrss", "safety_net_office"])
async def test_no_estimate_names_the_resident(world: World, role: str) -> None:
    await world.hear(world.an_institution(), world.a_resident())
    answer = await world.caller(role).post(PATH, json=a_body(world))
    assert answer.status_code == 200
    assert "resident_id" not in answer.json()
    assert str(world.resident_id) not in answer.text


async def test_nothing_to_settle_and_an_unknown_institution_are_named_together(world: World) -> None:
    empty = dict.fromkeys(("total", "in_scope", "non_medical", "drugs", "catalogue_drugs"), "0.00")
    payers = ("basic_insurance", "critical_illness", "supplementary_insurance", "medical_assistance", "other")
    body = a_body(world, charges=empty, reimbursements=dict.fromkeys(payers, "0.00"))
    answer = problem(await world.caller("hospital").post(PATH, json=body), 422, "unknown_institution")
    assert [error["code"] for error in answer["errors"]] == ["unknown_institution", "nothing_to_settle"]


async def test_an_identity_number_is_never_echoed(world: World) -> None:
    answer = await world.caller("hospital").post(PATH, json=a_body(world, charges__total="x"))
    assert world.number.lower() not in answer.text.lower()
