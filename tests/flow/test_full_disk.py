"""A disk fills while bills come in: they are refused clearly or kept, nothing acknowledged is lost, room heals it."""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.demo.county import INSTITUTIONS
from tests.deploy.conftest import empty_folder
from tests.flow.conftest import System
from tests.flow.people import BILLS, HOSPITAL, a_resident
from tests.flow.test_audit_chain import run
from tests.flow.test_faults import (
    SEED,
    check_settled_once,
    expected_fen,
    made_up_bills,
    post_until_acknowledged,
)

FULL_SECONDS = 6.0


class Disk:
    """A small disk of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        """Leave no byte of room."""
        with contextlib.suppress(OSError), (self.place / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(b"\0" * 65536)

    def make_room(self) -> None:
        (self.place / "filler").unlink()


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Disk]:
    """A disk in memory, mounted there; the test is skipped where that is not permitted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"NOT TRIED: no small disk can be mounted here ({mounted.stderr.strip() or os.geteuid()})")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def begin(system: System) -> dict[str, Any]:
    """Start, with a hospital and a patient."""
    system.start(THREE_BATCHES_DEMO="no")
    hospital = system.user("health_bureau").create("/contract/v1/institutions", INSTITUTIONS["county_hospital"])
    assert hospital.status_code == 201, hospital.text
    patient = a_resident()
    assert system.user("poverty_office").create("/contract/v1/residents", patient).status_code == 201
    return patient


async def use_up_the_log(system: System) -> None:
    """Let PostgreSQL need a new file for its log, which is worse than a table that can't grow: it ends."""
    word = json.loads((system.data / "secrets" / "passwords.json").read_text(encoding="utf-8"))["postgres"]
    port = json.loads((system.data / "ports.json").read_text(encoding="utf-8"))["postgres"]
    admin = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", password=word, database="postgres")
    with contextlib.suppress(asyncpg.PostgresError, OSError):
        for _ in range(20):
            await admin.execute("select pg_switch_wal()")
            await admin.fetch("select pg_logical_emit_message(true, 'x', 'y')")
    admin.terminate()


def test_a_full_disk_refuses_bills_loses_none_and_heals_when_there_is_room() -> None:
    """Everything on it: both engines, their logs, ours."""
    with empty_folder() as place, small_disk(place / "disk", "280m") as disk:
        system = System(disk.place / "data")
        system.output = place / "system.out"
        patient = begin(system)
        try:
            bills = made_up_bills(random.Random(SEED), patient, 12)
            hospital = system.client(HOSPITAL)
            ids = [post_until_acknowledged(hospital, bill) for bill in bills[:3]]
            disk.fill()
            asyncio.run(use_up_the_log(system))
            until, seen = time.monotonic() + FULL_SECONDS, set()
            while time.monotonic() < until:
                answer = hospital.create(BILLS, bills[3])
                seen.add((answer.status_code, answer.json().get("code"), answer.headers.get("Retry-After")))
                time.sleep(0.05)
            assert seen - {(201, None, None)} == {(503, "temporarily_unavailable", "2")}
            with ThreadPoolExecutor(9) as pool:
                waiting = [pool.submit(post_until_acknowledged, hospital, bill) for bill in bills[3:]]
                time.sleep(1)
                disk.make_room()
                ids += [each.result() for each in waiting]
            check_settled_once(system, ids, sum(expected_fen(bill) for bill in bills))
            code, said = run(system, "deploy.verify_audit")
            assert code == 0, said
            assert system.process is not None
            assert system.process.poll() is None
        finally:
            system.stop()


@pytest.mark.long
def test_an_event_channel_without_room_holds_up_no_bill() -> None:
    with empty_folder() as place, small_disk(place / "disk", "12m") as disk:
        (place / "data").mkdir(mode=0o711)
        (place / "data" / "nats").symlink_to(disk.place / "nats")
        (disk.place / "nats").mkdir()
        system = System(place / "data")
        patient = begin(system)
        try:
            bills = made_up_bills(random.Random(SEED), patient, 12)
            hospital = system.client(HOSPITAL)
            ids = [post_until_acknowledged(hospital, bill) for bill in bills[:2]]
            disk.fill()
            for bill in bills[2:]:
                answer = hospital.create(BILLS, bill)
                assert answer.status_code == 201, answer.text
                ids.append(answer.json()["discharge_id"])
            time.sleep(1)
            last = hospital.get(f"{BILLS}/{ids[-1]}").json()
            assert (last["state"], last["settlement"]) == ("recorded", None)
            disk.make_room()
            check_settled_once(system, ids, sum(expected_fen(bill) for bill in bills))
        finally:
            system.stop()
