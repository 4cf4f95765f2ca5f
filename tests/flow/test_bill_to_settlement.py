"""A hospital's bill becomes an explained settlement: through gateway, services, PostgreSQL and NATS."""

import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.flow.conftest import Caller, System
from tests.flow.people import BILLS, CITY, HOSPITAL, SETTLEMENTS, TOWNSHIP, a_bill, a_resident

WAIT = {"Prefer": "wait=10"}
TRANSFER = {"kind": "transfer", "number": "ZZ-1", "accepted_by_insurer": True}


def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What a look finds once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.05)
    return found


def registered(system: System, **changes: Any) -> dict[str, Any]:
    resident = a_resident(**changes)
    answer = system.user("poverty_office").create("/contract/v1/residents", resident)
    assert answer.status_code == 201, answer.text
    return {**resident, **answer.json()}


def code(system: System, client: str) -> str:
    return str(system.credentials["clients"][client]["institution_code"])


def settle(system: System, client: str, patient: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = system.client(client).create(BILLS, a_bill(code(system, client), patient, **changes), **WAIT)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert body["settlement"] is not None, body
    return body


@pytest.mark.clause("A3-20", "C-01", "R-05", "R-13", "R-14", "A3-21")
def test_in_the_county_with_an_agreement_the_hospital_advances(system: System) -> None:
    body = settle(system, HOSPITAL, registered(system))
    settlement = body["settlement"]
    assert (body["state"], settlement["decision"], settlement["procedure"]) == ("settled", "pass", "hospital_advance")
    assert settlement["amounts"]["safety_net"] == "3200.00"
    assert settlement["amounts"]["patient_pays"] == "2000.00"
    assert settlement["policy"] == {"county_code": "450223", "pack": "settlement", "version": "luzhai/2018.1"}
    assert all(step["clause"] and step["quote"] for step in settlement["steps"])
    read = system.user("safety_net_office").get(f"{SETTLEMENTS}/{settlement['settlement_id']}")
    assert read.json()["amounts"] == settlement["amounts"]


@pytest.mark.clause("R-13", "R-16", "C-17")
def test_before_july_2018_and_without_an_agreement_the_joint_review_comes(system: System) -> None:
    june = {"admitted_on": "2018-06-28", "discharged_on": "2018-07-06"}
    assert settle(system, HOSPITAL, registered(system), stay=june)["settlement"]["procedure"] == "joint_review"
    unsigned = {"pay_later_agreement_no": None}
    assert settle(system, HOSPITAL, registered(system), stay=unsigned)["settlement"]["procedure"] == "joint_review"


@pytest.mark.clause("A3-11", "C-13", "C-14", "R-22", "R-23")
def test_out_of_the_county_the_insurance_window_pays_and_only_with_a_transfer(system: System) -> None:
    moved = settle(system, CITY, registered(system), circumstances={"referral": TRANSFER})["settlement"]
    assert (moved["decision"], moved["procedure"]) == ("pass", "insurance_window")
    alone = settle(system, CITY, registered(system))["settlement"]
    assert (alone["decision"], alone["procedure"]) == ("reject", None)
    assert [(reason["code"], reason["clause"]) for reason in alone["reasons"]] == [("no_referral", "A3-11")]
    assert alone["reasons"][0]["quote"]


@pytest.mark.clause("A3-23", "R-09", "R-11")
def test_in_a_township_centre_county_and_centre_bear_the_rest_by_halves(system: System) -> None:
    patient = registered(system)
    charges = {"total": "2468.13", "in_scope": "2000.00", "drugs": "10.00", "catalogue_drugs": "10.00"}
    paid = {"basic_insurance": "2100.00", "medical_assistance": "100.00"}
    amounts = settle(system, TOWNSHIP, patient, charges=charges, reimbursements=paid)["settlement"]["amounts"]
    assert (amounts["safety_net"], amounts["hospital_share"], amounts["personal"]) == ("134.06", "134.07", "0.00")


@pytest.mark.clause("R-45", "A3-07")
def test_what_a_machine_must_not_decide_two_persons_decide(system: System) -> None:
    patient = registered(system)
    held = settle(system, HOSPITAL, patient, circumstances={"cause": "unknown"})
    settlement = held["settlement"]
    assert (held["state"], settlement["decision"], settlement["years"]) == ("held", "hold", [])
    assert settlement["amounts"]["safety_net"] == "0.00"
    assert settlement["if_passed"]["safety_net"] == "3200.00"
    office, second = system.user("safety_net_office"), system.user("safety_net_office_2")
    path = f"{SETTLEMENTS}/{settlement['settlement_id']}/decisions"
    sent = {"decision": "pass", "reason": "经查为自行跌倒", "legal_basis": "鹿扶领办发〔2018〕37号 三（二）"}
    proposed = office.create(path, sent)
    assert proposed.status_code == 201, proposed.text
    confirm = f"{path}/{proposed.json()['decision_id']}/confirm"
    refused = office.post(confirm)
    assert (refused.status_code, refused.json()["code"]) == (403, "same_person")
    assert second.post(confirm).status_code == 200
    hospital = system.client(HOSPITAL)
    bill = eventually(lambda: (b := hospital.get(f"{BILLS}/{held['discharge_id']}").json())["state"] == "settled" and b)
    assert bill["settlement"]["amounts"]["safety_net"] == "3200.00"
    old = office.get(f"{SETTLEMENTS}/{settlement['settlement_id']}").json()
    assert old["state"] == "superseded"


@pytest.mark.clause("R-19")
def test_a_late_registration_settles_the_bill_anew(system: System) -> None:
    resident = a_resident()
    body = settle(system, HOSPITAL, resident)
    assert body["state"] == "rejected"
    assert [reason["code"] for reason in body["settlement"]["reasons"]] == ["not_registered"]
    assert system.user("poverty_office").create("/contract/v1/residents", resident).status_code == 201
    hospital = system.client(HOSPITAL)
    bill = eventually(lambda: (b := hospital.get(f"{BILLS}/{body['discharge_id']}").json())["state"] == "settled" and b)
    assert bill["settlement"]["amounts"]["safety_net"] == "3200.00"


@pytest.mark.clause("R-33", "C-18", "C-07b")
def test_late_money_is_a_correction_and_the_former_settlement_is_superseded(system: System) -> None:
    hospital, patient = system.client(HOSPITAL), registered(system)
    charges = {"total": "80000.00"}
    paid = {"basic_insurance": "44000.00", "medical_assistance": "8000.00"}
    bill = a_bill(code(system, HOSPITAL), patient, charges=charges, reimbursements=paid)
    first = hospital.create(BILLS, bill, **WAIT).json()
    assert first["settlement"]["amounts"]["safety_net"] == "20000.00"
    later = {**bill, "version": 2, "reimbursements": {**bill["reimbursements"], "critical_illness": "9000.00"}}
    correction = {"reason": "大病保险补报", "bill": later}
    second = hospital.create(f"{BILLS}/{first['discharge_id']}/corrections", correction, **WAIT).json()
    assert (second["version"], second["settlement"]["amounts"]["safety_net"]) == (2, "11000.00")
    assert (
        second["settlement"]["amounts"]["patient_pays"] == first["settlement"]["amounts"]["patient_pays"] == "8000.00"
    )
    found = system.user("auditor").get(SETTLEMENTS, params={"discharge_id": first["discharge_id"]}).json()["items"]
    assert [(one["bill_version"], one["state"]) for one in found] == [(2, "settled"), (1, "superseded")]
    hospital.post(f"{BILLS}/{first['discharge_id']}/void", json={"reason": "错录"})
    eventually(
        lambda: (
            system.user("auditor").get(f"{SETTLEMENTS}/{second['settlement']['settlement_id']}").json()["state"]
            == "voided"
        )
    )
    changes: list[Any] = []
    cursor = None
    while True:
        page = hospital.get(f"{BILLS}/changes", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        changes, cursor = changes + page["items"], page["next_cursor"]
        if not page["items"]:
            break
    mine = [(c["version"], c["state"]) for c in changes if c["discharge_id"] == first["discharge_id"]]
    assert mine[:5] == [(1, "recorded"), (1, "settled"), (2, "recorded"), (2, "settled"), (3, "voided")]


def test_fifty_parallel_posts_through_the_gateway_are_one_bill_and_one_settlement(system: System) -> None:
    hospital, patient = system.client(HOSPITAL), registered(system)
    bill, key = a_bill(code(system, HOSPITAL), patient), str(uuid4())
    headers = [{"Idempotency-Key": key}] * 25 + [{"Idempotency-Key": str(uuid4())} for _ in range(25)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda h: hospital.create(BILLS, bill, **WAIT, **h), headers))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["discharge_id"] for answer in answers}) == 1
    discharge_id = answers[0].json()["discharge_id"]
    found = system.user("auditor").get(SETTLEMENTS, params={"discharge_id": discharge_id}).json()["items"]
    assert len(found) == 1


