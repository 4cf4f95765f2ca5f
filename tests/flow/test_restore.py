"""Backup and restore of the whole system: counted row by row, and the same settlements as before."""

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.demo.county import INSTITUTIONS
from tests.deploy.conftest import empty_folder
from tests.flow.conftest import System
from tests.flow.people import BILLS, HOSPITAL, SETTLEMENTS, a_bill, a_resident
from tests.flow.test_audit_chain import run

HOSPITAL_CODE = "H45022300001"
WAIT = {"Prefer": "wait=20"}
MERGE = {"Content-Type": "application/merge-patch+json"}
PASS = {"decision": "pass", "reason": "经查为自行跌倒", "legal_basis": "鹿扶领办发〔2018〕37号 三（二）"}
Shares = dict[str, tuple[str, str]]


@dataclass
class Day:
    """Two days of a county, saved between them: what was posted, what was shown at the end, where it lies."""

    place: Path
    backup: Path
    patients: list[dict[str, Any]] = field(default_factory=list)
    old: dict[str, dict[str, Any]] = field(default_factory=dict)
    new: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: str = ""
    corrected: str = ""
    shares: Shares = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    heads: str = ""
    cursor: str = ""


def verb(system: System, module: str, *arguments: str, expect: int = 0) -> str:
    """A verb of the Makefile: what it printed. It must end with this exit code."""
    code, said = run(system, module, *arguments)
    assert code == expect, said
    return said


def eventually(look: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it never became so"
        time.sleep(0.2)
    return found


def ask(system: System, database: str, query: str) -> list[Any]:
    """What the administrator of the running PostgreSQL reads there: the first column."""
    word = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))["postgres"]
    port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["postgres"]

    async def go() -> list[Any]:
        admin = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", password=word, database=database)
        try:
            return [row[0] for row in await admin.fetch(query)]
        finally:
            await admin.close()

    return asyncio.run(go())


def live(system: System) -> Shares:
    """State and safety-net share of every live settlement, by its discharge."""
    office = system.user("safety_net_office")
    page = office.get(SETTLEMENTS, params={"limit": 200}).json()
    assert page["next_cursor"] is None
    standing = [one for one in page["items"] if one["state"] not in ("superseded", "voided")]
    assert len({one["discharge_id"] for one in standing}) == len(standing), "two live settlements of one discharge"
    return {one["discharge_id"]: (one["state"], one["amounts"]["safety_net"]) for one in standing}


def shown(system: System, bills: list[str]) -> dict[str, str | None]:
    """The number of the settlement that the hospital is shown for each bill."""
    hospital = system.client(HOSPITAL)
    found = {bill: hospital.get(f"{BILLS}/{bill}").json() for bill in bills}
    return {bill: (one.get("settlement") or {}).get("settlement_id") for bill, one in found.items()}


def standing(system: System) -> dict[str, str]:
    """The number of the live settlement of each discharge."""
    query = (
        "select concat(discharge_id, ' ', settlement_id) from settlements where state in ('settled','held','rejected')"
    )
    return dict(row.split() for row in ask(system, "safety_net", query))


