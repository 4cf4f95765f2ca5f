"""Every row of the table in short, on a system of its own: the counts must agree. Nothing is said about speed."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.bench.deciding import OTHER_VENV
from tests.bench.proxying import NGINX
from tests.bench.report import PAGE
from tests.bench.system import FOLDER
from tests.house.sources import ROOT

ROWS = {"1": 3, "2": 3, "3": 4, "4": 2, "5": 2, "6": 4, "7": 2}
PARTS = {"postgres", "nats", "contract", "treatment", "safety-net", "gateway", "supervisor"}


# The machinery itself is tried in `make test` (test_bench_harness); every row, in short, takes a minute.
pytestmark = pytest.mark.long


def _kept() -> dict[str, Any]:
    return {"page": PAGE.read_bytes(), "folders": sorted(FOLDER.glob("*"))}


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    """The page and the folders of benches before this one ran."""
    return _kept()


@pytest.fixture(scope="module")
def report(before: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `SECONDS=1 RUNS=1 make bench` found."""
    assert before
    file = tmp_path_factory.mktemp("bench") / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench"],
        cwd=ROOT,
        env={**os.environ, "SECONDS": "1", "RUNS": "1", "JSON": str(file), "PART": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_every_row_is_measured_and_the_counts_agree(report: dict[str, Any]) -> None:
    assert report["troubles"] == []
    assert {number: sum(row["number"] == number for row in report["rows"]) for number in ROWS} == ROWS
    for row in report["rows"]:
        assert len(row["ours"]) == 1, row
        assert row["baseline"] or not row["baseline_name"] or row["missing"], row
    absent = {row["number"] for row in report["rows"] if row["missing"]}
    assert absent <= {"4", "5"}
    assert ("5" in absent) == (not OTHER_VENV.exists())
    assert NGINX in next(row["missing"] or NGINX for row in report["rows"] if row["number"] == "4")


def test_cost_and_memory_are_told_for_every_process(report: dict[str, Any]) -> None:
    memory = {name: values[0] for name, values in report["memory"]}
    assert set(memory) == PARTS
    assert all(value > 5 for value in memory.values()), memory
    costs = {name: values[0] for name, values in report["costs"]}
    assert set(costs) >= PARTS
    assert all(costs[name] > 0 for name in ("treatment", "safety-net", "gateway", "postgres")), costs


def test_a_trial_writes_nothing_down_and_leaves_nothing_behind(before: dict[str, Any], report: dict[str, Any]) -> None:
    assert report["rows"]
    now = _kept()
    assert now["page"] == before["page"]
    assert not set(now["folders"]) - set(before["folders"])
