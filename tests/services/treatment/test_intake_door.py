"""A bill taken at the door is answered, stored and told like one that went through the framework."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from fastapi import FastAPI

from deploy.settings import Urls
from shared.events.safety_net import BillSettled
from tests.clients import Client, Issuer, client_of, problem
from tests.services.treatment.conftest import COUNTY_HOSPITAL, a_bill, as_kept
from tests.services.treatment.test_after_recording import hear, settled
from treatment_service.discharges import service

BILLS = "/treatment/v1/discharges"
# The same header twice is no clear case: the framework's route takes it, and reads the first.
ROUNDABOUT = [("Prefer", ""), ("Prefer", "")]


class Ways:
    """How bills went that were sent."""

    def __init__(self) -> None:
        self.roundabout = 0


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    """Counts the bills that the framework's route recorded."""
    ways, record_bills = Ways(), service.record_bills

    async def counted(*args: Any) -> Any:
        ways.roundabout += 1
        return await record_bills(*args)

    monkeypatch.setattr(service, "record_bills", counted)
    return ways


@pytest.fixture
async def owner(urls: Urls, treatment: FastAPI) -> AsyncIterator[asyncpg.Connection]:
    assert treatment
    connection = await asyncpg.connect(urls.owner_url)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    yield connection
    await connection.close()


async def send(client: Client, bill: Any, *more: tuple[str, str], key: str | None = None) -> httpx.Response:
    headers = [("Idempotency-Key", key or str(uuid4())), ("Content-Type", "application/json"), *more]
    return await client.post(BILLS, content=json.dumps(bill), headers=headers)


async def rows_of(owner: asyncpg.Connection, discharge_id: str, key: str) -> dict[str, Any]:
    """Every row that recording a bill left."""
    one = UUID(discharge_id)
    said = "convert_from(payload, 'utf8')::jsonb"
    found = {
        "discharges": await owner.fetchrow("select * from discharges where discharge_id = $1", one),
        "versions": await owner.fetchrow("select * from bill_versions where discharge_id = $1", one),
        "changes": await owner.fetchrow("select * from discharge_changes where discharge_id = $1", one),
        "audit": await owner.fetchrow("select * from audit where object_id = $1", discharge_id),
        "key": await owner.fetchrow("select * from idempotency_keys where key = $1", as_kept(key)),
        "event": await owner.fetchrow(
            f"select *, {said} as said from outbox where {said} -> 'data' ->> 'discharge_id' = $1", discharge_id
        ),
    }
    return {name: dict(row) for name, row in found.items() if row is not None}


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    assert set(names) <= set(row), set(names) - set(row)
    return {name: value for name, value in row.items() if name not in names}


async def test_the_common_bill_never_reaches_the_framework(hospital: Client, ways: Ways) -> None:
    for more in ((), (("Prefer", "wait=1"),), (("X-Reason", "%E5%A4%8D%E6%9F%A5"),), (("X-Request-Id", "his-1"),)):
        assert (await send(hospital, a_bill(), *more)).status_code == 201
    assert ways.roundabout == 0
    assert (await send(hospital, a_bill(), *ROUNDABOUT)).status_code == 201
    assert ways.roundabout == 1


async def test_both_ways_answer_and_store_the_same(hospital: Client, owner: asyncpg.Connection, ways: Ways) -> None:
    number = f"B-{uuid4()}"
    bills = [
        a_bill(bill_no=f"{number}-1"),
        a_bill(bill_no=f"{number}-2", patient={"identity_number": None, "name": "新生儿"}),
        a_bill(
            bill_no=f"{number}-3",
            patient={"identity_number": "ABC 123", "name": "王·五"},
            stay__pay_later_agreement_no=None,
            circumstances__referral={"kind": "transfer", "number": "Z-1", "accepted_by_insurer": True},
            reimbursements__government_topup="12.34",
        ),
    ]
    by_id, by_key, by_bill = ("discharge_id", "seq"), ("key", "kept_at", "ids"), ("bill_no", "content")
    for bill in bills:
        twin, keys = {**bill, "bill_no": bill["bill_no"] + "-x"}, (str(uuid4()), str(uuid4()))
        reason = ("X-Reason", "%E5%A4%8D%E6%9F%A5")
        quick = await send(hospital, bill, reason, ("X-Request-Id", "his-1"), key=keys[0])
        assert ways.roundabout == 0
        slow = await send(hospital, twin, reason, ("X-Request-Id", "his-1"), *ROUNDABOUT, key=keys[1])
        assert (ways.roundabout, quick.status_code, slow.status_code) == (1, 201, 201)
        ways.roundabout = 0
        assert list(quick.json()) == list(slow.json())
        own = ("discharge_id", "bill_no", "recorded_at")
        assert without(quick.json(), *own) == without(slow.json(), *own)
        assert len(quick.json()["recorded_at"]) == len(slow.json()["recorded_at"])
        assert set(quick.headers) == set(slow.headers)
        assert quick.headers["location"] == f"{BILLS}/{quick.json()['discharge_id']}"
        left, right = [
            await rows_of(owner, answer.json()["discharge_id"], key)
            for answer, key in zip((quick, slow), keys, strict=True)
        ]
        assert set(left) == set(right) == {"discharges", "versions", "changes", "audit", "key", "event"}
        for name, names in (
            ("discharges", (*by_id, "bill_no", "recorded_at")),
            ("versions", ("discharge_id", *by_bill, "sealed_name", "sealed_identity", "recorded_at")),
            ("changes", (*by_id, "bill_no", "at")),
            ("audit", ("seq", "at", "object_id", "xid")),
            ("key", (*by_key, "body_hash")),
            ("event", ("seq", "event_id", "payload", "said_at", "said")),
        ):
            assert without(left[name], *names) == without(right[name], *names), name
        assert without(left["versions"]["content"], "bill_no") == without(right["versions"]["content"], "bill_no")
        assert list(left["versions"]["content"]) == list(right["versions"]["content"])
        for row, answer in ((left, quick), (right, slow)):
            assert row["key"]["ids"] == {"discharge_id": answer.json()["discharge_id"]}
        told = ("discharge_id", "bill_no", "sealed_name", "recorded_at")
        assert without(left["event"]["said"]["data"], *told) == without(right["event"]["said"]["data"], *told)
        assert left["event"]["said"]["requestid"] == right["event"]["said"]["requestid"] == "his-1"


