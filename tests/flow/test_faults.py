"""A process dies while bills come in: what was acknowledged is settled exactly once."""

import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.flow.conftest import Caller, System
from tests.flow.people import BILLS, HOSPITAL, SETTLEMENTS, a_bill, a_resident

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


def storm(system: System, *, number: int, kills: list[str], pause: tuple[float, float], parallel: int = 8) -> None:
    """Post bills while processes are killed one after another, then count: each bill once, each fen right."""
    dice = random.Random(SEED)
    patient = a_resident()
    assert system.user("poverty_office").create("/contract/v1/residents", patient).status_code == 201
    hospital, bills = system.client(HOSPITAL), made_up_bills(dice, patient, number)
    over = threading.Event()

    def trouble() -> None:
        for name in kills:
            time.sleep(dice.uniform(*pause))
            kill(system, name)
        over.set()

    def post(place: int) -> str:
        # The bills are spread over the whole storm: the last one is posted when the last kill is past.
        if place >= number - parallel:
            over.wait(600)
        return post_until_acknowledged(hospital, bills[place])

    troubling = threading.Thread(target=trouble)
    troubling.start()
    with ThreadPoolExecutor(parallel) as pool:
        ids = list(pool.map(post, range(number)))
    troubling.join()
    assert len(set(ids)) == number
    check_settled_once(system, ids, sum(expected_fen(bill) for bill in bills))


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
    storm(restless, number=2000, kills=kills, pause=(14.0, 18.0), parallel=16)


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
