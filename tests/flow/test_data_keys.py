"""Data keys change while the county works: killed in the middle, beside corrections, and nothing is lost or doubled."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from contract_service.institutions.endpoints import EXAMPLE as INSTITUTION
from deploy.state import write_private
from shared.kit import clock
from shared.kit.sealing import Keyring
from tests.flow import marks
from tests.flow.conftest import ROOT, Caller, System
from tests.flow.people import BILLS, HOSPITAL, a_bill, a_resident
from tests.flow.test_bill_to_settlement import eventually

CODE = "H45022300001"
RESIDENTS = "/contract/v1/residents"
OLD = re.compile(rb"\bk1\.[A-Za-z0-9_-]{38,}")


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of its own, with residents, bills, an authenticator and a letter nobody could deliver."""
    system = System(tmp_path_factory.mktemp("keys") / "data")
    try:
        # Without the demo county: what is sealed here is what the test says.
        system.start(THREE_BATCHES_DEMO="no")
        yield system
    finally:
        system.stop()


class World:
    """What the test put into the county, and what it must read at any moment."""

    def __init__(self, system: System) -> None:
        self.system, self.hospital = system, system.client(HOSPITAL)
        self.office = system.user("poverty_office")
        self.one_at_a_time = threading.Lock()
        bureau = system.user("health_bureau")
        hospital = {**INSTITUTION, "institution_code": CODE, "name": "鹿寨县示例医院"}
        assert bureau.create("/contract/v1/institutions", hospital).status_code == 201
        self.patient = a_resident(name="第一个名字", phone="0772-1234567")
        made = self.office.create(RESIDENTS, self.patient)
        assert made.status_code == 201, made.text
        self.resident, tag = f"{RESIDENTS}/{made.json()['resident_id']}", made.headers["etag"]
        for name in ("第二个名字", "第一个名字"):
            patch = {"Content-Type": "application/merge-patch+json", "If-Match": tag}
            tag = self.office.patch(self.resident, content=json.dumps({"name": name}), headers=patch).headers["etag"]
        # Name by discharge id: as it must be read.
        self.names: dict[str, str] = {}
        self.notices: list[str] = []
        raw = "\n".join(json.dumps(a_bill(CODE, self.patient)) for _ in range(120))
        eventually(lambda: self.hospital.create(BILLS, a_bill(CODE, self.patient)).status_code == 201, 60)
        headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/x-ndjson"}
        lines = self.hospital.post(f"{BILLS}/batch", content=raw.encode(), headers=headers).text.splitlines()
        self.names |= {json.loads(line)["discharge_id"]: "第一个名字" for line in lines}
        self.notices = [eventually(partial(self.settlement, bill), 60) for bill in list(self.names)[:3]]
        self.sealed_elsewhere()

    def settlement(self, bill: str) -> str | None:
        found = self.hospital.get(f"{BILLS}/{bill}").json()["settlement"]
        return str(found["settlement_id"]) if found else None

    def sealed_elsewhere(self) -> None:
        """An authenticator's secret, and a dead letter."""
        wanted = {"username": "sealed.totp", "name": "测试经办", "roles": ["hrss"]}
        made = self.system.user("administrator").create("/contract/v1/accounts/users", wanted).json()
        who, word = {"username": "sealed.totp"}, "lamb-wool-nine-rivers"
        change = {**who, "password": made["first_password"], "new_password": word}
        assert self.hospital.post("/oauth/password", data=change).status_code == 200
        assert self.hospital.post("/oauth/totp", data={**who, "password": word}).status_code == 200
        payload = marks.rows_of(self.system, "treatment", "select payload from outbox limit 1")[0][0]
        marks.rows_of(
            self.system,
            "safety_net",
            "insert into dead_letters (event_id, subject, payload, deliveries, error_type) "
            "values ($1, 'x', $2, 6, 'x')",
            uuid4(),
            payload,
        )

    def correct_one(self, dice: random.Random) -> None:
        """A correction under another name, or a new bill."""
        bill_id, name = dice.choice(list(self.names)[3:]), f"名字{dice.randrange(1000)}"
        with self.one_at_a_time:
            bill = self.hospital.get(f"{BILLS}/{bill_id}").json()["bill"]
            bill |= {"version": bill["version"] + 1, "patient": {**bill["patient"], "name": name}}
            answer = self.hospital.create(f"{BILLS}/{bill_id}/corrections", {"reason": "姓名更正", "bill": bill})
            assert answer.status_code == 201, answer.text
            self.names[bill_id] = name

    def check(self, some: int | None = None) -> None:
        """Everything reads as it was said, whichever key it is sealed with."""
        number = self.patient["identity"]["number"]
        for bill in list(self.names)[:some]:
            with self.one_at_a_time:
                read = self.hospital.get(f"{BILLS}/{bill}")
                assert read.status_code == 200, read.text
                assert read.json()["bill"]["patient"] == {"identity_number": number, "name": self.names[bill]}
        if some is None:
            self.check_copies()
        resident = self.office.get(self.resident).json()
        assert (resident["name"], resident["phone"]) == ("第一个名字", "0772-1234567")
        assert resident["identity"]["number"] == number
        states = self.office.get(f"{self.resident}/history").json()["items"]
        said = [(s["resident"]["name"], s["resident"]["phone"], s["resident"]["identity"]["number"]) for s in states]
        assert said == [(name, "0772-1234567", number) for name in ("第一个名字", "第二个名字", "第一个名字")]
        found = self.office.post(f"{RESIDENTS}/search", json={"identity_number": number}).json()["items"]
        assert [one["name"] for one in found] == ["第一个名字"]
        for settlement in self.notices:
            assert self.hospital.get(f"/safety-net/v1/notices/{settlement}").status_code == 200

    def check_copies(self) -> None:
        """What safety-net keeps for the notice is the name of the last correction too."""
        ring = Keyring(json.dumps(ring_of(self.system)))

        def same() -> bool:
            rows = marks.rows_of(self.system, "safety_net", "select discharge_id, facts ->> 'sealed_name' from bills")
            copies = {str(row[0]): ring.open(row[1]) for row in rows}
            return all(copies[bill] == name for bill, name in self.names.items())

        eventually(same, 60)


