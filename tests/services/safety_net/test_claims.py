"""A hospital's monthly claim: gathered, frozen, reviewed line by line, and nothing claimed twice."""

import asyncio
import io
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pypdfium2
import pytest

from safety_net_service.settlements.models import Settlement
from safety_net_service.workdays.service import keep_up
from shared.kit import clock
from shared.kit.money import fen
from tests.clients import Client, problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/claims"
ACCOUNT = {"bank": "示例银行鹿寨支行", "holder": "测试县医院", "number": "1000200030004000"}
SIGNED = {"signed_by": "patient", "image_sha256": "ab" * 32}


@pytest.fixture
async def told(world: World) -> World:
    await keep_up(world.state.database)
    return world


async def another(world: World, **changes: Any) -> Settlement:
    """One more stay of the patient in this world's hospital."""
    bill_id = uuid4()
    await world.hear(world.a_bill(discharge_id=bill_id, bill_no=f"T-{bill_id.hex[:6]}", **changes))
    (settlement,) = await world.settlements(bill_id)
    return settlement


async def signed(world: World, settlement: Settlement) -> None:
    """The notice of a settlement is printed and signed."""
    hospital, path = world.caller("hospital"), f"/safety-net/v1/notices/{settlement.settlement_id}/prints"
    printed = await hospital.create(path, {"reason": "再打"})
    assert (await hospital.create(f"{printed.headers['Location']}/signature", SIGNED)).status_code == 201


async def submitted(caller: Client, month: str = "2018-08") -> dict[str, Any]:
    answer = await caller.create(PATH, {"month": month, "account": ACCOUNT})
    assert answer.status_code == 201, answer.text
    claim: dict[str, Any] = answer.json()
    assert (await caller.get(answer.headers["Location"])).json() == claim
    return claim


async def lines_of(caller: Client, claim: dict[str, Any], **query: int) -> list[dict[str, Any]]:
    answer = await caller.get(f"{PATH}/{claim['claim_id']}/lines", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def office(world: World) -> Client:
    return world.caller("safety_net_office")


async def test_a_claim_gathers_what_the_hospital_advanced_and_freezes_it(told: World) -> None:
    first = await told.settle()
    second = await another(told, total="10000.00", in_scope="9000.00", basic_insurance="5000.00")
    # Not advanced, not paying, of the next month.
    await another(told, pay_later_agreement_no=None)
    await another(told, basic_insurance="17000.00")
    await another(told, discharged_on=date(2018, 9, 1))
    hospital = told.caller("hospital")
    claim = await submitted(hospital)
    assert (claim["state"], claim["lines"], claim["returned"], claim["unsigned"]) == ("submitted", 2, 0, 2)
    assert fen(claim["safety_net"]) == first.safety_net_fen + second.safety_net_fen
    assert (claim["account"], claim["institution_name"]) == (ACCOUNT, "测试县医院")
    items = await lines_of(hospital, claim)
    assert {each["settlement_id"] for each in items} == {str(first.settlement_id), str(second.settlement_id)}
    assert {(each["bill_version"], each["policy_version"], each["signed"]) for each in items} == {
        (1, "luzhai/2018.1", False)
    }
    assert all(len(each["facts_sha256"]) == 64 for each in items)
    assert [each["place"] for each in items] == [1, 2]
    assert [each["place"] for each in await lines_of(hospital, claim, limit=1)] == [1]
    assert await told.audited(claim["claim_id"]) == ["submitted", *["read"] * 3]
    assert (await told.settlements(first.discharge_id))[0].claimed_at is not None


async def test_a_month_is_claimed_once_and_a_retry_is_the_same(told: World) -> None:
    await told.settle()
    hospital, key = told.caller("hospital"), str(uuid4())
    body = {"month": "2018-08", "account": ACCOUNT}
    first = await hospital.create(PATH, body, key=key)
    again = await hospital.create(PATH, body, key=key)
    assert (again.status_code, again.json(), again.headers["Idempotency-Replayed"]) == (201, first.json(), "true")
    problem(await hospital.create(PATH, body), 409, "claim_exists")
    problem(await hospital.create(PATH, {**body, "month": "2018-09"}), 409, "nothing_to_claim")
    this_month = f"{clock.today():%Y-%m}"
    problem(await hospital.create(PATH, {**body, "month": this_month}), 422, "month_not_over")
    problem(await hospital.create(PATH, {**body, "month": "2018-8"}), 422, "month_malformed")
    wrong = {**body, "account": {**ACCOUNT, "number": "12-34"}}
    problem(await hospital.create(PATH, wrong), 422, "format_invalid")


async def test_two_claims_at_once_share_no_settlement(told: World) -> None:
    await told.settle()
    for _ in range(3):
        await another(told)
    hospital = told.caller("hospital")
    bodies = [{"month": f"2018-{month}", "account": ACCOUNT} for month in ("08", "09", "10", "11")]
    answers = await asyncio.gather(*(hospital.create(PATH, body) for body in bodies))
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert [answer.json()["code"] for answer in answers if answer.status_code != 201] == ["nothing_to_claim"] * 3
    assert [claim["lines"] for claim in made] == [4]


@pytest.mark.clause("R-50")
async def test_the_offices_seven_working_days_begin_with_the_batch(
    told: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told.settle()
    hospital = told.caller("hospital", seconds=10**9)
    await told.let_time_pass()
    token_from_now_on = datetime(2026, 11, 27, 16, tzinfo=clock.CHINA)
    monkeypatch.setattr(clock, "now", lambda: token_from_now_on)
    claim = await submitted(hospital)
    running = claim["clock"]
    assert (running["step"], running["days"], running["clause"]) == ("office_review", 7, "A3-25")
    assert (running["started_on"], running["due_on"], running["days_left"]) == ("2026-11-27", "2026-12-08", 7)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 12, 10, 9, tzinfo=clock.CHINA))
    running = (await hospital.get(f"{PATH}/{claim['claim_id']}")).json()["clock"]
    assert (running["due_on"], running["days_left"], running["late"]) == ("2026-12-08", -2, True)


