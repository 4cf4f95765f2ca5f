"""Row 5: one settlement decision with its whole explanation, beside OpenFisca Core on the same cases, one at a time.

``python -m tests.bench.deciding SECONDS`` is the side of ours: a process of its own that does nothing else, as the
other side is (`tests/bench/openfisca`). Both give what each case comes to, and the two must agree to the fen.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.settings import ROOT
from safety_net_service.settlements.rules import Bill, Inputs, InsuranceSpan, Patient, outcome_to_json
from safety_net_service.settlements.rules.eligibility import suspended_days
from safety_net_service.settlements.rules.stay import last_counted_day
from tests.bench.figures import Row, Target
from tests.bench.system import Failed
from tests.rules.builders import (
    a_city_hospital,
    a_patient,
    a_township_centre,
    an_institution,
    day,
    insured,
    luzhai_shelf,
    poor,
    span,
)

CASES = 200
SUMS = (
    *("total", "non_medical", "basic_insurance", "critical_illness", "supplementary_insurance"),
    *("medical_assistance", "government_topup", "other"),
)
OTHER_VENV = ROOT / ".venv" / "bench" / "bin" / "python"
OTHER_PROGRAM = "tests.bench.openfisca.decide"
ABSENT = "OpenFisca Core is not installed: requirements-bench.lock could not be installed here"


def cases() -> list[Inputs]:
    """The same cases in every run: of ten, seven pass in a hospital, one in a township centre, two are excluded."""
    chance = random.Random(20)
    return [_case(chance, number) for number in range(CASES)]


def _case(chance: random.Random, number: int) -> Inputs:
    total = chance.randrange(100_000, 6_000_000)
    parts = {"basic_insurance": 40 + chance.randrange(40), "medical_assistance": chance.randrange(12)}
    money = {f"{name}_fen": total * percent // 100 for name, percent in parts.items()}
    admitted = day("2018-01-05") + timedelta(days=chance.randrange(330))
    facts: dict[str, Any] = {
        "admitted_on": admitted,
        "discharged_on": admitted + timedelta(days=chance.randrange(1, 20)),
        "total_fen": total,
        "in_scope_fen": total * 9 // 10,
        "non_medical_fen": total // 100 * chance.randrange(3),
        **money,
        "pay_later_agreement_no": "XY-2018-0032",
        "diagnoses": ("C34.900", "I10.x05", "E11.700"),
    }
    patient, institution = a_patient(), an_institution()
    if number % 10 == 7:
        institution = a_township_centre()
    elif number % 10 > 7:
        facts, patient, institution = _excluded(number // 10 % 8, facts, patient)
    return Inputs(Bill(**facts), (patient,), institution, {})


def _excluded(kind: int, facts: dict[str, Any], patient: Patient) -> tuple[dict[str, Any], Patient, Any]:
    """One exclusion after another: cause, place, designation, referral, scheme, suspension, papers, register."""
    place = an_institution()
    if kind == 0:
        return {**facts, "cause": "fight"}, patient, place
    if kind == 1:
        return {**facts, "place": "abroad"}, patient, place
    if kind == 2:
        return facts, patient, an_institution(designated=())
    if kind == 3:
        return facts, patient, a_city_hospital()
    if kind == 4:
        return facts, a_patient(insurance=(insured(scheme="employee"),)), place
    if kind == 5:
        return facts, a_patient(insurance=(insured(suspended=(span("2017-12-01", "2019-12-31"),)),)), place
    if kind == 6:
        return facts, a_patient(household_registration=False), place
    return facts, a_patient(poverty=(poor(category="out_of_poverty"),)), place


def flat(inputs: Inputs) -> dict[str, Any]:
    """A case as the other side is told of it: sums, flags and counts, everything that rests on dates found already."""
    bill, (patient,), place = inputs.bill, inputs.candidates, inputs.institution
    on = bill.admitted_on
    last = last_counted_day(on, bill.discharged_on)
    category = next((each.category for each in patient.poverty if each.covers(on)), "none")
    return {
        **{f"{name}_fen": getattr(bill, f"{name}_fen") for name in SUMS},
        "outpatient": bill.care_setting == "outpatient",
        "cause": bill.cause,
        "outside_mainland": bill.place != "mainland",
        "designated": place.is_designated(on),
        "emergency": bill.emergency,
        "outside_county": place.county_code != patient.county_code,
        "referral_accepted": bill.referral is not None and bill.referral.accepted_by_insurer,
        "township_centre": place.kind == "township_centre" and place.county_code == patient.county_code,
        "poverty_category": category,
        "resident_insured": any(_resident_scheme(each) and each.covers(on) for each in patient.insurance),
        "stay_days": (last - on).days + 1,
        "suspended_days": suspended_days(patient, on, last),
        "household_registration": patient.household_registration,
        "months_of_age": (on.year - patient.birth_date.year) * 12 + on.month - patient.birth_date.month,
        "birth_document": patient.birth_document is not None,
    }


def _resident_scheme(each: InsuranceSpan) -> bool:
    return each.scheme == "resident"


@dataclass(frozen=True)
class Decided:
    """Decisions a second of CPU, and what each case came to: the county's and the township centre's share in fen."""

    rate: float
    shares: list[list[int]]


def decide(seconds: float) -> Decided:
    """Settle the cases over and over with their explanation as it is stored."""
    shelf, all_cases = luzhai_shelf(), cases()
    shares = []
    for inputs in all_cases:
        amounts = inputs.settle(shelf).amounts
        shares.append([amounts.safety_net_fen, amounts.hospital_share_fen])
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for inputs in all_cases:
            outcome_to_json(inputs.settle(shelf))
        done += len(all_cases)
    return Decided(done / spent, shares)


async def measure(runs: int, seconds: float) -> tuple[list[Decided], list[Decided], str]:
    """Both sides in turn; the other side's list is empty where it is not installed. And in what they disagree."""
    ours, theirs, trouble = list[Decided](), list[Decided](), ""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        file.write_text(json.dumps([flat(inputs) for inputs in cases()]), encoding="utf-8")
        for _ in range(runs):
            ours.append(await _run(sys.executable, "-m", "tests.bench.deciding", str(seconds)))
            if OTHER_VENV.exists():
                theirs.append(await _run(str(OTHER_VENV), "-m", OTHER_PROGRAM, str(file), str(seconds)))
    for one, other in zip(ours, theirs, strict=False):
        differ = [number for number in range(CASES) if one.shares[number] != other.shares[number]]
        if differ:
            trouble = f"the two sides differ in {len(differ)} of {CASES} cases, the first of them number {differ[0]}"
    return ours, theirs, trouble


def rows(ours: Sequence[Decided], theirs: Sequence[Decided]) -> list[Row]:
    """The rows of the table."""
    rates = [each.rate for each in ours]
    return [
        Row("5", "decisions with explanation, pure Python", "/s per core", rates, target=Target("≥", 15_000, "/s")),
        Row(
            "5", "the same beside OpenFisca Core, one case at a time", "/s per core", rates,
            [each.rate for each in theirs], "OpenFisca Core 46 (/s per core)", Target("≥", 3),
            note=f"{CASES} cases, the same sums on both sides", missing="" if theirs else ABSENT,
        ),
    ]  # fmt: skip


async def _run(*argv: str) -> Decided:
    process = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise Failed(f"{' '.join(argv[-3:])} ended with {process.returncode}")
    said: Mapping[str, Any] = json.loads(out.splitlines()[-1])
    return Decided(said["rate"], said["shares"])


if __name__ == "__main__":
    found = decide(float(sys.argv[1]))
    sys.stdout.write(json.dumps({"rate": found.rate, "shares": found.shares}) + "\n")
