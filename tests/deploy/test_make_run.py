"""The whole of `make run`: from an empty folder to the settled demo bills, a second start, Ctrl-C and SIGKILL."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from deploy.demo.accounts import CLIENTS, USERS
from deploy.demo.bills import BILLS
from deploy.settings import ROOT
from tests.deploy.conftest import Run, Starts, alive, listens, wait_until

UP = "Ctrl-C stops it"
FIRST_START_SECONDS = 180.0
PROGRAM = [sys.executable, "-m", "deploy.run"]
# safety net, hospital's share, personal, decision, clause; "–" is nothing. C-01 to C-22 are worked by hand.
EXPECTED = {
    "C-01": "3200.00 – 2000.00 pass A3-20",
    "C-02": "– – 640.00 pass A3-20",
    "C-03": "– – 1000.00 pass A3-20",
    "C-04": "0.01 – 1000.00 pass A3-20",
    "C-05": "1234.56 – 1234.57 pass A3-20",
    "C-06": "50.02 – 33.33 pass A3-20",
    "C-07": "3500.00 – 5000.00 pass A3-20",
    "C-08": "300.00 300.00 – pass A3-23",
    "C-09": "75.00 75.00 – pass A3-23",
    "C-10": "134.06 134.07 – pass A3-23",
    "C-10b": "150.00 150.00 300.00 pass A3-23",
    "C-10c": "– – 600.00 pass A3-23",
    "C-11": "3000.00 – 7000.00 pass A3-22",
    "C-12": "2400.00 – 2400.00 pass A3-22",
    "C-13": "– – 17400.00 reject A3-11 no_referral",
    "C-14": "11400.00 – 6000.00 pass A3-20 insurance_window",
    "C-15": "600.00 – 500.00 pass A3-20",
    "C-15b": "– – 1100.00 reject A3-15 no_household_registration",
    "C-16": "– – 30000.00 reject A3-07 excluded_cause",
    "C-17": "1350.00 – 900.00 pass A3-20 joint_review",
    "C-19": "7000.00 – 3000.00 pass A3-20 joint_review",
    "C-22": "– – 1800.00 reject A3-13 not_entitled",
    "X-01": "– – 200.00 reject A3-06 outpatient",
    "X-02": "– – 7000.00 reject A3-09 insurance_suspended",
    "X-03": "– – 3500.00 hold A3-09 insurance_suspended",
    "X-04": "– – 6000.00 reject A3-10 not_designated",
    "X-05": "2400.00 – 600.00 pass A3-20 joint_review",
    "X-06": "– – 15000.00 reject A3-12 not_covered_by_law",
    "X-07": "– – 1200.00 reject A3-14 infant_without_documents",
    "X-08": "– – 4000.00 reject A3-04 not_registered",
    "X-09": "– – 2500.00 reject A3-04 not_registered",
    "X-10": "– – 3600.00 hold A3-07 excluded_cause",
    "X-11": "– – 3200.00 hold A3-07 evidence_missing",
    "X-12": "– – 2600.00 hold A3-04 evidence_missing",
    "X-13": "– – 3500.00 reject R-18 no_policy_in_force",
}


def the_table_is_right(run: Run) -> None:
    """Every demo bill stands in the table with what the rules give it."""
    rows = {line.split()[0]: " ".join(line.split()[7:]) for line in run.said().splitlines() if line[:2] in ("C-", "X-")}
    assert list(rows) == [bill.case for bill in BILLS] == list(EXPECTED)
    wrong = {case: row for case, row in rows.items() if not row.startswith(EXPECTED[case])}
    assert not wrong


def reconciles(run: Run) -> subprocess.CompletedProcess[str]:
    """`make reconcile` on the running house."""
    environment = {**os.environ, "THREE_BATCHES_DATA": str(run.state.folder)}
    return subprocess.run(
        [sys.executable, "-m", "deploy.reconcile"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_from_nothing_to_settled_bills_and_again(start: Starts, record_property: Callable[[str, object], None]) -> None:
    first = start(argv=PROGRAM, THREE_BATCHES_DEMO="yes")
    first.until_said(UP, FIRST_START_SECONDS)
    the_table_is_right(first)
    assert "loading the demo county: residents … 300 of " in first.said()
    credentials = json.loads(first.state.credentials.read_text())
    assert credentials["gateway"] == f"http://127.0.0.1:{first.port}"
    assert set(credentials["clients"]) == set(CLIENTS)
    assert set(credentials["users"]) == set(USERS)
    assert {tuple(sorted(client)) for client in credentials["clients"].values()} == {
        ("client_id", "client_secret", "institution_code")
    }
    assert {tuple(sorted(user)) for user in credentials["users"].values()} == {("password", "roles", "username")}
    compared = reconciles(first)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "nothing is missing" in compared.stdout
    pids = first.children()
    assert first.end(signal.SIGINT) == 0
    assert not any(alive(pid) for pid in pids.values())
    assert reconciles(first).returncode == 1

    began = time.monotonic()
    second = start(argv=PROGRAM, THREE_BATCHES_DEMO="yes")
    second.until_said("ready after")
    record_property("second_start_seconds", round(time.monotonic() - began, 1))
    second.until_said(UP)
    the_table_is_right(second)
    assert "loading the demo county" not in second.said()

    pids = second.children()
    second.process.kill()
    second.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids.values()), "the end of every process")
    assert not any(listens(port) for port in [*second.state.read("ports.json").values(), second.port])
    third = start(argv=PROGRAM, THREE_BATCHES_DEMO="yes")
    third.until_said(UP)
    the_table_is_right(third)
    assert "not properly shut down" not in (third.state.logs / "postgres.log").read_text()
    assert third.end() == 0


@pytest.mark.long
def test_a_load_that_was_cut_off_goes_on_where_it_stopped(start: Starts) -> None:
    first = start(argv=PROGRAM, THREE_BATCHES_DEMO="yes")
    first.until_said("residents … 100 of ", FIRST_START_SECONDS)
    first.process.kill()
    first.process.wait()
    second = start(argv=PROGRAM, THREE_BATCHES_DEMO="yes")
    second.until_said(UP, FIRST_START_SECONDS)
    the_table_is_right(second)
    assert second.end() == 0


@pytest.mark.long
def test_an_outside_postgresql_and_a_cluster_of_three_nats_do_as_well(start: Starts, outside: dict[str, str]) -> None:
    run = start(argv=PROGRAM, THREE_BATCHES_DEMO="yes", **outside)
    run.until_said(UP, FIRST_START_SECONDS)
    assert set(run.children()) == {"contract", "treatment", "safety-net", "gateway"}
    the_table_is_right(run)
    assert reconciles(run).returncode == 0
    assert run.end() == 0
