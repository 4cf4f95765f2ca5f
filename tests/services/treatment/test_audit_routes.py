"""The auditor's own routes, and the reason of a request; treatment-service stands for all three."""

import hashlib
from urllib.parse import quote

import asyncpg
import pytest
from fastapi import FastAPI

from deploy.settings import Urls
from shared.kit import clock
from shared.kit.sealer import seal_audit
from tests.clients import Client, Issuer, client_of, problem
from tests.services.treatment.test_after_recording import recorded

AUDIT = "/treatment/v1/audit"


@pytest.fixture
def auditor(treatment: FastAPI, issuer: Issuer) -> Client:
    return client_of(treatment, issuer.token("auditor"))


async def test_the_auditor_verifies_prints_and_proves(treatment: FastAPI, hospital: Client, auditor: Client) -> None:
    _, discharge_id = await recorded(hospital)
    await seal_audit(treatment.state.database)
    verified = (await auditor.get(f"{AUDIT}/verification")).json()
    assert verified["findings"] == []
    assert (verified["unsealed"], verified["forks"], verified["next_after"]) == (0, [], None)
    (head,) = (await auditor.get(f"{AUDIT}/heads")).json()["items"]
    assert (head["date"], head["service"], head["epoch"]) == (clock.today().isoformat(), "treatment", 1)
    assert (head["batch"], head["chain"]) == (verified["batch"], verified["chain"])
    assert head["count"] == head["total"] == verified["rows"]
    (same,) = (await auditor.get(f"{AUDIT}/heads", params={"batch": head["batch"]})).json()["items"]
    assert same["chain"] == head["chain"]
    (row,) = (await auditor.get(AUDIT, params={"object_id": discharge_id})).json()["items"]
    proof = (await auditor.get(f"{AUDIT}/{row['seq']}/proof")).json()
    at = bytes.fromhex(proof["leaf"])
    for step in proof["path"]:
        other = bytes.fromhex(step["hash"])
        at = hashlib.sha256(b"\x01" + (other + at if step["side"] == "left" else at + other)).digest()
    assert at.hex() == proof["root"]
    assert discharge_id in [str(text) for text in proof["row"]]


async def test_heads_of_an_impossible_period_and_proofs_of_nothing(
    treatment: FastAPI, auditor: Client, issuer: Issuer
) -> None:
    for period in ({"from": "2020-01-02", "to": "2020-01-01"}, {"from": "2018-01-01", "to": "2020-01-01"}):
        problem(await auditor.get(f"{AUDIT}/heads", params=period), 422, "period_invalid")
    problem(await auditor.get(f"{AUDIT}/999999/proof"), 404, "not_found")
    await auditor.get(AUDIT)
    newest = (await auditor.get(AUDIT)).json()["items"][0]["seq"]
    await seal_audit(treatment.state.database)
    stranger = client_of(treatment, issuer.token("auditor", county_code="150824", subject="far"))
    problem(await stranger.get(f"{AUDIT}/{newest}/proof"), 404, "not_found")


async def test_the_reason_of_a_read_stands_in_the_trail(hospital: Client, auditor: Client) -> None:
    _, discharge_id = await recorded(hospital)
    for reason in ("核对2018年8月结算", "复查"):
        headers = {"X-Reason": quote(reason)} if reason == "复查" else {b"X-Reason": reason.encode()}
        answer = await hospital.get(f"/treatment/v1/discharges/{discharge_id}", headers=headers)
        assert answer.status_code == 200
    rows = (await auditor.get(AUDIT, params={"object_id": discharge_id})).json()["items"]
    assert [row["reason"] for row in rows] == ["复查", "核对2018年8月结算", ""]


@pytest.mark.parametrize(
    "reason", ["查" * 201, "450223197503120006", "４５０２２３１９７５０３１２０００６", "a\x00b", "%FF%FE"]
)
async def test_a_reason_that_cannot_stand_in_the_trail_is_refused(hospital: Client, reason: str) -> None:
    header = reason if "%" in reason else quote(reason)
    answer = await hospital.get("/treatment/v1/discharges", headers={"X-Reason": header})
    problem(answer, 400, "reason_invalid")


async def test_lists_of_bills_are_audited_with_what_they_showed(hospital: Client, auditor: Client) -> None:
    _, discharge_id = await recorded(hospital)
    assert (await hospital.get("/treatment/v1/discharges", params={"limit": 1})).status_code == 200
    assert (await hospital.get("/treatment/v1/discharges/changes", params={"limit": 200})).status_code == 200
    rows = (await auditor.get(AUDIT, params={"object_type": "discharge", "object_id": "*"})).json()["items"]
    by_action = {row["action"]: row["detail"]["discharges"] for row in reversed(rows)}
    assert by_action["listed"] == [discharge_id]
    assert discharge_id in by_action["read_changes"]


async def test_the_service_can_neither_date_its_rows_nor_touch_its_seals(urls: Urls, treatment: FastAPI) -> None:
    await seal_audit(treatment.state.database)
    # In the widest scope: it is the role that may not.
    worker = await asyncpg.connect(urls.service_url, server_settings={"app.service": "on"})
    row = "county_code, caller, roles, action, object_type, object_id, detail, request_id, address"
    said = "'', '', '', '', '', '', '{}', '', ''"
    for statement in (
        f"insert into audit (at, {row}) values (now() - interval '1 day', {said})",
        f"insert into audit (seq, {row}) overriding system value values (-1, {said})",
        f"insert into audit (xid, {row}) values (1, {said})",
        "update audit_seals set root = chain", "delete from audit_seals", "truncate audit_seals",
        "insert into audit_epochs (epoch, forked_after, forked_chain, floor_seq, note) values (2, 0, '', 0, '')",
        "update audit_epochs set note = ''", "delete from audit_epochs", "select setval('audit_seq_seq', 1)",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)
    await worker.close()