async def test_a_year_without_working_days_leaves_the_clock_open(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await told.settle()
    hospital = told.caller("hospital", seconds=10**9)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 12, 29, 9, tzinfo=clock.CHINA))
    running = (await submitted(hospital))["clock"]
    assert (running["due_on"], running["days_left"], running["late"]) == (None, None, False)
    assert running["unknown_year"] == 2027


@pytest.mark.clause("R-15")
async def test_a_line_without_a_signed_sheet_does_not_pass(told: World) -> None:
    first, second = await told.settle(), await another(told)
    hospital, review = told.caller("hospital"), office(told)
    claim = await submitted(hospital)
    path = f"{PATH}/{claim['claim_id']}"
    body = problem(await review.post(f"{path}/review"), 409, "lines_unsigned")
    assert body["lines"] == 2
    await signed(told, first)
    assert problem(await review.post(f"{path}/review"), 409, "lines_unsigned")["lines"] == 1
    (unsigned,) = [each for each in await lines_of(review, claim) if not each["signed"]]
    assert unsigned["settlement_id"] == str(second.settlement_id)
    answer = await review.post(f"{path}/lines/{unsigned['place']}/return", json={"reason": "第三联未签字"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["returned"], answer.json()["unsigned"]) == (1, 0)
    assert fen(answer.json()["safety_net"]) == first.safety_net_fen
    again = await review.post(f"{path}/lines/{unsigned['place']}/return", json={"reason": "第三联未签字"})
    problem(again, 409, "line_returned")
    passed = await review.post(f"{path}/review")
    assert passed.status_code == 200, passed.text
    read = passed.json()
    assert (read["state"], read["reviewed_by"]) == ("reviewed", "test-safety_net_office")
    assert (read["clock"]["step"], read["clock"]["days"]) == ("departments", 3)
    assert read["clock"]["started_on"] == f"{clock.today()}"
    problem(await review.post(f"{path}/review"), 409, "claim_closed")
    problem(await review.post(f"{path}/lines/1/return", json={"reason": "x"}), 409, "claim_closed")
    trail = await told.audited(claim["claim_id"])
    assert [each for each in trail if each != "read"] == ["submitted", "returned_line", "reviewed"]
    # Returned in August, claimed in September.
    later = await submitted(hospital, "2018-09")
    assert [each["settlement_id"] for each in await lines_of(hospital, later)] == [str(second.settlement_id)]


async def test_a_corrected_bill_is_not_claimed_a_second_time(told: World) -> None:
    await told.settle()
    hospital = told.caller("hospital")
    claim = await submitted(hospital)
    await told.hear(told.a_correction(medical_assistance="3500.00"))
    problem(await hospital.create(PATH, {"month": "2018-09", "account": ACCOUNT}), 409, "nothing_to_claim")
    (case,) = await told.cases()
    assert (case.state, case.difference_fen) == ("open", 50_000)
    # Sent back unpaid, there is nothing to recover: the new settlement is claimed in the old one's place.
    answer = await office(told).post(f"{PATH}/{claim['claim_id']}/lines/1/return", json={"reason": "结算已更正"})
    assert answer.status_code == 200, answer.text
    (case,) = await told.cases()
    assert case.state == "offset"
    later = await submitted(hospital, "2018-09")
    (line,) = await lines_of(hospital, later)
    assert line["settlement_id"] == str((await told.live()).settlement_id)
    assert (line["bill_version"], line["safety_net"]) == (2, "2700.00")


async def test_a_claimed_settlement_is_no_longer_decided_on(told: World) -> None:
    settlement = await told.settle()
    await submitted(told.caller("hospital"))
    decided = {"decision": "reject", "reason": "查明系他人购药", "legal_basis": "A3-16"}
    path = f"/safety-net/v1/settlements/{settlement.settlement_id}/decisions"
    problem(await office(told).create(path, decided), 409, "already_claimed")


async def test_a_claim_is_seen_in_its_scope_only(told: World) -> None:
    await told.settle()
    hospital = told.caller("hospital")
    claim = await submitted(hospital)
    path = f"{PATH}/{claim['claim_id']}"
    strangers = [
        told.caller("hospital", institution_code="H45022300999"),
        told.caller("safety_net_office", county_code="450204"),
    ]
    for stranger in strangers:
        for place in ("", "/lines", "/summary.pdf", "/summary.xlsx"):
            problem(await stranger.get(path + place), 404, "not_found")
        listed = await stranger.get(PATH, params={"institution_code": told.institution_code})
        assert listed.json()["items"] == []
    problem(await strangers[1].post(f"{path}/review"), 404, "not_found")
    for role in ("department_head", "finance", "auditor"):
        listed = await told.caller(role).get(PATH, params={"institution_code": told.institution_code})
        assert [each["claim_id"] for each in listed.json()["items"]] == [claim["claim_id"]]
    asked = {"institution_code": told.institution_code, "month": "2018-07"}
    assert (await office(told).get(PATH, params=asked)).json()["items"] == []


@pytest.mark.clause("A3-25")
async def test_the_monthly_summary_adds_up_as_pages_and_as_a_table(told: World) -> None:
    await told.settle(name_digest=told.state.keyring.name_digest("测试甲"), supplementary_insurance="200.00")
    await another(told, total="10000.00", in_scope="9000.00", basic_insurance="5000.00", admission_no="=1+1")
    claim = await submitted(told.caller("hospital"))
    path = f"{PATH}/{claim['claim_id']}/summary"
    pages = await office(told).get(f"{path}.pdf")
    assert (pages.status_code, pages.headers["content-type"]) == (200, "application/pdf")
    document = pypdfium2.PdfDocument(pages.content)
    text = "".join("".join(page.get_textpage().get_text_bounded().split()) for page in document)
    document.close()
    for said in ("每月垫付资金汇总表", "2018-08", ACCOUNT["number"], "测试甲", "合计（2例）", claim["safety_net"]):
        assert said in text, said
    table = await office(told).get(f"{path}.xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(table.content)).worksheets[0]
    rows = [[cell for cell in row if cell.value is not None] for row in sheet.iter_rows()]
    head = next(number for number, row in enumerate(rows) if row and row[0].value == "序号")
    body, last = rows[head + 1 : -1], rows[-1]
    assert len(body) == 2
    assert f"{sum(round(row[-1].value * 100) for row in body)}" == f"{fen(claim['safety_net'])}"
    assert round(last[-1].value * 100) == fen(claim["safety_net"])
    # What begins with = is a word, not a formula.
    assert {(row[2].value, row[2].data_type) for row in body} == {("A-1", "s"), ("=1+1", "s")}
    assert (await told.audited(claim["claim_id"]))[-2:] == ["printed_summary"] * 2


async def test_only_the_office_returns_and_reviews_and_not_its_own_claim(told: World) -> None:
    await told.settle()
    both = told.caller("hospital", subject="two-hats")
    claim = await submitted(both)
    await signed(told, await told.live())
    same = told.caller("safety_net_office", subject="two-hats")
    problem(await same.post(f"{PATH}/{claim['claim_id']}/review"), 403, "same_person")
    problem(await office(told).post(f"{PATH}/{UUID(int=1)}/review"), 404, "not_found")
    missing = await office(told).post(f"{PATH}/{claim['claim_id']}/lines/9/return", json={"reason": "无此行"})
    problem(missing, 404, "not_found")
