"""A batch is written in chunks, and each of its lines becomes what it would have become alone."""

import asyncio
import gc
import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from shared.kit.database import Said
from tests.clients import Client
from tests.services.treatment.conftest import FAR_HOSPITAL, TCM_HOSPITAL, a_bill
from tests.services.treatment.test_intake_door import owner as owner
from tests.services.treatment.test_intake_door import rows_of, send, without
from treatment_service.discharges import service
from treatment_service.intake import service as intake

BATCH = "/treatment/v1/discharges/batch"


async def batch(client: Client, lines: Sequence[Any], key: str | None = None) -> list[dict[str, Any]]:
    """The answers to a batch, line by line; a line that is bytes is sent as it is."""
    raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key or str(uuid4())}
    answer: httpx.Response = await client.post(BATCH, content=raw, headers=headers)
    assert answer.status_code == 200, answer.text
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["line"] for line in told] == list(range(1, len(lines) + 1))
    return told


async def test_each_line_becomes_what_it_would_have_become_alone(hospital: Client) -> None:
    known, other, twice = a_bill(), a_bill(), a_bill()
    for bill in (known, other):
        assert (await send(hospital, bill)).status_code == 201
    odd = a_bill()
    odd["diagnoses"][0]["code"] = "C34\t900"
    lines: list[tuple[Any, int, str | None]] = [
        (a_bill(), 201, None),
        (known, 200, None),
        ({**other, "stay": {**other["stay"], "emergency": True}}, 409, "bill_already_recorded"),
        (twice, 201, None),
        (twice, 200, None),
        ({**twice, "stay": {**twice["stay"], "emergency": True}}, 409, "bill_already_recorded"),
        (odd, 201, None),
        (a_bill(version=2), 422, "version_not_first"),
        (a_bill(charges__total="0.01"), 422, "part_above_total"),
        (a_bill(institution_code=TCM_HOSPITAL), 403, "not_your_institution"),
        (a_bill(stay__discharged_on="2999-01-01"), 422, "date_in_future"),
        (b"", 400, "malformed_json"),
        (b'{"version":1,"version":1}', 400, "duplicate_key"),
        (b" " * 1_048_577, 413, "body_too_large"),
        (json.dumps(a_bill(), indent=None).encode() + b"\r", 201, None),
    ]
    told = await batch(hospital, [line for line, _, _ in lines])
    assert [(line["status"], line.get("code")) for line in told] == [(status, code) for _, status, code in lines]
    assert told[3]["discharge_id"] == told[4]["discharge_id"]
    for (sent, status, _), line in zip(lines, told, strict=True):
        if status == 201:
            bill = json.loads(sent) if isinstance(sent, bytes) else sent
            read = (await hospital.get(f"/treatment/v1/discharges/{line['discharge_id']}")).json()
            assert (read["bill"]["patient"], read["bill_no"]) == (bill["patient"], bill["bill_no"])
            assert without(line, "line", "status") == without(read, "flags", "bill")
            assert list(line)[2:] == [name for name in read if name not in ("flags", "bill")]


async def test_a_batch_stores_and_tells_what_a_single_bill_does(
    treatment: FastAPI, hospital: Client, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Said] = []
    monkeypatch.setattr(treatment.state.database, "said", told.extend)
    bill = a_bill(patient={"identity_number": "450223197503120006", "name": "测试甲"})
    key, one = str(uuid4()), {**bill, "bill_no": bill["bill_no"] + "-x"}
    single = (await send(hospital, one, key=key)).json()
    told.clear()
    (line,) = await batch(hospital, [bill])
    left = await rows_of(owner, line["discharge_id"], "")
    right = await rows_of(owner, single["discharge_id"], "")
    assert set(left) == set(right) == {"discharges", "versions", "changes", "audit", "event"}
    for name, names in (
        ("discharges", ("discharge_id", "seq", "bill_no", "recorded_at")),
        ("versions", ("discharge_id", "bill_no", "content", "sealed_name", "sealed_identity", "recorded_at")),
        ("changes", ("discharge_id", "seq", "bill_no", "at")),
        ("audit", ("seq", "at", "object_id", "xid", "request_id")),
        ("event", ("seq", "event_id", "payload", "said_at", "said")),
    ):
        assert without(left[name], *names) == without(right[name], *names), name
    assert without(left["versions"]["content"], "bill_no") == without(right["versions"]["content"], "bill_no")
    event = left["event"]
    assert told == [Said(event["seq"], event["event_id"], event["subject"], event["payload"])]


async def test_many_chunks_are_one_commit_in_the_order_of_their_numbers(
    treatment: FastAPI, hospital: Client, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK", 7)
    handed: list[Sequence[Said]] = []
    monkeypatch.setattr(treatment.state.database, "said", handed.append)
    bills = [a_bill() for _ in range(50)]
    told = await batch(hospital, [*bills, *bills[:5]])
    assert [line["status"] for line in told] == [201] * 50 + [200] * 5
    ids = [UUID(line["discharge_id"]) for line in told[:50]]
    rows = await owner.fetch(
        "select bill_no, xmin::text as x from discharges where discharge_id = any($1) order by seq", ids
    )
    assert [row["bill_no"] for row in rows] == sorted(bill["bill_no"] for bill in bills)
    assert len({row["x"] for row in rows}) == 1
    (events,) = handed
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    assert len(events) == 50


async def test_a_batch_that_fails_leaves_nothing(hospital: Client, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bills, key = [a_bill() for _ in range(20)], str(uuid4())
    monkeypatch.setattr(intake, "CHUNK", 5)

    async def failing(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(service, "record_bills", failing)
        raw = "\n".join(json.dumps(bill) for bill in bills)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        assert (await hospital.post(BATCH, content=raw, headers=headers)).status_code == 500
    numbers = [bill["bill_no"] for bill in bills]
    assert await owner.fetchval("select count(*) from discharges where bill_no = any($1)", numbers) == 0
    assert [line["status"] for line in await batch(hospital, bills, key)] == [201] * 20


async def test_the_insurance_windows_batch_is_recorded_too(hrss: Client) -> None:
    lines = [a_bill(institution_code=FAR_HOSPITAL), a_bill(), a_bill(institution_code=FAR_HOSPITAL)]
    assert [line["status"] for line in await batch(hrss, lines)] == [201, 403, 201]


async def test_a_batch_gives_others_their_turn_all_the_time(hospital: Client) -> None:
    """What one turn of the loop takes is counted in this thread's CPU time, whatever else the machine does.

    Without the collector of cycles: its work here is that of the whole test run, whose objects it looks through.
    """
    lines = [json.dumps(a_bill()).encode() for _ in range(1500)]
    loop, longest, before = asyncio.get_running_loop(), 0.0, time.thread_time()

    def turn() -> None:
        nonlocal longest, before
        now = time.thread_time()
        longest, before = max(longest, now - before), now
        if not sending.done():
            loop.call_soon(turn)

    gc.collect()
    gc.disable()
    sending = asyncio.create_task(batch(hospital, lines))
    loop.call_soon(turn)
    await sending
    gc.enable()
    assert longest < 0.1