@pytest.fixture(scope="module")
def world(county: System) -> World:
    """See `World`."""
    return World(county)


def command(system: System, *arguments: str) -> subprocess.Popen[str]:
    """The command as `make` runs it."""
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.rotate_data_keys", *arguments],
        cwd=ROOT,
        env={**os.environ, "THREE_BATCHES_DATA": str(system.data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(system: System, *arguments: str) -> tuple[int, str]:
    """Its exit code and all it said."""
    process = command(system, *arguments)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def sealed_by(system: System) -> Counter[str]:
    """How many bill versions each key seals."""
    rows = marks.rows_of(
        system, "treatment", "select split_part(sealed_name, '.', 1), count(*) from bill_versions group by 1"
    )
    return Counter({row[0]: row[1] for row in rows})


def fewer_than(system: System, number: int) -> bool:
    """Whether the old key seals fewer than so many: only the command takes any from it, while corrections go on."""
    return sealed_by(system)["k1"] < number


def ring_of(system: System) -> dict[str, Any]:
    """The key file."""
    ring: dict[str, Any] = json.loads((system.data / "secrets" / "data-keys.json").read_text(encoding="utf-8"))
    return ring


def test_killed_in_the_middle_beside_corrections_everything_stays_readable(county: System, world: World) -> None:
    dice, over, trouble = random.Random(7), threading.Event(), []

    def traffic() -> None:
        while not over.is_set():
            try:
                world.correct_one(dice)
            except AssertionError as error:
                trouble.append(error)
                return

    working = threading.Thread(target=traffic)
    working.start()
    try:
        for kill in range(3):
            before = sealed_by(county)["k1"]
            process = command(county, "--ahead", "1", "--batch", "1")
            assert process.stdout is not None
            # Its first words. Read here: the rest is nobody's once it is killed.
            said = process.stdout.readline()
            eventually(partial(fewer_than, county, before - 15), 120)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert ("going on with k2" in said) == (kill > 0), said
            assert set(ring_of(county)["keys"]) == {"k1", "k2"}
            world.check(some=10)
        # Not all of it, or this test would show nothing.
        assert sealed_by(county)["k1"] > 0
        assert finished(county, "--give-up", "k1", "--no-backup-needs-it")[0] == 1
        code, said = finished(county)
        assert code == 0, said
        assert "going on with k2" in said
    finally:
        over.set()
        working.join()
    assert trouble == []
    assert len(set(world.names.values())) > 5, "no correction came in between"
    assert set(sealed_by(county)) == {"k2"}
    world.check()


def test_nothing_is_left_under_the_old_key_in_any_column_but_the_outboxes(county: System, world: World) -> None:
    found = [place for place, content in marks.contents(county) if OLD.search(content)]
    assert {place.split(".", 1)[1] for place in found} == {"outbox.payload"}
    code, said = finished(county, "--count")
    assert code == 0
    assert re.search(r"treatment bill_versions\.sealed_name +0 +[1-9]", said), said
    assert re.search(r"safety-net dead_letters\.payload +0 +1", said), said
    assert re.search(r"contract users\.sealed_totp +0 +1", said), said
    assert re.search(r"treatment outbox\.payload +[1-9]\d* +\d+", said), said
    world.check(some=3)


def test_the_old_key_goes_when_nothing_needs_it_and_everybody_is_still_found(county: System, world: World) -> None:
    code, said = finished(county, "--give-up", "k1", "--no-backup-needs-it")
    assert (code, "wait ten minutes" in said) == (1, True), said
    path, ring = county.data / "secrets" / "data-keys.json", ring_of(county)
    ring["seals_from"] = {"k2": clock.rfc3339(clock.now() - timedelta(minutes=11))}
    write_private(path, json.dumps(ring))
    code, said = finished(county, "--give-up", "k1")
    assert (code, "backups made before" in said) == (1, True), said
    code, said = finished(county, "--give-up", "k1", "--no-backup-needs-it")
    assert (code, "k1 still seals something in contract outbox" in said) == (1, True), said
    assert "k1" in ring_of(county)["keys"]
    for service in ("contract", "treatment", "safety_net"):
        # As if 35 days had passed.
        marks.rows_of(county, service, "delete from outbox where published_at is not null")
    code, said = finished(county, "--give-up", "k1", "--no-backup-needs-it")
    assert code == 0, said
    assert set(ring_of(county)["keys"]) == {"k2"}
    assert set(ring_of(county)["lasting"]) == {"digest", "sign"}
    renewed = eventually(lambda: knows_only_k2(county, world), 60)
    assert renewed
    world.check()
    bill = world.hospital.create(BILLS, a_bill(CODE, world.patient), Prefer="wait=10")
    assert bill.json()["state"] == "settled", bill.text


def knows_only_k2(county: System, world: World) -> bool:
    """Whether the services have looked at the file since; asking makes them look."""
    world.check(some=1)
    world.hospital.create(BILLS, a_bill(CODE, world.patient))
    renewed = [(county.data / "logs" / f"{name}.log").read_text().count("data_keys_renewed") for name in ("treatment",)]
    return all(count >= 2 for count in renewed)


@pytest.mark.long
def test_the_next_rotation_names_its_key_anew(county: System, world: World) -> None:
    code, said = finished(county, "--ahead", "1")
    assert code == 0, said
    assert "k3 is in the ring" in said
    assert set(ring_of(county)["keys"]) == {"k2", "k3"}
    assert set(sealed_by(county)) == {"k3"}
    world.check(some=5)
    callers: list[Caller] = [world.hospital, world.office]
    assert all(caller.get("/readyz").status_code == 200 for caller in callers)
