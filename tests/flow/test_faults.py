"""A process dies while bills come in: what was acknowledged is settled exactly once."""

import asyncio
import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import nats
import pytest
from nats.js.errors import NotFoundError

from tests.flow.conftest import Caller, System
from tests.flow.people import BILLS, HOSPITAL, SETTLEMENTS, a_bill, a_resident
from tests.flow.test_audit_chain import run
from tests.long_runs import note_long_run

SEED = 20180720
PARTS = ("in_scope", "drugs", "catalogue_drugs")


def post_until_acknowledged(hospital: Caller, bill: dict[str, Any]) -> str:
    """What a HIS does: the same bill with the same key until there is an answer."""
    key, deadline = str(uuid4()), time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            answer = hospital.create(BILLS, bill, **{"Idempotency-Key": key})
            if answer.status_code in (200, 201):
                return str(answer.json()["discharge_id"])
            assert answer.status_code >= 500 or answer.status_code in (409, 429), answer.text
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("never acknowledged")


def kill(system: System, name: str) -> None:
    """SIGKILL one process of the running system; the supervisor starts it again."""
    os.kill(json.loads((system.data / "processes.json").read_text())[name]["pid"], signal.SIGKILL)


@pytest.fixture
def restless(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A system of its own, so that the others keep their peace."""
    system = System(tmp_path_factory.mktemp("restless") / "data")
    system.start()
    yield system
    system.stop()


def made_up_bills(dice: random.Random, patient: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Bills of odd amounts, half of each already reimbursed."""
    bills = []
    for _ in range(number):
        total = dice.randrange(100_000, 9_000_000)
        charges = {"total": f"{total // 100}.{total % 100:02d}", **dict.fromkeys(PARTS, "0.00")}
        paid = {"basic_insurance": f"{total // 200}.{dice.randrange(100):02d}", "medical_assistance": "0.00"}
        bills.append(a_bill("H45022300001", patient, charges=charges, reimbursements=paid))
    return bills


def storm(
    system: System,
    *,
    number: int,
    kills: list[str],
    pause: tuple[float, float],
    parallel: int = 8,
    strike: Callable[[System, str], None] = kill,
) -> None:
    """Post bills while things are struck one after another, then count: each bill once, each fen right."""
    dice = random.Random(SEED)
    patient = a_resident()
    assert system.user("poverty_office").create("/contract/v1/residents", patient).status_code == 201
    hospital, bills = system.client(HOSPITAL), made_up_bills(dice, patient, number)
    over = threading.Event()

    def trouble() -> None:
        try:
            for name in kills:
                time.sleep(dice.uniform(*pause))
                strike(system, name)
        finally:
            over.set()

    def post(place: int) -> str:
        # The bills are spread over the whole storm: the last one is posted when the last kill is past.
        if place >= number - parallel:
            over.wait(600)
        return post_until_acknowledged(hospital, bills[place])

    troubling = threading.Thread(target=trouble)
    troubling.start()
    try:
        with ThreadPoolExecutor(parallel) as pool:
            ids = list(pool.map(post, range(number)))
    finally:
        troubling.join()
    assert len(set(ids)) == number
    check_settled_once(system, ids, sum(expected_fen(bill) for bill in bills))
    code, said = run(system, "deploy.verify_audit")
    assert code == 0, said
    code, said = run(system, "deploy.reconcile")
    assert code == 0, said


def check_settled_once(system: System, ids: list[str], expected: int) -> None:
    """Every bill has exactly one live settlement, their sum is the law's, and no event is missing anywhere."""
    office, deadline = system.user("safety_net_office"), time.monotonic() + 120
    while True:
        live = live_settlements(office, set(ids))
        if len(live) == len(ids) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert sorted(one["discharge_id"] for one in live) == sorted(ids)
    assert sum(int(Decimal(one["amounts"]["safety_net"]) * 100) for one in live) == expected
    operator = system.user("administrator")
    for service in ("contract", "treatment", "safety-net"):
        assert operator.get(f"/{service}/v1/dead-letters").json()["items"] == []
        # What was said a moment ago may still be on its way; what is lost would be missing for ever without a replay.
        while operator_finds_missing(operator, service):
            assert time.monotonic() < deadline + 60
            time.sleep(0.5)


def operator_finds_missing(operator: httpx.Client, service: str) -> bool:
    """Whether a listener of this service lacks an event."""
    answer = operator.post(f"/{service}/v1/reconciliation")
    assert answer.status_code == 200, answer.text
    return any(event["missing"] for event in answer.json()["events"])


def test_killed_services_lose_nothing_and_double_nothing(restless: System) -> None:
    storm(restless, number=300, kills=["safety-net", "treatment", "gateway", "nats"], pause=(2.0, 3.0))


@pytest.mark.long
def test_every_part_killed_three_times_loses_nothing_and_doubles_nothing(restless: System) -> None:
    """2,000 bills; each service, the gateway, NATS and PostgreSQL die by SIGKILL three times in a seeded order."""
    kills = ["treatment", "safety-net", "gateway", "nats", "postgres"] * 3
    random.Random(SEED).shuffle(kills)
    began = time.monotonic()
    storm(restless, number=2000, kills=kills, pause=(14.0, 18.0), parallel=16)
    note_long_run(
        "storm",
        seed=SEED,
        what=f"2,000 bills by 16 posters; SIGKILL three times each: {', '.join(sorted(set(kills)))}",
        result=f"each settled exactly once, sum exact, no dead letter, nothing missing, audit whole; "
        f"{time.monotonic() - began:.0f} s",
    )


def delete_stream(system: System, name: str) -> None:
    """The broker forgets a stream with all that is in it, as brokers have done."""
    port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["nats"]
    word = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))["nats"]

    async def go() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{port}", user="three_batches", password=word)
        with contextlib.suppress(NotFoundError):
            await client.jetstream().delete_stream(name)
        await client.close()

    asyncio.run(go())