def test_a_batch_is_settled_line_by_line(system: System) -> None:
    hospital, patient = system.client(HOSPITAL), registered(system)
    bills = [a_bill(code(system, HOSPITAL), patient) for _ in range(120)]
    raw = "\n".join(json.dumps(bill, ensure_ascii=False) for bill in bills)
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/x-ndjson"}
    answer = hospital.post(f"{BILLS}/batch", content=raw.encode(), headers=headers)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["status"] for line in lines] == [201] * 120
    ids = {line["discharge_id"] for line in lines}

    def all_settled() -> bool:
        page = hospital.get(BILLS, params={"limit": 200, "state": "settled"}).json()["items"]
        return ids <= {item["discharge_id"] for item in page}

    eventually(all_settled, 60)


def test_a_notice_holds_the_five_amounts_and_only_of_a_settled_bill(system: System) -> None:
    patient = registered(system)
    hospital = system.client(HOSPITAL)
    settled = settle(system, HOSPITAL, patient)["settlement"]["settlement_id"]
    notice = hospital.get(f"/safety-net/v1/notices/{settled}")
    assert notice.status_code == 200, notice.text
    assert patient["name"] in notice.text
    assert patient["identity"]["number"] not in notice.text
    printed = hospital.create(f"/safety-net/v1/notices/{settled}/prints", {"reason": None})
    assert (printed.status_code, printed.headers["content-type"]) == (201, "application/pdf")
    record = hospital.get(printed.headers["location"]).json()
    assert record["pdf_sha256"] == hashlib.sha256(printed.content).hexdigest()
    checked = system.user("safety_net_office").get(f"/safety-net/v1/notices/checks/{record['check_code']}").json()
    assert (checked["agrees"], checked["patient_name"]) == (True, patient["name"])
    held = settle(system, HOSPITAL, patient, circumstances={"cause": "unknown"})["settlement"]["settlement_id"]
    answer = hospital.get(f"/safety-net/v1/notices/{held}")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_settled")


