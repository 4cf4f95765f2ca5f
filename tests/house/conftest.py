"""What the house tests share: every test of the repository, collected once."""

import json
import subprocess
import sys

import pytest

from tests.house.clauses import ROOT, Claims


@pytest.fixture(scope="session")
def collected() -> Claims:
    """All tests with the clauses they claim, whatever part of them is being run now.

    Collected by a process of its own: pytest inside pytest would import everything a second time under other rules.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.house.clauses", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, f"the tests could not be collected:\n{done.stderr}"
    found = json.loads(done.stdout)
    return Claims({test: tuple(claimed) for test, claimed in found["tests"].items()}, tuple(found["errors"]))
