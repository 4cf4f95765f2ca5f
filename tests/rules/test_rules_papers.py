"""A3-09, A3-13 to A3-15: insurance and papers of the person, at the dates where they turn."""

from dataclasses import replace
from typing import Any

import pytest

from safety_net_service.settlements.rules import Patient, settle
from safety_net_service.settlements.rules.stay import months_of_age
from shared.kit.policy import Shelf
from tests.rules.builders import (
    a_bill,
    a_patient,
    an_institution,
    clauses,
    codes,
    day,
    insured,
    luzhai_2018,
    settled,
    span,
)

clause = pytest.mark.clause


def _suspended(*spans: tuple[str, str]) -> Patient:
    return a_patient(insurance=(insured(suspended=[span(*each) for each in spans]),))


@clause("A3-09", "R-49")
@pytest.mark.parametrize(
    ("stopped", "decision"),
    [
        ([("2018-07-01", "2018-07-31")], "pass"),  # until the day before
        ([("2018-07-01", "2018-08-01")], "hold"),  # the first day
        ([("2018-08-10", "2018-08-31")], "hold"),  # the last day that counts
        ([("2018-08-11", "2018-08-31")], "pass"),  # the discharge day does not
        ([("2018-08-01", "2018-08-10")], "reject"),  # every day that counts
        ([("2018-07-01", "2018-08-31")], "reject"),
        ([("2018-07-01", "2018-08-05"), ("2018-08-06", "2018-08-10")], "reject"),  # two stops back to back
        ([("2018-07-01", "2018-08-05"), ("2018-08-07", "2018-08-31")], "hold"),  # one day between them
    ],
)
def test_stopped_insurance_by_the_days_of_the_stay(stopped: Any, decision: str) -> None:
    outcome = settled(patient=_suspended(*stopped))
    assert outcome.decision == decision
    assert codes(outcome) == ([] if decision == "pass" else ["insurance_suspended"])
    assert clauses(outcome) == ([] if decision == "pass" else ["A3-09"])


@clause("A3-09", "A3-13")
def test_only_a_stop_of_the_insurance_that_covers_the_day_counts() -> None:
    stop = [span("2018-07-01", "2018-12-31")]
    paid_up_again = a_patient(insurance=(insured("2016-01-01", "2018-07-31", suspended=stop), insured("2018-08-01")))
    assert settled(patient=paid_up_again).decision == "pass"
    employee_before = a_patient(
        insurance=(insured("2018-08-06", None, "employee", suspended=stop), insured("2016-01-01", "2018-08-05"))
    )
    assert settled(patient=employee_before).decision == "pass"


@clause("R-49", "R-17")
def test_a_same_day_stay_is_one_day_of_insurance() -> None:
    bill = a_bill(discharged_on="2018-08-01")
    assert settled(bill, _suspended(("2018-08-01", "2018-08-01"))).decision == "reject"
    assert settled(bill, _suspended(("2018-08-02", "2018-08-02"))).decision == "pass"


@clause("A3-13", "R-21")
@pytest.mark.parametrize(
    ("insurance", "decision"),
    [
        ((insured("2018-08-01"),), "pass"),
        ((insured("2018-08-02"),), "reject"),
        ((insured("2016-01-01", "2018-08-01"),), "pass"),
        ((insured("2016-01-01", "2018-07-31"),), "reject"),
        ((insured(scheme="employee"),), "reject"),
        ((insured(scheme="none"),), "reject"),
        ((insured("2016-01-01", "2018-07-31"), insured("2018-08-01", None, "employee")), "reject"),
        ((insured("2016-01-01", "2018-07-31", "employee"), insured("2018-08-01")), "pass"),
        ((), "reject"),
    ],
)
def test_residents_insurance_on_the_admission_date(insurance: Any, decision: str) -> None:
    outcome = settled(patient=a_patient(insurance=insurance))
    assert outcome.decision == decision
    assert clauses(outcome) == ([] if decision == "pass" else ["A3-13"])


def _child(born: str, **known: Any) -> Patient:
    return a_patient(birth_date=day(born), household_registration=False, **known)


@clause("A3-14", "A3-15", "C-15", "C-15b")
@pytest.mark.parametrize(
    ("born", "papers", "code"),
    [
        ("2017-08-02", {}, "infant_without_documents"),  # 11 months and 30 days
        ("2017-08-02", {"birth_document": "birth_certificate"}, None),
        ("2017-08-02", {"birth_document": "birth_permit"}, None),
        ("2017-08-02", {"identity_types": ("birth_certificate",)}, None),
        ("2017-08-02", {"identity_types": ("resident_id", "birth_permit")}, None),
        ("2017-08-02", {"identity_types": ("residence_permit_hmt",)}, "infant_without_documents"),
        ("2017-08-01", {"birth_document": "birth_certificate"}, "no_household_registration"),  # the day of 12 months
        ("2018-08-01", {"birth_document": "birth_certificate"}, None),  # born on the admission day
        ("1975-03-12", {}, "no_household_registration"),
    ],
)
def test_papers_by_months_of_age_at_the_admission(born: str, papers: Any, code: str | None) -> None:
    outcome = settled(patient=_child(born, **papers))
    assert codes(outcome) == ([code] if code else [])
    expected = {"infant_without_documents": "A3-14", "no_household_registration": "A3-15"}
    assert clauses(outcome) == ([expected[code]] if code else [])


@clause("A3-14", "A3-15")
@pytest.mark.parametrize("born", ["2017-08-02", "2017-08-01", "1975-03-12"])
def test_with_household_registration_no_paper_is_asked_for(born: str) -> None:
    assert settled(patient=a_patient(birth_date=day(born), birth_document=None)).decision == "pass"


@clause("A3-14", "A3-15")
@pytest.mark.parametrize(
    ("born", "on", "months"),
    [
        ("2016-02-29", "2017-02-28", 11),
        ("2016-02-29", "2017-03-01", 12),
        ("2017-01-31", "2018-01-30", 11),
        ("2017-01-31", "2018-01-31", 12),
        ("2017-08-31", "2018-02-28", 5),
        ("2017-08-31", "2018-03-01", 6),
        ("2017-08-01", "2018-08-01", 12),
        ("2018-08-01", "2018-08-01", 0),
    ],
)
def test_months_go_by_the_calendar(born: str, on: str, months: int) -> None:
    assert months_of_age(day(born), day(on)) == months


@clause("A3-14", "A3-15")
def test_born_on_29_february_the_rules_change_on_1_march() -> None:
    # No child born on a 29 February turns one in 2018, so the pack is put in force earlier for this test.
    earlier = replace(luzhai_2018(), first_day=day("2016-01-01"))
    child = _child("2016-02-29", birth_document="birth_certificate")

    def on(admitted: str) -> list[str]:
        bill = a_bill(admitted_on=admitted, discharged_on="2017-03-08")
        return codes(settle(bill, [child], an_institution(), Shelf([earlier])))

    assert on("2017-02-28") == []
    assert on("2017-03-01") == ["no_household_registration"]


def test_a_child_registered_as_born_after_the_admission_waits_for_a_person() -> None:
    outcome = settled(patient=_child("2018-08-03", birth_document="birth_certificate"))
    assert (outcome.decision, codes(outcome), clauses(outcome)) == ("hold", ["evidence_missing"], ["A3-14"])
