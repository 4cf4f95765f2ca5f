"""The content of the three-part notice (三联单)."""

import pytest

from shared.kit.money import fen
from tests.clients import problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/notices"


@pytest.mark.clause("A3-25", "R-07", "R-32")
async def test_the_notice_shows_all_payers_and_who_gets_which_sheet(world: World) -> None:
    settlement = await world.settle(supplementary_insurance="200.00", government_topup="100.00")
    answer = await world.caller("hospital").get(f"{PATH}/{settlement.settlement_id}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["patient_name"] == "测试甲"
    assert body["institution"] == {"institution_code": world.institution_code, "name": "测试县医院"}
    assert (body["admitted_on"], body["discharged_on"], body["bill_no"]) == ("2018-08-01", "2018-08-11", "T-1")
    amounts = {each["code"]: each["amount"] for each in body["amounts"]}
    assert amounts == {
        "basic_insurance": "11800.00",
        "critical_illness": "0.00",
        "supplementary_insurance": "200.00",
        "medical_assistance": "3000.00",
        "government_topup": "100.00",
        "safety_net": "2900.00",
        "hospital_share": "0.00",
        "personal": "2000.00",
    }
    assert sum(map(fen, amounts.values())) == fen(body["total"])
    assert [each["code"] for each in body["amounts"] if each["clause"] == "A3-25"] == [
        "basic_insurance",
        "critical_illness",
        "medical_assistance",
        "safety_net",
        "personal",
    ]
    assert [(each["number"], each["holder"]) for each in body["sheets"]] == [
        (1, "hospital"),
        (2, "patient"),
        (3, "safety_net_office"),
    ]
    assert body["policy"]["version"] == "luzhai/2018.1"
    assert "A3-20" in {each["clause"] for each in body["clauses"]}
    assert all(each["quote"] for each in body["clauses"])


async def test_reading_a_notice_is_audited(world: World) -> None:
    settlement = await world.settle()
    await world.caller("finance").get(f"{PATH}/{settlement.settlement_id}")
    trail = await world.caller("auditor").get(
        "/safety-net/v1/audit", params={"object_type": "notice", "object_id": str(settlement.settlement_id)}
    )
    assert [(row["action"], row["roles"]) for row in trail.json()["items"]] == [("read", "finance")]


async def test_there_is_none_of_what_is_held_rejected_superseded_or_voided(world: World) -> None:
    caller = world.caller("hospital")
    await world.settle(cause="other_excluded")
    problem(await caller.get(f"{PATH}/{(await world.live()).settlement_id}"), 409, "not_settled")
    await world.hear(world.a_correction(cause="crime"))
    problem(await caller.get(f"{PATH}/{(await world.live()).settlement_id}"), 409, "not_settled")
    await world.hear(world.a_correction(3), world.a_correction(4), world.a_void(5))
    for settlement in await world.settlements():
        problem(await caller.get(f"{PATH}/{settlement.settlement_id}"), 409, "not_settled")
