"""What goes wrong with one bill, with the writer or with a client leaves every other bill, and the truth, alone."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI

from deploy.settings import Urls
from shared.kit.combiner import Combiner
from tests.clients import Client, problem
from tests.services.treatment.conftest import COUNTY_HOSPITAL, a_bill, as_kept
from treatment_service.discharges import service

BILLS = "/treatment/v1/discharges"


@pytest.fixture
async def owner(urls: Urls, treatment: FastAPI) -> AsyncIterator[asyncpg.Connection]:
    assert treatment
    connection = await asyncpg.connect(urls.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
def writer(treatment: FastAPI) -> Combiner:
    found: Combiner = treatment.state.desk.combiner
    return found


async def count(owner: asyncpg.Connection, *bills: dict[str, Any]) -> int:
    numbers = [bill["bill_no"] for bill in bills]
    found: int = await owner.fetchval("select count(*) from discharges where bill_no = any($1)", numbers)
    return found


async def events(owner: asyncpg.Connection, *bills: dict[str, Any]) -> Counter[str]:
    """How many events tell of each bill."""
    said = "convert_from(payload, 'utf8')::jsonb -> 'data' ->> 'bill_no'"
    numbers = [bill["bill_no"] for bill in bills]
    rows = await owner.fetch(f"select {said} as bill_no from outbox where {said} = any($1)", numbers)
    return Counter(row["bill_no"] for row in rows)


@contextlib.asynccontextmanager
async def refusing(owner: asyncpg.Connection, when: str, deferred: str = "") -> AsyncIterator[None]:
    """A trigger that refuses some bills."""
    await owner.execute(
        f"""
        create or replace function refuse_some() returns trigger language plpgsql as
          $$ begin raise exception 'disk full'; end $$;
        create constraint trigger refuse_some after insert on discharges {deferred} for each row
          when ({when}) execute function refuse_some();
        """
    )
    yield
    await owner.execute("drop trigger refuse_some on discharges; drop function refuse_some")


@pytest.mark.parametrize("deferred", ["", "deferrable initially deferred"])
async def test_a_bill_that_fails_takes_none_of_its_neighbours_along(
    hospital: Client, owner: asyncpg.Connection, deferred: str
) -> None:
    bills = [a_bill() for _ in range(20)] + [a_bill(bill_no=f"BAD-{uuid4()}")]
    async with refusing(owner, "new.bill_no like 'BAD-%'", deferred):
        answers = await asyncio.gather(*(hospital.create(BILLS, bill) for bill in bills))
    assert [answer.status_code for answer in answers] == [201] * 20 + [500]
    problem(answers[-1], 500, "internal_error")
    assert await count(owner, *bills) == 20
    assert await events(owner, *bills) == {bill["bill_no"]: 1 for bill in bills[:20]}
    assert (await hospital.create(BILLS, bills[-1])).status_code == 201


async def test_a_number_that_somebody_holds_keeps_nobody_else_waiting(
    hospital: Client, owner: asyncpg.Connection
) -> None:
    held, others = a_bill(), [a_bill() for _ in range(20)]
    holder = owner.transaction()
    await holder.start()
    await owner.execute(
        """
        insert into discharges (discharge_id, institution_code, bill_no, version, state, county_code,
          recorded_county_code, recorded_by_window, admission_no, admitted_on, discharged_on, total_fen)
        values (gen_random_uuid(), $1, $2, 1, 'recorded', '450223', '450223', false, '1', now(), now(), 1)
        """,
        COUNTY_HOSPITAL,
        held["bill_no"],
    )
    key = str(uuid4())
    waiting = asyncio.create_task(hospital.create(BILLS, held, key=key))
    answers = await asyncio.gather(*(hospital.create(BILLS, bill) for bill in others))
    assert {answer.status_code for answer in answers} == {201}
    assert not waiting.done()
    await holder.rollback()
    answer = await waiting
    assert answer.status_code == 201, answer.text
    assert await count(owner, held) == 1
    assert await owner.fetchval("select count(*) from idempotency_keys where key = $1", as_kept(key)) == 1


async def test_a_writer_that_is_cut_off_again_and_again_loses_and_doubles_nothing(
    hospital: Client, owner: asyncpg.Connection, writer: Combiner, urls: Urls
) -> None:
    bills = [a_bill() for _ in range(150)]
    cut, colleague = 0, await asyncpg.connect(urls.service_url)

    async def as_a_his_does(bill: dict[str, Any]) -> Any:
        key = str(uuid4())
        while (answer := await hospital.create(BILLS, bill, key=key)).status_code != 201:
            assert answer.status_code == 503, answer.text
        again = await hospital.create(BILLS, bill, key=key)
        assert again.json() == answer.json()
        return answer

    async def cut_off() -> None:
        nonlocal cut
        while True:
            if not writer.direct.lost:
                pid = (await writer.direct.connection()).get_server_pid()
                cut += await colleague.fetchval("select pg_terminate_backend($1)", pid)
            await asyncio.sleep(0.01)

    cutting = asyncio.create_task(cut_off())
    answers = []
    for start in range(0, len(bills), 30):
        answers += await asyncio.gather(*map(as_a_his_does, bills[start : start + 30]))
    cutting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await cutting
    await colleague.close()
    assert cut > 3
    assert len({answer.json()["discharge_id"] for answer in answers}) == len(bills)
    assert await count(owner, *bills) == len(bills)
    assert await events(owner, *bills) == {bill["bill_no"]: 1 for bill in bills}


async def test_a_commit_of_which_nothing_was_heard_is_not_answered_as_new(
    hospital: Client, owner: asyncpg.Connection, writer: Combiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is committed, the answer of the database is lost: the client is told the truth, as to a retry."""
    prepared = writer.direct.prepared

    class Lost:
        def __init__(self, statement: Any) -> None:
            self.statement = statement

        async def fetch(self, *columns: Any) -> None:
            await self.statement.fetch(*columns)
            await writer.direct.close()
            raise ConnectionResetError

    async def losing(statement: str) -> Lost:
        return Lost(await prepared(statement))

    bill = a_bill()
    with monkeypatch.context() as patch:
        patch.setattr(writer.direct, "prepared", losing)
        answer = await hospital.create(BILLS, bill)
    assert answer.status_code == 201
    assert answer.headers["idempotency-replayed"] == "true"
    assert await count(owner, bill) == 1
    assert await events(owner, bill) == {bill["bill_no"]: 1}


