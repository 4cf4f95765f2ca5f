"""A county whose fund is limited (乌拉特中旗): what is promised to one bill is no longer there for the next."""

import asyncio
from datetime import date

import pytest
from fastapi import FastAPI
from httpx import Response

from shared.kit.money import yuan
from tests.clients import Client, Issuer, problem
from tests.services.safety_net.world import World

URAD = "150824"


async def a_held_bill(world: World, total: str) -> str:
    """A bill of the other county, which has a fund and no formula: the path of its settlement."""
    await world.hear(
        world.an_institution(county_code=URAD),
        world.a_resident(county_code=URAD),
        world.a_bill(
            admitted_on=date(2020, 3, 1),
            discharged_on=date(2020, 3, 11),
            total=total,
            in_scope=total,
            basic_insurance="0.00",
            medical_assistance="0.00",
        ),
    )
    settlement = await world.live()
    assert (settlement.state, settlement.county_code) == ("held", URAD)
    return f"/safety-net/v1/settlements/{settlement.settlement_id}/decisions"


def office(world: World, person: str) -> Client:
    return world.caller("safety_net_office", subject=person, county_code=URAD)


async def propose(world: World, path: str, amount: str) -> Response:
    body = {"decision": "pass", "reason": "经会商决定", "legal_basis": "U-12", "amount": amount}
    return await office(world, "first").create(path, body)


async def confirm(world: World, path: str, decision: Response) -> Response:
    assert decision.status_code == 201, decision.text
    return await office(world, "second").post(f"{path}/{decision.json()['decision_id']}/confirm")


@pytest.mark.clause("U-12", "R-39", "C-26")
async def test_the_fund_is_promised_once(safety_net: FastAPI, issuer: Issuer) -> None:
    first, second, third = (World(safety_net, issuer) for _ in range(3))
    path = await a_held_bill(first, "2500000.00")
    answer = await confirm(first, path, await propose(first, path, "1998500.00"))
    assert answer.json()["settlement"]["amounts"]["safety_net"] == "1998500.00"

    path = await a_held_bill(second, "2000.00")
    problem(await propose(second, path, "2000.00"), 409, "decision_without_effect")
    answer = await confirm(second, path, await propose(second, path, "1500.00"))
    assert answer.json()["settlement"]["amounts"]["safety_net"] == "1500.00"

    await first.hear(first.a_void(2))
    path = await a_held_bill(third, "2000.00")
    answer = await confirm(third, path, await propose(third, path, "2000.00"))
    assert yuan((await third.live()).safety_net_fen) == "2000.00"
    recomputed = await third.caller("auditor", county_code=URAD).post(
        f"/safety-net/v1/settlements/{answer.json()['decided_settlement_id']}/recompute"
    )
    assert recomputed.json()["equal"] is True
    for world in (second, third):
        await world.hear(world.a_void(2))


@pytest.mark.clause("R-39")
async def test_two_that_want_the_rest_of_the_fund_at_once_do_not_both_get_it(
    safety_net: FastAPI, issuer: Issuer
) -> None:
    worlds = [World(safety_net, issuer) for _ in range(3)]
    paths = [await a_held_bill(world, "1500000.00") for world in worlds]
    decisions = [await propose(world, path, "1500000.00") for world, path in zip(worlds, paths, strict=True)]
    answers = await asyncio.gather(
        *(confirm(world, path, decision) for world, path, decision in zip(worlds, paths, decisions, strict=True))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    for world in worlds:
        await world.hear(world.a_void(2))


@pytest.mark.clause("R-39")
async def test_money_given_back_to_the_fund_is_offered_to_who_was_held_for_want_of_it(
    safety_net: FastAPI, issuer: Issuer
) -> None:
    paid, short, too_much = (World(safety_net, issuer) for _ in range(3))
    path = await a_held_bill(paid, "1998500.00")
    assert (await confirm(paid, path, await propose(paid, path, "1998500.00"))).status_code == 200
    path = await a_held_bill(short, "2000.00")
    kept = await propose(too_much, await a_held_bill(too_much, "2500000.00"), "500.00")
    assert kept.status_code == 201
    before = {world: await world.live() for world in (short, too_much)}
    assert "R-39" in [reason["clause"] for reason in before[short].answer["reasons"]]
    await paid.hear(paid.a_void(2))
    after = {world: await world.live() for world in (short, too_much)}
    assert "R-39" not in [reason["clause"] for reason in after[short].answer["reasons"]]
    assert after[short].state == "held"
    # Still short, if of less: its settlement stands, and with it the decision that waits for its second person.
    assert after[too_much].settlement_id == before[too_much].settlement_id
    for world in (short, too_much):
        await world.hear(world.a_void(2))


@pytest.mark.clause("R-39")
async def test_a_correction_gives_the_money_back_too(safety_net: FastAPI, issuer: Issuer) -> None:
    paid, short = World(safety_net, issuer), World(safety_net, issuer)
    path = await a_held_bill(paid, "1998500.00")
    await confirm(paid, path, await propose(paid, path, "1998500.00"))
    await a_held_bill(short, "2000.00")
    await paid.hear(paid.a_resident(county_code=URAD, revision=2, registered_poor=[]))
    await paid.hear(
        paid.a_correction(
            admitted_on=date(2020, 3, 1),
            discharged_on=date(2020, 3, 11),
            total="10.00",
            in_scope="10.00",
            drugs="0.00",
            catalogue_drugs="0.00",
            basic_insurance="0.00",
            medical_assistance="0.00",
        )
    )
    assert (await paid.live()).state == "rejected"
    assert "R-39" not in [reason["clause"] for reason in (await short.live()).answer["reasons"]]
    for world in (paid, short):
        await world.hear(world.a_void(3))
