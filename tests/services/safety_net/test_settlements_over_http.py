"""Reading, listing and recomputing settlements."""

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from safety_net_service.settlements.models import Settlement
from shared.kit import clock
from shared.kit.scope import SERVICE
from tests.clients import Issuer, problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/settlements"


@pytest.mark.clause("A3-20", "A3-21", "C-01")
async def test_a_clerk_reads_what_each_payer_bears_and_why(world: World) -> None:
    settlement = await world.settle()
    answer = await world.caller("hospital").get(f"{PATH}/{settlement.settlement_id}")
    assert answer.status_code == 200
    body = answer.json()
    assert body["settlement_id"] == str(settlement.settlement_id)
    assert (body["discharge_id"], body["bill_version"]) == (str(world.discharge_id), 1)
    assert (body["state"], body["decision"], body["reasons"]) == ("settled", "pass", [])
    assert body["policy"] == {"county_code": "450223", "pack": "settlement", "version": "luzhai/2018.1"}
    assert body["procedure"] == "hospital_advance"
    assert body["amounts"] == {
        "total": "20000.00",
        "base": "20000.00",
        "basic_insurance": "11800.00",
        "critical_illness": "0.00",
        "supplementary_insurance": "0.00",
        "medical_assistance": "3000.00",
        "other": "0.00",
        "reimbursed": "14800.00",
        "government_topup": "0.00",
        "safety_net": "3200.00",
        "hospital_share": "0.00",
        "personal": "2000.00",
        "patient_pays": "2000.00",
    }
    assert body["if_passed"] is None
    assert (body["actual_reimbursement_ratio"], body["ratio_of_receipt"]) == ("0.9000", "0.9000")
    assert [(year["year"], year["days"], year["safety_net"]) for year in body["years"]] == [(2018, 10, "3200.00")]
    assert all(step["clause"] and step["quote"] and step["says"] for step in body["steps"])
    assert "read" in await world.audited(settlement.settlement_id)


async def test_what_is_told_is_what_is_read(world: World) -> None:
    settlement = await world.settle()
    read = (await world.caller("hrss").get(f"{PATH}/{settlement.settlement_id}")).json()
    (said,) = await world.said()
    assert {**said.settlement, "made_at": None} == {**read, "made_at": None}
    told = str(said.model_dump())
    assert "测试甲" not in told
    assert world.number not in told


async def test_nobody_reads_what_is_not_there(world: World) -> None:
    problem(await world.caller("auditor").get(f"{PATH}/{uuid4()}"), 404, "not_found")
    assert (await world.caller("auditor").get(f"{PATH}/not-an-id")).status_code == 422


async def test_lists_are_newest_first_and_turn_pages(world: World, safety_net: FastAPI, issuer: Issuer) -> None:
    for number in range(5):
        other = World(safety_net, issuer)
        other.institution_code = world.institution_code
        await other.settle(total=f"{20000 + number}.00")
    hospital = world.caller("hospital")
    first = (await hospital.get(PATH, params={"limit": 2})).json()
    second = (await hospital.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    third = (await hospital.get(PATH, params={"limit": 2, "cursor": second["next_cursor"]})).json()
    seen = [item["amounts"]["total"] for page in (first, second, third) for item in page["items"]]
    assert seen == ["20004.00", "20003.00", "20002.00", "20001.00", "20000.00"]
    assert third["next_cursor"] is None
    problem(
        await world.caller("hrss").get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}), 400, "cursor_invalid"
    )
    problem(
        await hospital.get(PATH, params={"limit": 2, "state": "held", "cursor": first["next_cursor"]}),
        400,
        "cursor_invalid",
    )
    assert (await hospital.get(PATH, params={"limit": 201})).status_code == 422
    problem(await hospital.get(PATH, params={"colour": "red"}), 422, "unknown_parameter")


