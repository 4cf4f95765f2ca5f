"""Corrections, voids, settlements heard, lists and the changes a hospital polls."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from shared.events.safety_net import BillSettled
from shared.kit.events import Envelope
from shared.kit.inbox import Consumer, hear_once
from shared.kit.scope import SERVICE
from tests.clients import Client, Issuer, client_of, problem
from tests.services.treatment.conftest import COUNTY_HOSPITAL, FAR_HOSPITAL, a_bill
from treatment_service.discharges.consumers import hear_settled
from treatment_service.discharges.repository import Discharges

BILLS = "/treatment/v1/discharges"


def settled(discharge_id: str, **known: Any) -> BillSettled:
    facts = {
        "discharge_id": UUID(discharge_id),
        "revision": 1,
        "bill_version": 1,
        "settlement_id": uuid4(),
        "county_code": "450223",
        "state": "settled",
        "procedure": "hospital_advance",
        "settlement": {"decision": "pass"},
        **known,
    }
    return BillSettled.model_validate({**facts, "settlement": {**facts["settlement"], "state": facts["state"]}})


async def hear(app: FastAPI, *events: BillSettled) -> None:
    consumers = {BillSettled.subject: Consumer(BillSettled, hear_settled(app.state.waits))}
    for event in events:
        async with app.state.database.transaction(SERVICE) as session:
            await hear_once(session, Envelope.around(event), consumers)


async def recorded(hospital: Client, **changes: Any) -> tuple[dict[str, Any], str]:
    bill = a_bill(**changes)
    answer = await hospital.create(BILLS, bill)
    assert answer.status_code == 201, answer.text
    return bill, answer.json()["discharge_id"]


async def correct(client: Client, discharge_id: str, bill: dict[str, Any], **more: Any) -> Any:
    body = {"reason": "补报", "bill": bill}
    return await client.create(f"{BILLS}/{discharge_id}/corrections", body, **more)


@pytest.mark.clause("R-33")
async def test_a_correction_is_the_whole_bill_as_the_next_version(hospital: Client) -> None:
    bill, discharge_id = await recorded(hospital)
    better = {**bill, "version": 2, "reimbursements": {**bill["reimbursements"], "critical_illness": "100.00"}}
    answer = await correct(hospital, discharge_id, better)
    assert (answer.status_code, answer.json()["version"], answer.json()["state"]) == (201, 2, "recorded")
    read = (await hospital.get(f"{BILLS}/{discharge_id}")).json()
    assert read["bill"]["reimbursements"]["critical_illness"] == "100.00"
    again = await correct(hospital, discharge_id, better)
    assert (again.status_code, again.json()["version"]) == (200, 2)


async def test_the_first_version_sent_again_names_the_bill_as_it_stands_now(hospital: Client) -> None:
    bill, discharge_id = await recorded(hospital)
    await correct(hospital, discharge_id, {**bill, "version": 2})
    answer = await hospital.create(BILLS, bill)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)


async def test_corrections_that_do_not_follow_are_refused(hospital: Client, other_hospital: Client) -> None:
    bill, discharge_id = await recorded(hospital)
    problem(await correct(hospital, discharge_id, {**bill, "version": 3}), 409, "version_conflict")
    changed = {**bill, "charges": {**bill["charges"], "drugs": "1.00", "catalogue_drugs": "1.00"}}
    problem(await correct(hospital, discharge_id, changed), 409, "version_conflict")
    renamed = {**bill, "version": 2, "bill_no": "another"}
    problem(await correct(hospital, discharge_id, renamed), 422, "natural_key_changed")
    worse = {**bill, "version": 2, "reimbursements": {**bill["reimbursements"], "other": "9000.00"}}
    body = problem(await correct(hospital, discharge_id, worse), 422, "reimbursed_above_total")
    assert body["errors"][0]["pointer"] == "/bill/reimbursements"
    problem(await correct(other_hospital, discharge_id, {**bill, "version": 2}), 404, "not_found")


@pytest.mark.parametrize("number", ["450223197503120006", "450223 19750312 0006", "４５０２２３７５０３１２０００"])
async def test_a_reason_holds_no_identity_number(hospital: Client, number: str) -> None:
    """It goes with the bill to all who may read it, and lies in the clear."""
    bill, discharge_id = await recorded(hospital)
    body = {"reason": f"患者 {number} 姓名有误", "bill": {**bill, "version": 2}}
    refused = problem(
        await hospital.create(f"{BILLS}/{discharge_id}/corrections", body), 422, "identity_number_in_text"
    )
    assert number not in json.dumps(refused, ensure_ascii=False)
    refusal = await hospital.post(f"{BILLS}/{discharge_id}/void", json={"reason": number})
    problem(refusal, 422, "identity_number_in_text")
    assert (await hospital.get(f"{BILLS}/{discharge_id}")).json()["version"] == 1


async def test_of_two_parallel_corrections_one_stands(hospital: Client) -> None:
    bill, discharge_id = await recorded(hospital)
    sent = [{**bill, "version": 2, "stay": {**bill["stay"], "admission_no": f"A{n}"}} for n in range(8)]
    answers = await asyncio.gather(*(correct(hospital, discharge_id, one) for one in sent))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_a_void_stands_and_can_be_repeated(hospital: Client) -> None:
    bill, discharge_id = await recorded(hospital)
    for _ in range(2):
        answer = await hospital.post(f"{BILLS}/{discharge_id}/void", json={"reason": "重复录入"})
        assert (answer.status_code, answer.json()["state"], answer.json()["version"]) == (200, "voided", 2)
    problem(await correct(hospital, discharge_id, {**bill, "version": 3}), 409, "bill_voided")
    assert (await hospital.create(BILLS, bill)).json()["state"] == "voided"


async def test_a_settlement_is_shown_once_heard_and_the_newest_stands(treatment: FastAPI, hospital: Client) -> None:
    _, discharge_id = await recorded(hospital)
    first, second = settled(discharge_id, state="held"), settled(discharge_id, revision=2)
    await hear(treatment, second, first, second)
    answer = (await hospital.get(f"{BILLS}/{discharge_id}")).json()
    assert (answer["state"], answer["settlement"]["state"]) == ("settled", "settled")


async def test_a_settlement_of_a_former_version_is_not_shown_as_the_present_ones(
    treatment: FastAPI, hospital: Client
) -> None:
    bill, discharge_id = await recorded(hospital)
    await correct(hospital, discharge_id, {**bill, "version": 2})
    await hear(treatment, settled(discharge_id))
    answer = (await hospital.get(f"{BILLS}/{discharge_id}")).json()
    assert (answer["state"], answer["settlement"]) == ("recorded", None)
    await hear(treatment, settled(discharge_id, revision=2, bill_version=2, state="rejected"))
    assert (await hospital.get(f"{BILLS}/{discharge_id}")).json()["state"] == "rejected"


async def test_waiting_ends_as_soon_as_the_settlement_is_heard(treatment: FastAPI, hospital: Client) -> None:
    bill = a_bill()
    waiting = asyncio.create_task(hospital.create(BILLS, bill, Prefer="wait=20"))
    while not (found := (await hospital.get(BILLS, params={"limit": 1})).json()["items"]) or (
        found[0]["bill_no"] != bill["bill_no"]
    ):
        await asyncio.wait([waiting], timeout=0.02)
    assert not waiting.done()
    await hear(treatment, settled(found[0]["discharge_id"]))
    answer = await asyncio.wait_for(waiting, 2)
    assert (answer.status_code, answer.json()["state"]) == (201, "settled")
    assert answer.headers["location"].endswith(found[0]["discharge_id"])


async def test_an_unsettled_bill_is_answered_when_the_wait_is_over(hospital: Client) -> None:
    answer = await hospital.create(BILLS, a_bill(), Prefer="respond-async, wait=1")
    assert (answer.status_code, answer.json()["state"], answer.json()["settlement"]) == (201, "recorded", None)


async def test_the_window_may_correct_what_is_settled_through_it(
    treatment: FastAPI, hospital: Client, hrss: Client
) -> None:
    bill, discharge_id = await recorded(hospital)
    problem(await correct(hrss, discharge_id, {**bill, "version": 2}), 403, "not_your_institution")
    await hear(treatment, settled(discharge_id, procedure="insurance_window"))
    assert (await correct(hrss, discharge_id, {**bill, "version": 2})).status_code == 201
    far = a_bill(institution_code=FAR_HOSPITAL)
    far_id = (await hrss.create(BILLS, far)).json()["discharge_id"]
    assert (await correct(hrss, far_id, {**far, "version": 2})).status_code == 201


async def test_overlapping_stays_and_repeated_admission_numbers_are_flagged(hospital: Client) -> None:
    who = {"identity_number": f"45022319{uuid4().int % 10**10:010d}", "name": "测试乙"}
    _, first = await recorded(hospital, patient=who, stay__admission_no="SAME")
    _, second = await recorded(
        hospital,
        patient=who,
        stay__admission_no="SAME",
        stay__admitted_on="2018-08-10",
        stay__discharged_on="2018-08-20",
    )
    assert (await hospital.get(f"{BILLS}/{first}")).json()["flags"] == ["overlapping_stay", "repeated_admission_no"]
    await hospital.post(f"{BILLS}/{second}/void", json={"reason": "错录"})
    assert (await hospital.get(f"{BILLS}/{first}")).json()["flags"] == []


async def test_a_batch_answers_line_by_line_and_is_replayable(hospital: Client) -> None:
    good, other = a_bill(), a_bill()
    lines = [good, {"institution_code": "H45022300002"}, a_bill(version=2), good, other]
    raw = b"\n".join(json.dumps(line).encode() for line in lines) + b"\n{broken\n"
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/x-ndjson"}
    first = await hospital.post(f"{BILLS}/batch", content=raw, headers=headers)
    assert first.headers["content-type"].startswith("application/x-ndjson")
    said = [json.loads(line) for line in first.text.splitlines()]
    assert [line["line"] for line in said] == [1, 2, 3, 4, 5, 6]
    assert [line["status"] for line in said] == [201, 403, 422, 200, 201, 400]
    assert [line.get("code") for line in said] == [
        None, "not_your_institution", "version_not_first", None, None, "malformed_json",
    ]  # fmt: skip
    assert said[0]["discharge_id"] == said[3]["discharge_id"]
    again = await hospital.post(f"{BILLS}/batch", content=raw, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert [json.loads(line)["status"] for line in again.text.splitlines()] == [201, 403, 422, 200, 201, 400]


async def test_a_batch_has_bounds(hospital: Client) -> None:
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/x-ndjson"}
    problem(await hospital.post(f"{BILLS}/batch", content=b"{}\n" * 5001, headers=headers), 413, "too_many_lines")
    answer = await hospital.post(f"{BILLS}/batch", content=b"{}\n" * 5000, headers=headers)
    assert len(answer.text.splitlines()) == 5000
    large = b" " * (16 * 1024 * 1024 + 1)
    problem(await hospital.post(f"{BILLS}/batch", content=large, headers=headers), 413, "body_too_large")


async def test_changes_are_told_in_order_and_polling_goes_on_where_it_stopped(
    treatment: FastAPI, hospital: Client, other_hospital: Client
) -> None:
    cursor = None
    while True:
        page = (
            await hospital.get(f"{BILLS}/changes", params={"cursor": cursor, "limit": 200} if cursor else {})
        ).json()
        if cursor == page["next_cursor"]:
            break
        cursor = page["next_cursor"]
    bill, discharge_id = await recorded(hospital)
    await hear(treatment, settled(discharge_id))
    await correct(hospital, discharge_id, {**bill, "version": 2})
    await hospital.post(f"{BILLS}/{discharge_id}/void", json={"reason": "错"})
    page = (await hospital.get(f"{BILLS}/changes", params={"cursor": cursor})).json()
    assert [(row["version"], row["state"]) for row in page["items"]] == [
        (1, "recorded"), (1, "settled"), (2, "recorded"), (3, "voided"),
    ]  # fmt: skip
    assert {row["discharge_id"] for row in page["items"]} == {discharge_id}
    end = (await hospital.get(f"{BILLS}/changes", params={"cursor": page["next_cursor"]})).json()
    assert end == {"items": [], "next_cursor": page["next_cursor"]}
    problem(await other_hospital.get(f"{BILLS}/changes", params={"cursor": cursor}), 400, "cursor_invalid")


async def test_a_slow_transaction_is_not_passed_by(treatment: FastAPI, hospital: Client) -> None:
    page = (await hospital.get(f"{BILLS}/changes", params={"limit": 200})).json()
    while page["items"]:
        last = page["next_cursor"]
        page = (await hospital.get(f"{BILLS}/changes", params={"cursor": last, "limit": 200})).json()
    slow_id = uuid4()
    row = {"institution_code": COUNTY_HOSPITAL, "discharge_id": slow_id, "bill_no": "slow", "version": 1}
    async with treatment.state.database.transaction(SERVICE) as slow:
        Discharges(slow).note_change(row, "recorded")
        await slow.flush()
        _, quick = await recorded(hospital)
        seen = (await hospital.get(f"{BILLS}/changes", params={"cursor": last})).json()
        assert [item["discharge_id"] for item in seen["items"]] == [quick]
    rest = (await hospital.get(f"{BILLS}/changes", params={"cursor": seen["next_cursor"]})).json()
    assert [item["discharge_id"] for item in rest["items"]] == [str(slow_id)]


async def test_lists_are_bounded_and_their_cursors_belong_to_caller_and_filter(
    hospital: Client, treatment: FastAPI, issuer: Issuer
) -> None:
    for _ in range(3):
        await recorded(hospital)
    first = (await hospital.get(BILLS, params={"limit": 2})).json()
    assert len(first["items"]) == 2
    second = (await hospital.get(BILLS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert not {i["discharge_id"] for i in first["items"]} & {i["discharge_id"] for i in second["items"]}
    cursor = {"cursor": first["next_cursor"]}
    problem(await hospital.get(BILLS, params={**cursor, "state": "voided"}), 400, "cursor_invalid")
    stranger = client_of(treatment, issuer.token("hospital", subject="x", institution_code=COUNTY_HOSPITAL))
    problem(await stranger.get(BILLS, params=cursor), 400, "cursor_invalid")
    problem(await hospital.get(BILLS, params={"cursor": "AAAA"}), 400, "cursor_invalid")
    problem(await hospital.get(BILLS, params={"limit": 201}), 422, "field_invalid")
    problem(await hospital.get(BILLS, params={"colour": "red"}), 422, "unknown_parameter")
    problem(await hospital.get(BILLS, params={"discharged_from": "yesterday"}), 422, "date_malformed")


async def test_date_filters_are_inclusive(hospital: Client) -> None:
    _, discharge_id = await recorded(hospital, stay__admitted_on="2017-03-01", stay__discharged_on="2017-03-05")
    found = await hospital.get(BILLS, params={"discharged_from": "2017-03-05", "discharged_to": "2017-03-05"})
    assert [item["discharge_id"] for item in found.json()["items"]] == [discharge_id]


async def test_a_thing_outside_the_scope_is_not_there(
    hospital: Client, other_hospital: Client, treatment: FastAPI, issuer: Issuer
) -> None:
    _, discharge_id = await recorded(hospital)
    problem(await other_hospital.get(f"{BILLS}/{discharge_id}"), 404, "not_found")
    elsewhere = client_of(treatment, issuer.token("hrss", subject="far", county_code="150824"))
    problem(await elsewhere.get(f"{BILLS}/{discharge_id}"), 404, "not_found")
    assert (await elsewhere.get(BILLS)).json()["items"] == []
    bureau = client_of(treatment, issuer.token("health_bureau"))
    assert (await bureau.get(f"{BILLS}/{discharge_id}")).status_code == 200
    problem(await hospital.get(f"{BILLS}/{uuid4()}"), 404, "not_found")