async def test_a_key_is_known_again_whichever_way_it_came_first(hospital: Client, ways: Ways) -> None:
    for first, again in (((), ROUNDABOUT), (ROUNDABOUT, ())):
        bill, key = a_bill(), str(uuid4())
        answers = [await send(hospital, bill, *first, key=key)]
        turned = {name: bill[name] for name in reversed(bill)}
        answers.append(await send(hospital, turned, *again, key=key))
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        assert "idempotency-replayed" not in answers[0].headers
        assert answers[1].headers["idempotency-replayed"] == "true"
        other = {**bill, "reimbursements": {**bill["reimbursements"], "government_topup": "0.00"}}
        problem(await send(hospital, other, *again, key=key), 422, "idempotency_key_reused")
    assert ways.roundabout == 1


async def test_one_key_twice_in_one_writing_gives_one_bill(treatment: FastAPI, hospital: Client) -> None:
    bill, key = a_bill(), str(uuid4())
    answers = await asyncio.gather(*(send(hospital, bill, key=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["discharge_id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7
    key = str(uuid4())
    answers = await asyncio.gather(*(send(hospital, a_bill(), key=key) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 7
    assert treatment


async def test_one_number_twice_in_one_writing_gives_one_bill_and_keeps_every_key(
    hospital: Client, owner: asyncpg.Connection
) -> None:
    bill, keys = a_bill(), [str(uuid4()) for _ in range(8)]
    answers = await asyncio.gather(*(send(hospital, bill, key=key) for key in keys))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["discharge_id"] for answer in answers}) == 1
    kept = await owner.fetch("select status, ids from idempotency_keys where key = any($1)", list(map(as_kept, keys)))
    assert sorted(row["status"] for row in kept) == [200] * 7 + [201]
    assert {row["ids"]["discharge_id"] for row in kept} == {answers[0].json()["discharge_id"]}
    other = [{**bill, "bill_no": f"{bill['bill_no']}-2"}, a_bill(bill_no=f"{bill['bill_no']}-2", stay__emergency=True)]
    keys = [str(uuid4()) for _ in other]
    answers = await asyncio.gather(*(send(hospital, one, key=key) for one, key in zip(other, keys, strict=True)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    # Of the one that was refused nothing is kept: under its key it is judged anew.
    assert (
        await owner.fetchval("select count(*) from idempotency_keys where key = any($1)", list(map(as_kept, keys))) == 1
    )


async def test_other_hospitals_roles_and_heads_are_judged_as_ever(
    treatment: FastAPI, hospital: Client, hrss: Client, issuer: Issuer
) -> None:
    problem(await send(hospital, a_bill(institution_code="H45022300002")), 403, "not_your_institution")
    problem(await send(hrss, a_bill()), 403, "not_your_institution")
    unknown = client_of(treatment, issuer.token("hospital", institution_code="H99999999999"))
    problem(await send(unknown, a_bill(institution_code="H99999999999")), 422, "unknown_institution")
    problem(await send(client_of(treatment, "x.y.z"), a_bill()), 401, "unauthenticated")
    problem(await send(client_of(treatment, issuer.token("auditor")), a_bill()), 403, "role_not_allowed")
    problem(await send(hospital, a_bill(), key="k" * 256), 400, "idempotency_key_invalid")
    problem(await send(hospital, a_bill(), ("Prefer", "w" * 300)), 422, "text_too_long")
    problem(await send(hospital, a_bill(), ("X-Reason", "450223197503120006")), 400, "reason_invalid")
    asked = await hospital.post(f"{BILLS}?x=1", json=a_bill(), headers={"Idempotency-Key": str(uuid4())})
    assert asked.status_code == 422
    plain = {"Idempotency-Key": str(uuid4()), "Content-Type": "text/plain"}
    answer = await hospital.post(BILLS, content=json.dumps(a_bill()), headers=plain)
    problem(answer, 415, "unsupported_media_type")


async def waited_for(owner: asyncpg.Connection, bill: dict[str, Any]) -> str:
    """The id of a bill that was just sent, once it is recorded."""
    while True:
        query = "select discharge_id from discharges where bill_no = $1"
        if found := await owner.fetchval(query, bill["bill_no"]):
            return str(found)
        await asyncio.sleep(0.01)


def unread(event: BillSettled) -> dict[str, Any]:
    """A settlement as a listener in a hurry has it: its own text was never read."""
    return event.model_dump() | {"settlement": msgspec.Raw(json.dumps(event.settlement).encode())}


@pytest.mark.parametrize("told_as", [BillSettled.model_copy, unread])
async def test_a_settlement_that_is_told_needs_no_looking(
    treatment: FastAPI,
    hospital: Client,
    owner: asyncpg.Connection,
    ways: Ways,
    monkeypatch: pytest.MonkeyPatch,
    told_as: Callable[[BillSettled], Any],
) -> None:
    async def nobody_looks(*_: Any) -> None:
        raise AssertionError("the settlement was told")

    bill = a_bill()
    with monkeypatch.context() as patch:
        patch.setattr(service, "answers", nobody_looks)
        patch.setattr("shared.kit.waits.LOOK_AGAIN_SECONDS", 60)
        waiting = asyncio.create_task(send(hospital, bill, ("Prefer", "wait=30")))
        event = settled(await waited_for(owner, bill), state="held", settlement={"decision": "hold", "名": ["一"]})
        treatment.state.waits.tell(event.discharge_id, told_as(event))
        answer = await waiting
    assert (answer.status_code, ways.roundabout) == (201, 0)
    await hear(treatment, event)
    read = (await hospital.get(f"{BILLS}/{event.discharge_id}")).json()
    assert answer.json() == {name: read[name] for name in answer.json()}
    assert (read["state"], read["settlement"]) == ("held", event.settlement)


@pytest.mark.parametrize("later", [False, True])
async def test_a_settlement_that_is_not_told_is_found(
    treatment: FastAPI, hospital: Client, owner: asyncpg.Connection, ways: Ways, later: bool
) -> None:
    """Only woken, or told of a version that this answer is not about."""
    bill = a_bill()
    waiting = asyncio.create_task(send(hospital, bill, ("Prefer", "wait=30")))
    event = settled(await waited_for(owner, bill), state="held")
    await hear(treatment, event)
    if later:
        treatment.state.waits.tell(event.discharge_id, event.model_copy(update={"bill_version": 2, "state": "settled"}))
    answer = await waiting
    assert (answer.status_code, ways.roundabout) == (201, 0)
    assert (answer.json()["state"], answer.json()["settlement"]) == ("held", event.settlement)


async def test_a_bill_nobody_settles_in_time_is_answered_as_recorded(hospital: Client, ways: Ways) -> None:
    answer = await send(hospital, a_bill(), ("Prefer", "wait=1"))
    assert (answer.status_code, answer.json()["state"], answer.json()["settlement"]) == (201, "recorded", None)
    assert ways.roundabout == 0


async def test_the_log_line_is_the_same(hospital: Client, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ((), ROUNDABOUT):
        await send(hospital, a_bill(), ("X-Request-Id", "his-77"), *more)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "his-77" in line]
    requests = [without(line, "ts", "ms") if "ms" in line else without(line, "ts") for line in lines]
    assert requests[0] == requests[1]
    assert (requests[0]["route"], requests[0]["status"]) == (BILLS, 201)


async def test_a_reason_and_an_address_stand_in_the_trail(hospital: Client, owner: asyncpg.Connection) -> None:
    told = (("X-Reason", "%E5%A4%8D%E6%9F%A5"), ("X-Forwarded-For", "10.1.2.3, 10.0.0.1"))
    answer = await send(hospital, a_bill(), *told)
    row = await owner.fetchrow("select * from audit where object_id = $1", answer.json()["discharge_id"])
    assert row is not None
    assert (row["reason"], row["address"], row["caller"]) == ("复查", "10.1.2.3", "county")
    assert (row["roles"], row["county_code"]) == ("hospital", COUNTY_HOSPITAL[1:7])
