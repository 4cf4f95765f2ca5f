"""The estimate takes a bill's body: what the intake refuses, the estimate refuses alike."""

import copy
from typing import Any

import pytest

from tests.flow.conftest import System
from tests.flow.people import BILLS, SETTLEMENTS, a_bill, a_resident

DROPPED = object()
BROKEN = [
    ("charges.total", "0.00"),
    ("charges.total", 20000),
    ("charges.total", "２0000.00"),
    ("charges.total", "20000.0"),
    ("charges.non_medical", "20000.01"),
    ("charges.catalogue_drugs", "8000.01"),
    ("reimbursements.other", "9000.00"),
    ("reimbursements.government_topup", "9000.00"),
    ("stay.discharged_on", "2018-07-31"),
    ("stay.discharged_on", "2999-01-01"),
    ("stay.admitted_on", "2018-02-30"),
    ("stay.admitted_on", "2015-08-08"),
    ("stay.emergency", "no"),
    ("stay.care_setting", "home"),
    ("circumstances.cause", "luck"),
    ("circumstances.referral", DROPPED),
    ("patient.name", ""),
    ("patient.identity_number", DROPPED),
    ("diagnoses", []),
    ("version", 0),
    ("version", "1"),
    ("surprise", 1),
    ("institution_code", "H45022300002"),
]


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=[f"{path}={value!r:.20}" for path, value in BROKEN])
def test_what_the_intake_refuses_the_estimate_refuses(system: System, path: str, value: Any) -> None:
    hospital = system.client("county_hospital")
    bill = copy.deepcopy(a_bill("H45022300001", a_resident()))
    *folders, name = path.split(".")
    place = bill
    for folder in folders:
        place = place[folder]
    if value is DROPPED:
        del place[name]
    else:
        place[name] = value
    recorded, estimated = hospital.create(BILLS, bill), hospital.post(f"{SETTLEMENTS}/estimate", json=bill)
    assert recorded.status_code in (403, 422), recorded.text
    assert estimated.status_code == recorded.status_code, estimated.text
    told, other = recorded.json(), estimated.json()
    assert told["code"] == other["code"]
    assert [(e["pointer"], e["code"]) for e in told["errors"]] == [(e["pointer"], e["code"]) for e in other["errors"]]
