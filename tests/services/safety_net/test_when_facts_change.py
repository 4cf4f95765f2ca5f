"""When the registry changes or a bill is corrected: what is settled anew, what stays, what is to come back."""

from datetime import date
from typing import Any

import pytest

from shared.events.contract import InsurancePeriod, Period, PovertyPeriod
from shared.kit.money import yuan
from tests.services.safety_net.world import ALWAYS, World

EMPLOYEE = [InsurancePeriod(**ALWAYS.model_dump(), scheme="employee", suspended=[])]
SUSPENDED = [InsurancePeriod(**ALWAYS.model_dump(), scheme="resident", suspended=[ALWAYS])]
PARTLY = [
    InsurancePeriod(
        **ALWAYS.model_dump(),
        scheme="resident",
        suspended=[Period(first_day=date(2018, 8, 5), last_day=date(2018, 8, 6))],
    )
]
INFANT = {"birth_date": date(2017, 12, 1), "household_registration": False}


@pytest.mark.parametrize(
    ("wrong", "state", "reason"),
    [
        ({"registered_poor": []}, "rejected", "not_registered"),
        ({"insurance": EMPLOYEE}, "rejected", "not_entitled"),
        ({"insurance": SUSPENDED}, "rejected", "insurance_suspended"),
        ({"insurance": PARTLY}, "held", "insurance_suspended"),
        ({"household_registration": False}, "rejected", "no_household_registration"),
        (INFANT, "rejected", "infant_without_documents"),
        ({"name_digest": "0" * 64}, "held", "evidence_missing"),
    ],
)
@pytest.mark.clause("R-19", "A3-09", "A3-13", "A3-14", "A3-15", "R-49")
async def test_a_fact_put_right_settles_anew(world: World, wrong: dict[str, Any], state: str, reason: str) -> None:
    await world.hear(world.an_institution(), world.a_resident(**wrong), world.a_bill())
    first = await world.live()
    assert (first.state, first.reasons) == (state, [reason])
    await world.hear(world.a_resident(revision=2))
    old, new = await world.settlements()
    assert (old.state, old.superseded_by, new.state) == ("superseded", new.settlement_id, "settled")
    assert await world.cases() == []


@pytest.mark.clause("A3-10", "R-44")
async def test_a_designation_put_right_settles_anew(world: World) -> None:
    await world.hear(world.an_institution(insurance_designated=[]), world.a_resident(), world.a_bill())
    assert (await world.live()).reasons == ["not_designated"]
    await world.hear(world.an_institution(revision=2))
    await world.look()
    assert [each.state for each in await world.settlements()] == ["superseded", "settled"]


async def test_a_change_that_alters_nothing_makes_no_new_settlement(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident(insurance=EMPLOYEE), world.a_bill())
    await world.hear(world.a_resident(revision=2, insurance=EMPLOYEE, household_no="2"))
    await world.hear(world.an_institution(revision=2, name="改名医院"))
    await world.look()
    assert len(await world.settlements()) == 1
    assert len(await world.said()) == 1


@pytest.mark.clause("R-19")
async def test_a_later_removal_from_the_register_leaves_a_granted_payment_alone(world: World) -> None:
    settlement = await world.settle()
    left = [PovertyPeriod(first_day=date(2016, 1, 1), last_day=date(2018, 12, 31), category="registered_poor")]
    await world.hear(world.a_resident(revision=2, registered_poor=left))
    assert (await world.live()).settlement_id == settlement.settlement_id
    assert await world.cases() == []


@pytest.mark.clause("R-19")
async def test_a_wrong_registration_found_later_opens_a_recovery_and_a_right_one_closes_it(world: World) -> None:
    settlement = await world.settle()
    await world.hear(world.a_resident(revision=2, registered_poor=[]))
    assert (await world.live()).settlement_id == settlement.settlement_id
    (case,) = await world.cases()
    assert (case.cause, case.direction, case.state) == ("registry", "recovery", "open")
    assert yuan(case.difference_fen) == "3200.00"
    assert case.reasons == ["not_registered"]
    await world.hear(world.a_resident(revision=3, registered_poor=[], household_no="2"))
    assert len(await world.cases()) == 1
    await world.hear(world.a_resident(revision=4))
    (case,) = await world.cases()
    assert case.state == "withdrawn"
    assert len(await world.said()) == 1


async def test_a_new_name_in_the_register_opens_no_recovery(world: World) -> None:
    await world.settle()
    await world.hear(world.a_resident(revision=2, name_digest="0" * 64))
    assert await world.cases() == []