def post(system: System, patient: dict[str, Any], number: int, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Post a bill and wait for its settlement; its id and content."""
    charges = {"total": f"{20000 + number}.00"}
    bill = a_bill(HOSPITAL_CODE, patient, charges=charges, **changes)
    answer = system.client(HOSPITAL).create(BILLS, bill, **WAIT)
    assert answer.status_code == 201, answer.text
    assert answer.json()["settlement"], "not settled in time"
    return answer.json()["discharge_id"], bill


def decide(system: System, discharge_id: str) -> None:
    """Two persons of the office let the held bill pass."""
    settlement = standing(system)[discharge_id]
    path = f"{SETTLEMENTS}/{settlement}/decisions"
    proposed = system.user("safety_net_office").create(path, PASS)
    assert proposed.status_code == 201, proposed.text
    confirmed = system.user("safety_net_office_2").post(f"{path}/{proposed.json()['decision_id']}/confirm")
    assert confirmed.status_code == 200, confirmed.text


def register(system: System, patient: dict[str, Any]) -> str:
    answer = system.user("poverty_office").create("/contract/v1/residents", patient)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["resident_id"])


def read_changes(system: System, cursor: str | None) -> tuple[list[dict[str, Any]], str]:
    """What changed with the hospital's bills since the cursor, and the next one."""
    hospital, items = system.client(HOSPITAL), []
    while True:
        page = hospital.get(f"{BILLS}/changes", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        items += page["items"]
        if not page["items"]:
            return items, str(page["next_cursor"])
        cursor = page["next_cursor"]


def first_day(system: System, day: Day) -> None:
    answer = system.user("health_bureau").create("/contract/v1/institutions", INSTITUTIONS["county_hospital"])
    assert answer.status_code == 201, answer.text
    day.patients = [a_resident() for _ in range(3)]
    for patient in day.patients[:2]:
        register(system, patient)
    for number in range(3):
        discharge_id, bill = post(system, day.patients[0], number)
        day.old[discharge_id] = bill
    day.held, bill = post(system, day.patients[1], 10, circumstances={"cause": "unknown"})
    day.old[day.held] = bill


def second_day(system: System, day: Day) -> None:
    """A registration, two bills, a correction and a decision of the office: nothing of it is in the backup."""
    register(system, day.patients[2])
    for number in range(2):
        discharge_id, bill = post(system, day.patients[2], 20 + number)
        day.new[discharge_id] = bill
    day.corrected = next(iter(day.old))
    later = {**day.old[day.corrected], "version": 2}
    later["reimbursements"] = {**later["reimbursements"], "critical_illness": "1000.00"}
    correction = {"reason": "大病保险补报", "bill": later}
    answer = system.client(HOSPITAL).create(f"{BILLS}/{day.corrected}/corrections", correction, **WAIT)
    assert answer.status_code == 201, answer.text
    decide(system, day.held)
    eventually(lambda: shown(system, [day.held])[day.held] == standing(system)[day.held])
    _, day.cursor = read_changes(system, None)
    day.heads = verb(system, "deploy.audit_heads")
    day.shares = live(system)
    assert day.shares[day.held] == ("settled", "3209.00")


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    """A county's two days, stopped; each test works on a copy."""
    with empty_folder() as place:
        system = System(place / "data")
        day = Day(place, place / "backup")
        system.start(THREE_BATCHES_DEMO="no")
        try:
            first_day(system, day)
            said = verb(system, "deploy.backup", "--folder", str(day.backup))
            assert "rows of three databases" in said
            second_day(system, day)
        finally:
            system.stop()
        yield day


@pytest.fixture
def house(day: Day) -> Iterator[System]:
    """A copy of the county as the second day left it, not running."""
    with empty_folder() as place:
        # With owners and rights: PostgreSQL's files may be another user's.
        subprocess.run(["cp", "-a", str(day.place / "data"), str(place / "data")], check=True)
        system = System(place / "data")
        yield system
        if system.process is not None and system.process.poll() is None:
            system.stop()


def start(system: System) -> None:
    system.start(THREE_BATCHES_DEMO="no")


def test_yesterdays_safety_net_beside_todays_treatment_comes_to_the_same_settlements(
    house: System, day: Day, tmp_path: Path
) -> None:
    said = verb(house, "deploy.restore", str(day.backup), "--service", "safety-net")
    assert "safety-net: its audit trail goes on in epoch 2" in said
    assert re.search(
        rf"decisions of the office that are lost.*\n.*{day.old[day.held]['bill_no']}.*, settled, 3209", said
    )
    assert re.search(
        r"decisions of the office in the database put aside.*\n.*pass, confirmed, .*safety_net_office", said
    )
    for bill in day.new.values():
        assert bill["bill_no"] in said, "a bill is settled anew and nobody was told"
    start(house)
    assert "nothing is missing" in verb(house, "deploy.reconcile")

    expected = {**day.shares, day.held: ("held", "0.00")}
    eventually(lambda: live(house) == expected)
    assert ask(house, "safety_net", "select count(*) from bills") == [len(expected)]
    eventually(lambda: shown(house, sorted(expected)) == standing(house))
    told, _ = read_changes(house, day.cursor)
    assert {one["discharge_id"] for one in told} == {*day.new, day.held, day.corrected}

    heads = tmp_path / "heads.txt"
    heads.write_text(day.heads, encoding="utf-8")
    said = verb(house, "deploy.verify_audit", "--heads", str(heads), expect=2)
    assert re.search(
        r"safety-net: head of .* epoch 1, batch \d+: forked at restore, epoch 2 \(.*restored from the", said
    )
    assert "treatment: head" not in said
    assert "safety-net: forked at restore, epoch 2" in verb(house, "deploy.verify_audit")

    decide(house, day.held)
    eventually(lambda: live(house) == day.shares)
    eventually(lambda: shown(house, sorted(day.shares)) == standing(house))
    post(house, day.patients[0], 30)
    assert len(live(house)) == len(day.shares) + 1


@pytest.mark.long
def test_yesterdays_treatment_is_sent_its_bills_again_and_nothing_is_settled_twice(house: System, day: Day) -> None:
    said = verb(house, "deploy.restore", str(day.backup), "--service", "treatment")
    assert re.search(
        rf"corrections that treatment-service lacks.*\n.*{day.old[day.corrected]['bill_no']}: version 2", said
    )
    for bill in day.new.values():
        assert bill["bill_no"] in said.partition("bills that treatment-service lacks")[2]
    start(house)
    before = standing(house)
    assert ask(house, "treatment", "select count(*) from discharges") == [len(day.old)]
    assert "nothing is missing" in verb(house, "deploy.reconcile")
    hospital = house.client(HOSPITAL)
    for discharge_id, bill in day.new.items():
        answer = hospital.create(BILLS, bill, **WAIT)
        assert (answer.status_code, answer.json()["discharge_id"]) == (201, discharge_id)
    later = {**day.old[day.corrected], "version": 2}
    later["reimbursements"] = {**later["reimbursements"], "critical_illness": "1000.00"}
    answer = hospital.create(f"{BILLS}/{day.corrected}/corrections", {"reason": "补报", "bill": later}, **WAIT)
    assert answer.status_code == 201, answer.text
    assert live(house) == day.shares
    assert standing(house) == before, "no settlement was made anew"
    eventually(lambda: shown(house, sorted(before)) == before)
    states = {bill: hospital.get(f"{BILLS}/{bill}").json()["state"] for bill in before}
    eventually(lambda: states == {bill: state for bill, (state, _) in day.shares.items()})
    told, _ = read_changes(house, day.cursor)
    assert {*day.new, day.corrected} <= {one["discharge_id"] for one in told}
    verb(house, "deploy.verify_audit")


@pytest.mark.long
def test_yesterdays_registry_holds_everywhere_until_what_is_lost_is_entered_again(house: System, day: Day) -> None:
    said = verb(house, "deploy.restore", str(day.backup), "--service", "contract")
    assert re.search(r"registrations that are lost: they are entered again \(1\)", said)
    start(house)
    for copy in ("treatment", "safety_net"):
        assert ask(house, copy, "select count(*) from resident_copies") == [2]
    lost = ask(house, "safety_net", "select facts ->> 'discharge_id' from bills where facts ->> 'bill_no' is not null")
    assert len(lost) == len(day.shares)
    resident_id = register(house, day.patients[2])
    discharge_id, _ = post(house, day.patients[2], 40)
    assert live(house)[discharge_id][0] == "settled"
    found = ask(house, "safety_net", f"select resident_id::text from settlements where discharge_id = '{discharge_id}'")
    assert found == [resident_id]
    # A change of a record that others know by its former number is heard: its revisions go on above all of them.
    offices = house.user("poverty_office")
    first = ask(house, "contract", "select resident_id::text from residents order by seq limit 1")[0]
    known = offices.get(f"/contract/v1/residents/{first}")
    changed = offices.patch(
        f"/contract/v1/residents/{first}",
        content=json.dumps({"village_code": "450223100002"}),
        headers={**MERGE, "If-Match": known.headers["etag"]},
    )
    assert changed.status_code == 200, changed.text
    villages = f"select village_code from resident_copies where resident_id = '{first}'"
    eventually(lambda: ask(house, "safety_net", villages) == ["450223100002"])


@pytest.mark.long
def test_all_of_it_on_a_new_machine(day: Day) -> None:
    manifest = json.loads((day.backup / "manifest.json").read_text(encoding="utf-8"))
    with empty_folder() as place:
        system = System(place / "elsewhere")
        verb(system, "deploy.restore", str(day.backup))
        start(system)
        try:
            kept = {"settlements", "bills", "discharges", "bill_versions", "residents", "institutions", "users"}
            counted = 0
            for name, service in manifest["services"].items():
                for table in kept & service["rows"].keys():
                    assert ask(system, name, f"select count(*) from {table}") == [service["rows"][table]], table
                    counted += service["rows"][table]
            assert counted > 30
            expected = {one: day.shares[one] for one in day.old} | {day.held: ("held", "0.00")}
            expected[day.corrected] = live(system)[day.corrected]
            assert live(system) == expected
            assert "nothing is missing" in verb(system, "deploy.reconcile")
            verb(system, "deploy.verify_audit")
            opened = system.client(HOSPITAL).get(f"{BILLS}/{day.held}").json()["bill"]["patient"]
            assert opened["identity_number"] == day.patients[1]["identity"]["number"]
            post(system, day.patients[0], 50)
        finally:
            system.stop()