async def test_a_writer_that_hears_nothing_gives_up_and_the_bill_is_recorded(
    hospital: Client, owner: asyncpg.Connection, writer: Combiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        async def fetch(self, *_: Any) -> None:
            await asyncio.sleep(3600)

    async def silent(_: str) -> Silent:
        return Silent()

    bill = a_bill()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "seconds", 0.05)
        patch.setattr(writer.direct, "prepared", silent)
        answer = await hospital.create(BILLS, bill)
    assert (answer.status_code, await count(owner, bill)) == (201, 1)
    assert writer.direct.lost
    assert (await hospital.create(BILLS, a_bill())).status_code == 201


async def test_more_bills_than_can_wait_are_told_to_come_again(
    hospital: Client, owner: asyncpg.Connection, writer: Combiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill = a_bill()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "most_waiting", 0)
        answer = await hospital.create(BILLS, bill)
    problem(answer, 503, "temporarily_unavailable")
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("2", "no-store")
    assert await count(owner, bill) == 0
    assert (await hospital.create(BILLS, bill)).status_code == 201


async def test_clients_that_leave_cost_nobody_anything(
    hospital: Client, owner: asyncpg.Connection, treatment: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait in the queue, those whose bill is being written; what was written is told to the relay."""
    bills, keys = [a_bill() for _ in range(60)], [str(uuid4()) for _ in range(60)]
    told: list[Any] = []
    monkeypatch.setattr(treatment.state.database, "said", told.extend)
    for pause in (0, 0.001, 0.005):
        sent = [asyncio.create_task(hospital.create(BILLS, b, key=k)) for b, k in zip(bills, keys, strict=True)]
        await asyncio.sleep(pause)
        for task in sent[::2]:
            task.cancel()
        stayed = await asyncio.gather(*sent[1::2])
        assert {answer.status_code for answer in stayed} == {201}
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*sent[::2])
    answers = await asyncio.gather(*(hospital.create(BILLS, b, key=k) for b, k in zip(bills, keys, strict=True)))
    assert {answer.status_code for answer in answers} == {201}
    assert await count(owner, *bills) == 60
    assert await events(owner, *bills) == {bill["bill_no"]: 1 for bill in bills}
    # A bill that went round through the framework is only pointed at: its row is found in the outbox.
    seqs = [row.seq for row in told]
    assert len(seqs) == len(set(seqs))
    assert len(seqs) > 20


async def test_a_request_whose_key_is_in_hand_waits_for_it_without_stopping_the_writer(
    hospital: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first went through the framework and is slow; the second has the same key and would be clear."""
    record_bills, begun, go = service.record_bills, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        begun.set()
        await go.wait()
        return await record_bills(*args)

    bill, key = a_bill(), str(uuid4())
    with monkeypatch.context() as patch:
        patch.setattr(service, "record_bills", slow)
        twice = [("Idempotency-Key", key), ("Prefer", ""), ("Prefer", "")]
        first = asyncio.create_task(hospital.post(BILLS, json=bill, headers=twice))
        await begun.wait()
        second = asyncio.create_task(hospital.create(BILLS, bill, key=key))
        others = await asyncio.gather(*(hospital.create(BILLS, a_bill()) for _ in range(5)))
        assert {answer.status_code for answer in others} == {201}
        assert not second.done()
        go.set()
        answers = [await first, await second]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