async def test_lists_are_filtered(world: World) -> None:
    await world.settle()
    await world.hear(world.a_correction())
    today = clock.today().isoformat()
    office = world.caller("safety_net_office")
    mine = {"discharge_id": str(world.discharge_id)}

    async def states(**filters: str) -> list[str]:
        answer = await office.get(PATH, params={**mine, **filters})
        assert answer.status_code == 200, answer.text
        return [item["state"] for item in answer.json()["items"]]

    assert await states() == ["settled", "superseded"]
    assert await states(state="settled") == ["settled"]
    assert await states(resident_id=str(world.resident_id)) == ["settled", "superseded"]
    assert await states(resident_id=str(uuid4())) == []
    assert await states(institution_code=world.institution_code, made_from=today, made_to=today) == [
        "settled",
        "superseded",
    ]
    assert await states(made_to="2018-12-31") == []
    assert await states(made_from="2999-01-01") == []


async def test_recomputing_gives_the_stored_numbers(world: World) -> None:
    settlement = await world.settle()
    for role in ("safety_net_office", "auditor"):
        answer = await world.caller(role).post(f"{PATH}/{settlement.settlement_id}/recompute")
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"equal": True, "policy_versions": ["luzhai/2018.1"], "differences": []}
    assert "recomputed" in await world.audited(settlement.settlement_id)


async def test_what_stood_in_the_register_then_is_what_counts_when_recomputing(world: World) -> None:
    settlement = await world.settle()
    await world.hear(world.a_resident(revision=2, registered_poor=[]))
    answer = await world.caller("auditor").post(f"{PATH}/{settlement.settlement_id}/recompute")
    assert answer.json()["equal"] is True


@pytest.mark.parametrize(
    ("changed", "pointers"),
    [
        (
            {"safety_net_fen": 320_001, "personal_fen": 199_999},
            {"/stored/safety_net_fen": (320_001, 320_000), "/stored/personal_fen": (199_999, 200_000)},
        ),
        ({"policy_version": "luzhai/2018.2"}, {"/stored/policy_version": ("luzhai/2018.2", "luzhai/2018.1")}),
    ],
)
async def test_a_number_that_was_tampered_with_is_found(
    world: World, changed: dict[str, Any], pointers: dict[str, tuple[Any, Any]]
) -> None:
    settlement = await world.settle()
    await tamper(world, settlement, **changed)
    body = (await world.caller("auditor").post(f"{PATH}/{settlement.settlement_id}/recompute")).json()
    assert body["equal"] is False
    assert {each["pointer"]: (each["stored"], each["recomputed"]) for each in body["differences"]} == pointers


async def test_an_explanation_that_was_tampered_with_is_found(world: World) -> None:
    settlement = await world.settle()
    amounts = {**settlement.answer["amounts"], "safety_net": "9200.00"}
    await tamper(world, settlement, answer={**settlement.answer, "amounts": amounts})
    body = (await world.caller("auditor").post(f"{PATH}/{settlement.settlement_id}/recompute")).json()
    (difference,) = body["differences"]
    assert difference == {"pointer": "/amounts/safety_net", "stored": "9200.00", "recomputed": "3200.00"}


async def test_a_pack_that_is_gone_can_not_be_recomputed_with(world: World) -> None:
    settlement = await world.settle()
    await tamper(world, settlement, packs=["luzhai/2017.1"])
    answer = await world.caller("auditor").post(f"{PATH}/{settlement.settlement_id}/recompute")
    problem(answer, 409, "policy_version_missing")


async def tamper(world: World, settlement: Settlement, **values: Any) -> None:
    async with world.state.database.transaction(SERVICE) as session:
        await session.execute(
            update(Settlement).where(Settlement.settlement_id == settlement.settlement_id).values(**values)
        )


@pytest.mark.parametrize("made", ["0", "2018-08-01T00:00:00", "20180801", "2018-02-30", "1e9"])
@pytest.mark.parametrize("name", ["made_from", "made_to"])
async def test_a_date_asked_for_is_a_date_of_law(world: World, name: str, made: str) -> None:
    answer = await world.caller("auditor").get("/safety-net/v1/settlements", params={name: made})
    assert problem(answer, 422, "date_malformed")["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize("made", ["0001-01-01", "9999-12-31"])
async def test_the_ends_of_the_calendar_are_dates_too(world: World, made: str) -> None:
    answer = await world.caller("auditor").get(
        "/safety-net/v1/settlements", params={"made_from": made, "made_to": made}
    )
    assert answer.status_code == 200