@pytest.mark.long
def test_streams_deleted_while_bills_arrive_lose_nothing(restless: System) -> None:
    streams = ["TREATMENT", "SAFETY_NET", "TREATMENT", "CONTRACT"]
    storm(restless, number=120, kills=streams, pause=(1.0, 2.0), strike=delete_stream)


def as_owner_of_settlements(system: System, statement: str) -> None:
    """What an administrator of the safety-net database does."""
    word = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))["safety_net_owner"]
    port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["postgres"]

    async def go() -> None:
        account = {"user": "safety_net_owner", "password": word, "database": "safety_net"}
        owner = await asyncpg.connect(host="127.0.0.1", port=port, **account)
        await owner.execute(statement)
        await owner.close()

    asyncio.run(go())


def test_a_poisoned_bill_ends_with_a_person_while_the_rest_is_settled(system: System) -> None:
    """One bill that this database can't take: it is named, the others flow, and a replay settles it when it can."""
    patient = a_resident()
    assert system.user("poverty_office").create("/contract/v1/residents", patient).status_code == 201
    hospital, operator = system.client(HOSPITAL), system.user("administrator")
    poisoned, *others = made_up_bills(random.Random(SEED), patient, 5)
    no_such_bill = f"check (coalesce(facts ->> 'bill_no', '') <> '{poisoned['bill_no']}') not valid"
    as_owner_of_settlements(system, f"alter table bills add constraint poison {no_such_bill}")
    try:
        first = post_until_acknowledged(hospital, poisoned)
        ids = [post_until_acknowledged(hospital, bill) for bill in others]
        letters = wait_for(lambda: operator.get("/safety-net/v1/dead-letters").json()["items"])
        assert [letter["subject"] for letter in letters] == ["treatment.discharge_billed.v1"]
        wait_for(lambda: len(live_settlements(system.user("safety_net_office"), set(ids))) == len(ids))
        replay = f"/safety-net/v1/dead-letters/{letters[0]['event_id']}/replay"
        refused = operator.post(replay)
        assert (refused.status_code, refused.json()["code"]) == (409, "replay_failed")
    finally:
        as_owner_of_settlements(system, "alter table bills drop constraint poison")
    assert operator.post(replay).status_code == 200
    (settled,) = wait_for(lambda: live_settlements(system.user("safety_net_office"), {first}))
    assert int(Decimal(settled["amounts"]["safety_net"]) * 100) == expected_fen(poisoned)
    wait_for(lambda: hospital.get(f"{BILLS}/{first}").json()["state"] == "settled")
    assert operator.post(replay).status_code == 200, "replayed again, it changes nothing"
    assert len(live_settlements(system.user("safety_net_office"), {first})) == 1


def wait_for(look: Callable[[], Any], seconds: float = 60) -> Any:
    """What looking gives once it gives something."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it never became so"
        time.sleep(0.2)
    return found


def live_settlements(office: httpx.Client, ids: set[str]) -> list[dict[str, Any]]:
    """Every live settlement of these bills, by paging through all."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = office.get(SETTLEMENTS, params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        found += [one for one in page["items"] if one["discharge_id"] in ids and one["state"] == "settled"]
        if not (cursor := page["next_cursor"]):
            return found


def expected_fen(bill: dict[str, Any]) -> int:
    """A3-20 once more, by hand: half-up(total × 90 %) − reimbursed, never below zero."""
    total = int(Decimal(bill["charges"]["total"]) * 100)
    paid = sum(int(Decimal(amount) * 100) for amount in bill["reimbursements"].values())
    return max((total * 9 + 5) // 10 - paid, 0)
