"""A bill that comes before its patient's registration waits a little, and is never lost."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI

from safety_net_service.bills.consumers import Hearing
from tests.clients import Issuer, problem
from tests.services.safety_net.world import World


@pytest.fixture
def impatient(world: World) -> World:
    """A world in which bills wait a tenth of a second."""
    world.hearing = Hearing(replace(world.state.law, wait=timedelta(seconds=0.1)))
    return world


async def test_a_bill_waits_and_its_patients_registration_settles_it_at_once(world: World) -> None:
    await world.hear(world.an_institution(), world.a_bill())
    await world.look()
    assert await world.settlements() == []
    assert (await world.bill()).wait_until is not None
    await world.hear(world.a_resident())
    assert (await world.live()).state == "settled"
    assert (await world.bill()).wait_until is None


@pytest.mark.clause("R-20")
async def test_when_the_wait_is_over_the_bill_is_rejected_as_not_registered(impatient: World) -> None:
    await impatient.hear(impatient.an_institution(), impatient.a_bill())
    await impatient.look()
    assert await impatient.settlements() == []
    await asyncio.sleep(0.15)
    await impatient.look()
    settlement = await impatient.live()
    assert (settlement.state, settlement.reasons) == ("rejected", ["not_registered"])
    assert settlement.county_code == "450223"
    assert settlement.resident_id is None


@pytest.mark.clause("R-19", "R-33")
async def test_a_late_registration_settles_a_rejected_bill_anew(impatient: World) -> None:
    await impatient.hear(impatient.an_institution(), impatient.a_bill())
    await asyncio.sleep(0.15)
    await impatient.look()
    await impatient.hear(impatient.a_resident())
    rejected, settled = await impatient.settlements()
    assert (rejected.state, rejected.superseded_by) == ("superseded", settled.settlement_id)
    assert settled.state == "settled"
    assert [event.state for event in await impatient.said()] == ["rejected", "settled"]
    assert await impatient.cases() == []


async def test_a_bill_waits_for_its_institution_and_keeps_waiting_for_its_patient(world: World) -> None:
    await world.hear(world.a_bill(), world.an_institution())
    await world.look()
    assert await world.settlements() == []
    assert await world.looks() == ["wait", "wait"]
    await world.hear(world.a_resident())
    assert (await world.live()).state == "settled"


async def test_an_institution_that_comes_last_settles_at_once(world: World) -> None:
    await world.hear(world.a_resident(), world.a_bill())
    assert await world.settlements() == []
    await world.hear(world.an_institution())
    assert (await world.live()).state == "settled"


@pytest.mark.parametrize("digits", ["450223", "450204"])
async def test_a_bill_of_an_institution_that_stays_unknown_is_held_until_it_is_registered(
    world: World, digits: str
) -> None:
    world.institution_code = world.institution_code.replace("450223", digits, 1)
    await world.hear(world.a_resident(), world.a_bill())
    await world.let_time_pass()
    held = await world.live()
    assert (held.state, held.reasons, held.county_code) == ("held", ["evidence_missing"], "450223")
    assert (held.safety_net_fen, held.answer["if_passed"]["safety_net"]) == (0, "3200.00")
    url = f"/safety-net/v1/settlements/{held.settlement_id}"
    body = {"decision": "pass", "reason": "理由", "legal_basis": "A3-10"}
    problem(await world.caller("safety_net_office").create(f"{url}/decisions", body), 409, "decision_without_effect")
    assert (await world.caller("auditor").post(f"{url}/recompute")).json()["equal"] is True
    await world.hear(world.an_institution())
    await world.look()
    assert (await world.live()).state == "settled"


async def test_what_is_certain_rejects_though_the_institution_is_unknown(world: World) -> None:
    await world.hear(world.a_bill(care_setting="outpatient"))
    await world.let_time_pass()
    assert (await world.live()).reasons == ["not_registered", "outpatient"]


@pytest.mark.clause("R-36")
async def test_a_newborn_without_number_is_held_without_waiting_until_a_correction_names_him(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident(), world.a_bill(identity_digest=None))
    held = await world.live()
    assert (held.state, held.reasons) == ("held", ["evidence_missing"])
    await world.hear(world.a_correction())
    assert [each.state for each in await world.settlements()] == ["superseded", "settled"]


async def test_a_correction_to_an_unknown_patient_leaves_the_old_settlement_until_it_is_judged(world: World) -> None:
    first = await world.settle()
    await world.hear(world.a_correction(identity_digest=world.digest("SOMEBODY ELSE")))
    assert (await world.live()).settlement_id == first.settlement_id
    await world.let_time_pass()
    old, new = await world.settlements()
    assert (old.state, new.state, new.reasons) == ("superseded", "rejected", ["not_registered"])


async def test_a_registration_that_commits_beside_the_end_of_the_wait_is_never_overlooked(
    safety_net: FastAPI, issuer: Issuer
) -> None:
    for _ in range(25):
        world = World(safety_net, issuer)
        await world.hear(world.an_institution(), world.a_bill())
        await asyncio.gather(world.let_time_pass(), world.hear(world.a_resident()))
        await world.let_time_pass()
        assert (await world.live()).state == "settled"


async def test_bills_and_registrations_heard_side_by_side_all_settle(safety_net: FastAPI, issuer: Issuer) -> None:
    worlds = [World(safety_net, issuer) for _ in range(20)]

    async def tell(world: World) -> None:
        await asyncio.gather(
            *(world.hear(event) for event in (world.a_bill(), world.a_resident(), world.an_institution()))
        )

    await asyncio.gather(*(tell(world) for world in worlds))
    for world in worlds:
        await world.let_time_pass()
        assert (await world.live()).state == "settled"
        assert len(await world.settlements()) == 1


async def test_one_bill_that_cannot_be_judged_keeps_no_other_waiting(
    world: World, safety_net: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safety_net_service.bills import service

    other = World(safety_net, issuer)
    for each in (world, other):
        await each.hear(each.an_institution(), each.a_bill())
    judge = service.look

    async def fails_for_one(session: object, bill: object, law: object, *, alone: bool) -> None:
        if getattr(bill, "discharge_id", None) == world.discharge_id:
            raise RuntimeError
        await judge(session, bill, law, alone=alone)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "look", fails_for_one)
    await world.let_time_pass()
    monkeypatch.undo()
    assert await world.settlements() == []
    assert await world.looks() == ["wait"]
    await other.let_time_pass()
    assert (await other.live()).state == "rejected"