@pytest.mark.clause("R-33")
@pytest.mark.parametrize(
    ("first", "then", "direction", "difference"),
    [
        ("county_hospital", "township_centre", "recovery", "600.00"),
        ("township_centre", "county_hospital", "further_payment", "600.00"),
    ],
)
async def test_a_difference_goes_either_way(
    world: World, first: str, then: str, direction: str, difference: str
) -> None:
    await world.hear(world.an_institution(kind=first), world.a_resident(), world.a_bill())
    await world.hear(world.an_institution(revision=2, kind=then))
    await world.look()
    (case,) = await world.cases()
    assert (case.direction, yuan(case.difference_fen), case.state) == (direction, difference, "open")


@pytest.mark.clause("R-33", "C-18")
async def test_late_money_of_an_insurer_is_a_correction_that_gives_the_fund_its_share_back(world: World) -> None:
    first = await world.settle(
        total="80000.00", in_scope="80000.00", basic_insurance="44000.00", medical_assistance="8000.00"
    )
    assert yuan(first.safety_net_fen) == "20000.00"
    await world.hear(
        world.a_correction(
            total="80000.00",
            in_scope="80000.00",
            basic_insurance="44000.00",
            medical_assistance="8000.00",
            critical_illness="9000.00",
        )
    )
    old, new = await world.settlements()
    assert (old.state, old.superseded_by, new.bill_version) == ("superseded", new.settlement_id, 2)
    assert yuan(new.safety_net_fen) == "11000.00"
    assert yuan(new.personal_fen) == yuan(old.personal_fen) == "8000.00"
    (case,) = await world.cases()
    assert (case.cause, case.direction, case.state) == ("correction", "recovery", "offset")
    assert yuan(case.difference_fen) == "9000.00"


@pytest.mark.clause("R-33", "C-07")
async def test_a_claimed_settlement_is_not_undone_the_difference_is_to_come_back(world: World) -> None:
    known: dict[str, Any] = {"total": "50000.00", "in_scope": "50000.00", "basic_insurance": "26000.00"}
    known |= {"critical_illness": "6500.00", "medical_assistance": "5000.00"}
    first = await world.settle(**known)
    assert yuan(first.safety_net_fen) == "7500.00"
    await world.claim(first)
    await world.hear(world.a_correction(**known, supplementary_insurance="4000.00"))
    assert yuan((await world.live()).safety_net_fen) == "3500.00"
    (case,) = await world.cases()
    assert (case.state, case.direction, yuan(case.difference_fen)) == ("open", "recovery", "4000.00")
    assert case.new_settlement_id == (await world.live()).settlement_id


@pytest.mark.clause("R-33")
async def test_a_claimed_settlement_corrected_upwards_is_a_further_payment(world: World) -> None:
    first = await world.settle()
    await world.claim(first)
    await world.hear(world.a_correction(medical_assistance="2000.00"))
    (case,) = await world.cases()
    assert (case.state, case.direction, yuan(case.difference_fen)) == ("open", "further_payment", "1000.00")


async def test_a_claimed_settlement_whose_bill_is_voided_is_to_come_back_whole(world: World) -> None:
    first = await world.settle()
    await world.claim(first)
    await world.hear(world.a_void(2))
    (case,) = await world.cases()
    assert (case.cause, case.state, yuan(case.difference_fen)) == ("void", "open", "3200.00")


async def test_an_open_recovery_gives_way_when_the_bill_itself_is_corrected(world: World) -> None:
    await world.settle()
    await world.hear(world.a_resident(revision=2, registered_poor=[]), world.a_correction())
    registry, correction = await world.cases()
    assert (registry.cause, registry.state) == ("registry", "offset")
    assert (correction.cause, correction.state, yuan(correction.difference_fen)) == ("correction", "offset", "3200.00")
    assert (await world.live()).state == "rejected"


@pytest.mark.clause("R-20")
async def test_a_patient_in_two_counties_registers_belongs_where_he_is_poor(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident(registered_poor=[]))
    elsewhere = world.a_resident(resident_id=world.discharge_id, county_code="450204")
    await world.hear(elsewhere, world.a_bill())
    settlement = await world.live()
    assert settlement.county_code == "450204"
    assert settlement.reasons == ["no_policy_in_force"]
    await world.hear(world.a_resident(revision=2), world.a_resident(revision=2, resident_id=world.discharge_id))
    assert (await world.live()).county_code == "450223"
