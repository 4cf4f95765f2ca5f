"""Recording discharge bills: once, whoever asks how often."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from deploy.settings import Urls
from shared.kit.database import AuditRow, IdempotencyRow, OutboxRow
from shared.kit.events import Envelope
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.treatment.conftest import CITY_HOSPITAL, FAR_HOSPITAL, TCM_HOSPITAL, a_bill
from treatment_service.discharges.models import BillVersion, Discharge

BILLS = "/treatment/v1/discharges"


async def count(app: FastAPI, bill_no: str) -> int:
    async with app.state.database.transaction(SERVICE) as session:
        query = select(func.count()).select_from(Discharge).where(Discharge.bill_no == bill_no)
        return int(await session.scalar(query) or 0)


async def test_a_recorded_bill_is_committed_with_its_key_audit_row_and_event(
    treatment: FastAPI, hospital: Client
) -> None:
    bill, key = a_bill(), str(uuid4())
    answer = await hospital.create(BILLS, bill, key=key)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["bill_no"], body["version"], body["state"], body["settlement"]) == (
        bill["bill_no"],
        1,
        "recorded",
        None,
    )
    assert answer.headers["location"] == f"{BILLS}/{body['discharge_id']}"
    async with treatment.state.database.transaction(SERVICE) as session:
        assert await session.get(IdempotencyRow, ("county", BILLS, treatment.state.keyring.digest(f"key:{key}")))
        audited = select(AuditRow).where(AuditRow.object_id == body["discharge_id"], AuditRow.action == "recorded")
        assert len(list(await session.scalars(audited))) == 1
        said = [
            Envelope.from_bytes(payload).data
            for payload in await session.scalars(
                select(OutboxRow.payload).where(OutboxRow.subject == "treatment.discharge_billed.v1")
            )
        ]
    (facts,) = [data for data in said if data["discharge_id"] == body["discharge_id"]]
    assert facts["total_fen"] == 2_000_000
    assert facts["medical_assistance_fen"] == 300_000


async def test_identity_number_and_name_are_nowhere_in_the_clear(treatment: FastAPI, hospital: Client) -> None:
    marked = a_bill(patient={"identity_number": "450223196001010001", "name": "罕见姓名"})
    discharge_id = (await hospital.create(BILLS, marked)).json()["discharge_id"]
    async with treatment.state.database.transaction(SERVICE) as session:
        version = await session.scalar(select(BillVersion).where(BillVersion.bill_no == marked["bill_no"]))
        payloads = b"".join(await session.scalars(select(OutboxRow.payload)))
    assert version is not None
    kept = str([version.content, version.sealed_identity, version.sealed_name])
    for secret in ("450223196001010001", "罕见姓名"):
        assert secret not in kept
        assert secret.encode() not in payloads
    read = (await hospital.get(f"{BILLS}/{discharge_id}")).json()
    assert read["bill"]["patient"] == marked["patient"]


async def test_fifty_parallel_posts_with_one_key_give_one_bill(treatment: FastAPI, hospital: Client) -> None:
    bill, key = a_bill(), str(uuid4())
    answers = await asyncio.gather(*(hospital.create(BILLS, bill, key=key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["discharge_id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    assert await count(treatment, bill["bill_no"]) == 1


async def test_fifty_parallel_posts_with_fifty_keys_give_one_bill(treatment: FastAPI, hospital: Client) -> None:
    bill = a_bill()
    answers = await asyncio.gather(*(hospital.create(BILLS, bill) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["discharge_id"] for answer in answers}) == 1
    assert await count(treatment, bill["bill_no"]) == 1


async def test_the_same_key_with_another_body_is_refused(hospital: Client) -> None:
    key = str(uuid4())
    assert (await hospital.create(BILLS, a_bill(), key=key)).status_code == 201
    problem(await hospital.create(BILLS, a_bill(), key=key), 422, "idempotency_key_reused")


async def test_a_refusal_is_judged_anew(hospital: Client) -> None:
    key, bill = str(uuid4()), a_bill(charges__total="0.00", charges__in_scope="0.00")
    bill["charges"] |= {"drugs": "0.00", "catalogue_drugs": "0.00"}
    bill["reimbursements"] = dict.fromkeys(bill["reimbursements"], "0.00")
    problem(await hospital.create(BILLS, bill, key=key), 422, "nothing_to_settle")
    mended = a_bill(bill_no=bill["bill_no"])
    assert (await hospital.create(BILLS, mended, key=key)).status_code == 201


async def test_the_same_number_with_other_content_names_the_changed_fields(hospital: Client) -> None:
    bill = a_bill()
    await hospital.create(BILLS, bill)
    changed = {**bill, "charges": {**bill["charges"], "drugs": "7900.00"}, "patient": {**bill["patient"], "name": "乙"}}
    body = problem(await hospital.create(BILLS, changed), 409, "bill_already_recorded")
    assert [error["pointer"] for error in body["errors"]] == ["/charges/drugs", "/patient/name"]


async def test_values_decide_sameness_not_bytes(hospital: Client) -> None:
    bill = a_bill(patient={"identity_number": "45022319750312004X".lower(), "name": "测试甲"})
    first = await hospital.create(BILLS, bill)
    again = {**dict(reversed(bill.items())), "patient": {"name": "测试甲", "identity_number": "45022319750312004X"}}
    again["reimbursements"] = {**bill["reimbursements"], "government_topup": "0.00"}
    answer = await hospital.create(BILLS, again)
    assert answer.status_code == 200
    assert answer.json()["discharge_id"] == first.json()["discharge_id"]


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"charges__total": "0.00"}, "nothing_to_settle", "/charges/total"),
        ({"charges__non_medical": "20000.01"}, "part_above_total", "/charges/non_medical"),
        ({"charges__in_scope": "20000.01"}, "part_above_total", "/charges/in_scope"),
        ({"charges__catalogue_drugs": "8000.01"}, "part_above_total", "/charges/catalogue_drugs"),
        ({"reimbursements__other": "5200.01"}, "reimbursed_above_total", "/reimbursements"),
        ({"reimbursements__government_topup": "5200.01"}, "reimbursed_above_total", "/reimbursements"),
        ({"stay__discharged_on": "2018-07-31"}, "dates_out_of_order", "/stay/discharged_on"),
        ({"stay__discharged_on": "2999-01-01"}, "date_in_future", "/stay/discharged_on"),
        ({"version": 2}, "version_not_first", "/version"),
        ({"charges__total": 20000}, "money_malformed", "/charges/total"),
        ({"charges__total": "20000"}, "money_malformed", "/charges/total"),
        ({"charges__total": "２0000.00"}, "money_malformed", "/charges/total"),
        ({"charges__total": "20000.00\n"}, "money_malformed", "/charges/total"),
        ({"charges__total": "-1.00"}, "money_malformed", "/charges/total"),
        ({"charges__total": "1e3"}, "money_malformed", "/charges/total"),
        ({"stay__admitted_on": "2018-02-30"}, "date_malformed", "/stay/admitted_on"),
        ({"stay__emergency": "yes"}, "field_invalid", "/stay/emergency"),
        ({"circumstances__cause": "bad luck"}, "value_unknown", "/circumstances/cause"),
        ({"extra": 1}, "unknown_field", "/extra"),
        ({"diagnoses": []}, "list_too_short", "/diagnoses"),
    ],
)
@pytest.mark.clause("C-21")
async def test_refusals_have_their_codes(hospital: Client, changes: dict[str, Any], code: str, pointer: str) -> None:
    body = problem(await hospital.create(BILLS, a_bill(**changes)), 422, code)
    assert body["errors"][0]["pointer"] == pointer
    assert body["errors"][0]["code"] == code


async def test_every_contradiction_is_named_at_once(hospital: Client) -> None:
    bill = a_bill(charges__drugs="30000.00", stay__discharged_on="2018-07-01", reimbursements__other="20000.00")
    body = problem(await hospital.create(BILLS, bill), 422, "part_above_total")
    assert [e["code"] for e in body["errors"]] == ["part_above_total", "reimbursed_above_total", "dates_out_of_order"]


async def test_missing_fields_are_named(hospital: Client) -> None:
    bill = a_bill()
    del bill["stay"]["pay_later_agreement_no"]
    body = problem(await hospital.create(BILLS, bill), 422, "field_missing")
    assert body["errors"][0]["pointer"] == "/stay/pay_later_agreement_no"


async def test_another_hospitals_bill_is_refused_before_its_content_is_looked_at(hospital: Client) -> None:
    problem(await hospital.create(BILLS, {"institution_code": TCM_HOSPITAL}), 403, "not_your_institution")


async def test_the_insurance_window_reports_only_for_hospitals_without_a_client(hrss: Client) -> None:
    far = await hrss.create(BILLS, a_bill(institution_code=FAR_HOSPITAL))
    assert far.status_code == 201, far.text
    problem(await hrss.create(BILLS, a_bill(institution_code=CITY_HOSPITAL)), 403, "not_your_institution")
    problem(await hrss.create(BILLS, a_bill()), 403, "not_your_institution")
    problem(await hrss.create(BILLS, a_bill(institution_code="H99999999999")), 422, "unknown_institution")


async def test_the_key_header_is_required(hospital: Client) -> None:
    problem(await hospital.post(BILLS, json=a_bill()), 400, "idempotency_key_missing")


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b'{"total":1,"total":2}', 400, "duplicate_key"),
        (b'{"total":NaN}', 422, "number_not_finite"),
        (b'{"total":-Infinity}', 422, "number_not_finite"),
        (b"[" * 100_000, 400, "nesting_too_deep"),
        (b"[" * 33 + b"]" * 33, 400, "nesting_too_deep"),
        (b'{"a":', 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"a":"\\ud800"}', 400, "malformed_json"),
        (b'{"a":"\\u0000"}', 400, "malformed_json"),
        (b'{"a":"' + b"x" * (1024 * 1024) + b'"}', 413, "body_too_large"),
    ],
)
async def test_json_that_could_change_an_amount_is_refused(
    hospital: Client, raw: bytes, status: int, code: str
) -> None:
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    problem(await hospital.post(BILLS, content=raw, headers=headers), status, code)


async def test_a_failed_commit_is_never_answered_as_done(treatment: FastAPI, hospital: Client, urls: Urls) -> None:
    owner = await asyncpg.connect(urls.owner_url)
    await owner.execute(
        """
        create function refuse() returns trigger language plpgsql as $$ begin raise exception 'disk full'; end $$;
        create constraint trigger refuse after insert on discharges deferrable initially deferred
          for each row when (new.bill_no = 'FAILS-AT-COMMIT') execute function refuse();
        """
    )
    answer = await hospital.create(BILLS, a_bill(bill_no="FAILS-AT-COMMIT"))
    problem(answer, 500, "internal_error")
    assert await count(treatment, "FAILS-AT-COMMIT") == 0
    await owner.execute("drop trigger refuse on discharges")
    await owner.close()
    assert (await hospital.create(BILLS, a_bill(bill_no="FAILS-AT-COMMIT"))).status_code == 201
