"""What a stranger, an impatient caller or a clumsy one must not be able to do."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

from fastapi import FastAPI

from shared.kit.caller import Caller
from shared.kit.idempotency import Once
from shared.kit.scope import Scope
from tests.clients import Client, Issuer, client_of, problem
from tests.services.treatment.conftest import COUNTY_HOSPITAL, FAR_HOSPITAL, a_bill
from tests.services.treatment.test_after_recording import correct, recorded

BILLS = "/treatment/v1/discharges"
NDJSON = {"Content-Type": "application/x-ndjson"}


def far_window(treatment: FastAPI, issuer: Issuer) -> Client:
    """The insurance window of another county."""
    return client_of(treatment, issuer.token("hrss", subject="far-window", county_code="150824"))


async def test_another_countys_window_learns_nothing_of_a_bill_under_the_same_number(
    treatment: FastAPI, hrss: Client, issuer: Issuer
) -> None:
    bill = a_bill(institution_code=FAR_HOSPITAL)
    assert (await hrss.create(BILLS, bill)).status_code == 201
    stranger = far_window(treatment, issuer)
    for sent in (bill, {**bill, "patient": {**bill["patient"], "name": "别人"}}):
        body = problem(await stranger.create(BILLS, sent), 409, "bill_already_recorded")
        assert body["errors"] == []
        assert "discharge_id" not in body
    raw = json.dumps(bill).encode()
    for _ in range(2):
        answer = await stranger.post(f"{BILLS}/batch", content=raw, headers={**NDJSON, "Idempotency-Key": "b"})
        assert (answer.status_code, json.loads(answer.text)["status"]) == (200, 409)


async def test_a_second_role_does_not_make_another_hospitals_bill_ones_own(
    treatment: FastAPI, other_hospital: Client, issuer: Issuer
) -> None:
    bill = a_bill(institution_code="H45022300002")
    discharge_id = (await other_hospital.create(BILLS, bill)).json()["discharge_id"]
    both = client_of(treatment, issuer.token("hospital", "health_bureau", institution_code=COUNTY_HOSPITAL))
    assert (await both.get(f"{BILLS}/{discharge_id}")).status_code == 200
    problem(await both.post(f"{BILLS}/{discharge_id}/void", json={"reason": "x"}), 404, "not_found")
    problem(await correct(both, discharge_id, {**bill, "version": 2}), 404, "not_found")


async def test_retries_of_one_request_starve_nobody(
    treatment: FastAPI, hospital: Client, other_hospital: Client
) -> None:
    """While the first request of a key runs, its retries hold no connection that others need."""
    bill, key = a_bill(), str(uuid4())
    caller = Caller("county", frozenset({"hospital"}), "450223", COUNTY_HOSPITAL)
    async with treatment.state.database.transaction(Scope.of(caller)) as first:
        assert await Once.of(treatment.state.keyring, BILLS, key, b"other").claim(first, caller) is None
        retries = [asyncio.create_task(hospital.create(BILLS, bill, key=key)) for _ in range(60)]
        await asyncio.sleep(0.3)
        began = time.monotonic()
        assert (await other_hospital.get(BILLS)).status_code == 200
        assert (await other_hospital.get("/readyz")).status_code == 200
        assert time.monotonic() - began < 3
    answers = await asyncio.gather(*retries)
    assert {answer.json()["code"] for answer in answers} == {"idempotency_key_reused"}


async def test_two_batches_with_the_same_bills_in_opposite_order_both_succeed(hospital: Client) -> None:
    for _ in range(3):
        lines = [json.dumps(a_bill()) for _ in range(150)]
        sent = ["\n".join(lines), "\n".join(reversed(lines))]
        answers = await asyncio.gather(
            *(
                hospital.post(f"{BILLS}/batch", content=raw, headers={**NDJSON, "Idempotency-Key": str(uuid4())})
                for raw in sent
            )
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        told = [json.loads(line) for answer in answers for line in answer.text.splitlines()]
        assert sorted(line["status"] for line in told) == [200] * 150 + [201] * 150


async def test_a_large_batch_lets_others_through(hospital: Client, other_hospital: Client) -> None:
    raw = "\n".join(json.dumps(a_bill()) for _ in range(1000))
    headers = {**NDJSON, "Idempotency-Key": str(uuid4())}
    batch = asyncio.create_task(hospital.post(f"{BILLS}/batch", content=raw, headers=headers))
    longest = 0.0
    while not batch.done():
        await asyncio.wait([batch], timeout=0.01)
        began = time.monotonic()
        assert (await other_hospital.get("/healthz")).status_code == 200
        longest = max(longest, time.monotonic() - began)
    assert (await batch).text.count('"status":201') == 1000
    assert longest < 2


async def test_a_stay_of_decades_is_refused(hospital: Client) -> None:
    bill = a_bill(stay__admitted_on="0001-01-01")
    body = problem(await hospital.create(BILLS, bill), 422, "stay_too_long")
    assert body["errors"][0]["pointer"] == "/stay/admitted_on"


async def test_lists_are_audited(treatment: FastAPI, hospital: Client, issuer: Issuer) -> None:
    _, discharge_id = await recorded(hospital)
    await hospital.get(BILLS, params={"state": "recorded"})
    await hospital.get(f"{BILLS}/changes")
    auditor = client_of(treatment, issuer.token("auditor"))
    rows: list[dict[str, Any]] = (await auditor.get("/treatment/v1/audit", params={"limit": 5})).json()["items"]
    told = {row["action"]: row["detail"] for row in rows}
    assert told["listed"]["filters"] == {"state": "recorded"}
    assert discharge_id in told["listed"]["discharges"]
    assert "read_changes" in told