def test_an_estimate_keeps_nothing(system: System) -> None:
    hospital, patient = system.client(HOSPITAL), registered(system)
    bill = a_bill(code(system, HOSPITAL), patient)

    def estimated() -> Any:
        answer = hospital.post(f"{SETTLEMENTS}/estimate", json=bill)
        assert answer.status_code == 200, answer.text
        return answer.json()["decision"] == "pass" and answer.json()

    assert eventually(estimated)["amounts"]["safety_net"] == "3200.00"
    assert not [b for b in hospital.get(BILLS).json()["items"] if b["bill_no"] == bill["bill_no"]]


def test_every_party_sees_its_own_and_nothing_else(system: System) -> None:
    body = settle(system, HOSPITAL, registered(system))
    settlement = body["settlement"]["settlement_id"]
    other: Caller = system.client("county_tcm_hospital")
    assert other.get(f"{BILLS}/{body['discharge_id']}").status_code == 404
    assert other.get(f"{SETTLEMENTS}/{settlement}").status_code == 404
    assert other.get(f"/safety-net/v1/notices/{settlement}").status_code == 404
    assert system.user("administrator").get(f"{BILLS}/{body['discharge_id']}").status_code == 403
    assert system.user("finance").get(f"{SETTLEMENTS}/{settlement}").status_code == 200
    assert system.user("township_government").get(f"{SETTLEMENTS}/{settlement}").status_code == 200


@pytest.mark.clause("A0-01")
def test_the_policy_in_force_is_readable_by_anyone(system: System) -> None:
    answer = httpx.get(f"{system.url}/safety-net/v1/policies")
    assert answer.status_code == 200
    assert "luzhai/2018.1" in answer.text


def test_the_channel_is_whole(system: System) -> None:
    operator = system.user("administrator")
    for service in ("contract", "treatment", "safety-net"):
        letters = operator.get(f"/{service}/v1/dead-letters")
        assert letters.json()["items"] == []

        def whole(service: str = service) -> bool:
            answer = operator.post(f"/{service}/v1/reconciliation")
            assert answer.status_code == 200, answer.text
            return all(event["missing"] == 0 for event in answer.json()["events"])

        eventually(whole)
