"""The office's word, and several reasons at once: their order, and what beats what."""

from typing import Any

import pytest

from safety_net_service.settlements.rules import Institution, Patient, rule_named_in
from safety_net_service.settlements.rules.eligibility import DecisionWithoutLaw
from safety_net_service.settlements.rules.facts import OfficeDecision
from tests.rules.builders import (
    URAD,
    a_bill,
    a_decision,
    a_patient,
    an_institution,
    clauses,
    codes,
    day,
    settled,
)

clause = pytest.mark.clause


def _nothing_paid(outcome: Any) -> bool:
    return (outcome.amounts.safety_net_fen, outcome.amounts.hospital_share_fen) == (0, 0)


def _child(born: str, **known: Any) -> Patient:
    return a_patient(birth_date=day(born), household_registration=False, **known)


@clause("A3-05", "A3-16")
@pytest.mark.parametrize(("rule", "code"), [("A3-05", "outside_insured_scope"), ("A3-16", "other_by_law")])
def test_two_exclusions_come_only_by_the_office(rule: str, code: str) -> None:
    assert settled().decision == "pass"
    outcome = settled(decision=a_decision("reject", reason="不属补偿病种", rule=rule))
    assert (outcome.decision, codes(outcome), clauses(outcome)) == ("reject", [code], [rule])
    assert "不属补偿病种" in outcome.reasons[0].detail
    assert _nothing_paid(outcome)


@clause("A3-05", "A3-16")
def test_a_rejection_must_name_a_rule_or_rest_on_a_doubt() -> None:
    with pytest.raises(DecisionWithoutLaw):
        settled(decision=a_decision("reject"))
    with pytest.raises(ValueError, match="A3-06 is not a rule"):
        OfficeDecision("reject", "x", "y", rule="A3-06")
    urad = a_patient(county_code=URAD)
    bill = a_bill(admitted_on="2020-03-01", discharged_on="2020-03-11")
    with pytest.raises(DecisionWithoutLaw, match="has no rule A3-16"):
        settled(bill, urad, an_institution(county_code=URAD), decision=a_decision("reject", rule="A3-16"))


@pytest.mark.parametrize(
    ("basis", "rule"),
    [
        ("A3-05", "A3-05"),
        ("方案三(二)第11项，A3-16", "A3-16"),
        ("A3-055", None),
        ("BA3-05", None),
        ("A3-05、A3-16", None),
        ("会议纪要", None),
    ],
)
def test_the_rule_is_read_from_the_legal_basis(basis: str, rule: str | None) -> None:
    assert rule_named_in(basis) == rule


def test_several_stand_in_the_order_of_the_clauses() -> None:
    bill = a_bill(care_setting="outpatient", cause="work_injury", place="abroad")
    patient = _child("1975-03-12", poverty=(), insurance=())
    outcome = settled(bill, patient, an_institution(designated=()))
    assert clauses(outcome) == ["A3-04", "A3-06", "A3-08", "A3-10", "A3-12", "A3-13", "A3-15"]
    assert [step.clause for step in outcome.steps] == clauses(outcome)
    assert all(reason.quote and reason.detail for reason in outcome.reasons)


def test_what_is_certain_beats_a_doubt_and_both_are_listed() -> None:
    bill = a_bill(cause="unknown", place="abroad")
    outcome = settled(bill, a_patient(name_matches=False))
    assert (outcome.decision, outcome.procedure, outcome.if_passed) == ("reject", None, None)
    assert codes(outcome) == ["evidence_missing", "evidence_missing", "outside_mainland"]
    assert clauses(outcome) == ["A3-04", "A3-07", "A3-08"]
    assert [step.step for step in outcome.steps] == ["held", "held", "rejected"]


def test_a_pass_by_the_office_does_not_lift_what_is_certain() -> None:
    outcome = settled(a_bill(cause="unknown", place="abroad"), decision=a_decision("pass"))
    assert (outcome.decision, codes(outcome)) == ("reject", ["outside_mainland"])


def test_every_institution_kind_may_treat() -> None:
    for kind in ("county_tcm_hospital", "village_clinic", "community_centre", "regional_hospital", "other"):
        institution: Institution = an_institution(kind=kind)
        assert settled(institution=institution).amounts.safety_net_fen == 320000
