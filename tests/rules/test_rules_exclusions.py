"""A3-04 to A3-16: who and what is not paid, at the edges where it turns, with the words that say so."""

from dataclasses import replace
from typing import Any

import pytest

from safety_net_service.settlements.rules import Patient, load_shelf, settle
from safety_net_service.settlements.rules.eligibility import EXCLUDED_CAUSES
from shared.kit.policy import Shelf
from tests.rules.builders import (
    LIUZHOU,
    LUZHAI,
    PROOF_PACKS,
    YONGSHOU,
    a_bill,
    a_city_hospital,
    a_decision,
    a_patient,
    a_referral,
    an_institution,
    clauses,
    codes,
    luzhai_shelf,
    poor,
    settled,
    span,
)

clause = pytest.mark.clause


def _nothing_paid(outcome: Any) -> bool:
    return (outcome.amounts.safety_net_fen, outcome.amounts.hospital_share_fen) == (0, 0)


# --- the person ---------------------------------------------------------------------------------------------------


@clause("A3-04", "R-19")
@pytest.mark.parametrize(
    ("poverty", "decision"),
    [
        ((poor("2018-08-01"),), "pass"),
        ((poor("2018-08-02"),), "reject"),
        ((poor("2016-01-01", "2018-08-01"),), "pass"),  # the last day of a period is inside it
        ((poor("2016-01-01", "2018-07-31"),), "reject"),
        ((poor("2016-01-01", "2017-12-31"), poor("2018-01-01", None, "out_of_poverty_policy_kept")), "pass"),
        ((poor("2016-01-01", "2017-12-31"), poor("2018-01-01", None, "out_of_poverty")), "reject"),
        ((poor("2016-01-01", None, "monitored"),), "reject"),
        ((), "reject"),
    ],
)
def test_registered_poor_on_the_admission_date_decides(poverty: Any, decision: str) -> None:
    outcome = settled(patient=a_patient(poverty=poverty))
    assert outcome.decision == decision
    assert codes(outcome) == ([] if decision == "pass" else ["not_registered"])
    assert clauses(outcome) == ([] if decision == "pass" else ["A3-04"])


@clause("R-19")
def test_a_removal_during_or_after_the_stay_takes_nothing_back() -> None:
    assert settled(patient=a_patient(poverty=(poor("2016-01-01", "2018-08-05"),))).decision == "pass"


@clause("A3-04")
def test_a_stranger_is_not_registered_and_nothing_else_is_said_about_him() -> None:
    outcome = settle(a_bill(cause="fight"), [], an_institution(designated=()), luzhai_shelf())
    assert codes(outcome) == ["not_registered", "excluded_cause", "not_designated"]
    assert outcome.resident_id is None
    assert outcome.reasons[0].quote == "享受扶贫政策的建档立卡贫困人口。"


@clause("R-20", "R-18")
def test_a_stranger_in_a_county_without_packs_is_told_both() -> None:
    outcome = settle(a_bill(), [], a_city_hospital(), luzhai_shelf())
    assert (codes(outcome), clauses(outcome)) == (["not_registered", "no_policy_in_force"], ["R-20", "R-18"])
    assert outcome.county_code == LIUZHOU


@clause("R-36", "R-18")
def test_a_newborn_without_a_number_in_a_county_without_packs_is_told_both() -> None:
    outcome = settle(a_bill(identity_given=False), [], a_city_hospital(), luzhai_shelf())
    assert (outcome.decision, codes(outcome)) == ("reject", ["evidence_missing", "no_policy_in_force"])
    assert [step.step for step in outcome.steps] == ["held", "rejected"]


@clause("R-36")
def test_a_newborn_without_a_number_waits_and_no_word_of_the_office_helps() -> None:
    bill = a_bill(identity_given=False)
    for decision in (None, a_decision("pass")):
        outcome = settle(bill, [], an_institution(), luzhai_shelf(), decision=decision)
        assert (outcome.decision, codes(outcome), clauses(outcome)) == ("hold", ["evidence_missing"], ["A3-04"])
        assert outcome.if_passed is not None
        assert outcome.if_passed.safety_net_fen == 320000


def test_another_name_on_the_bill_is_a_hold_that_the_office_settles() -> None:
    stranger = a_patient(name_matches=False)
    held = settled(patient=stranger)
    assert (held.decision, codes(held), held.procedure) == ("hold", ["evidence_missing"], "hospital_advance")
    passed = settled(patient=stranger, decision=a_decision("pass"))
    assert (passed.decision, codes(passed), passed.amounts.safety_net_fen) == ("pass", [], 320000)
    assert passed.steps[-1].step == "decided"


@clause("R-20")
def test_the_poor_of_another_county_are_not_covered_here() -> None:
    outcome = settled(patient=a_patient(county_code=LIUZHOU))
    assert (outcome.decision, codes(outcome), outcome.county_code) == ("reject", ["no_policy_in_force"], LIUZHOU)


def _two(here: Any, there: Any) -> list[Patient]:
    return [
        a_patient(poverty=there, county_code=YONGSHOU, resident_id="b"),
        a_patient(poverty=here, county_code=LUZHAI, resident_id="a"),
    ]


@clause("R-20")
def test_of_two_counties_the_one_whose_poverty_covers_the_admission() -> None:
    shelf = Shelf([*luzhai_shelf(), *load_shelf(PROOF_PACKS).of_county(YONGSHOU)])
    until_july, from_august = (poor("2016-01-01", "2018-07-31"),), (poor("2018-08-01"),)
    committed = {"兜底基金": 0}
    bill = a_bill(referral=a_referral())

    def settle_two(here: Any, there: Any) -> Any:
        return settle(bill, _two(here, there), an_institution(), shelf, committed=committed)

    assert settle_two(from_august, until_july).resident_id == "a"
    moved = settle_two(until_july, from_august)
    assert (moved.resident_id, moved.county_code, moved.policy_version) == ("b", YONGSHOU, "yongshou/2017.1")
    assert moved.procedure == "insurance_window"
    # A period out of poverty does not compete with one in it.
    left = settle_two((poor("2016-01-01", None, "out_of_poverty"),), (poor(),))
    assert (left.resident_id, left.decision) == ("b", "pass")
    both = settle_two((poor(),), (poor(),))
    assert (both.decision, codes(both), both.county_code) == ("hold", ["evidence_missing"], LUZHAI)
    none = settle_two((), until_july)
    assert (none.decision, codes(none), none.county_code) == ("reject", ["not_registered"], LUZHAI)


@clause("R-20")
def test_while_two_counties_claim_him_nothing_is_held_against_him() -> None:
    """His insurance in the one register says nothing of the other's: the doubt comes first."""
    pair = [replace(each, insurance=()) for each in _two((poor(),), (poor(),))]
    outcome = settle(a_bill(), pair, an_institution(), luzhai_shelf())
    assert (outcome.decision, codes(outcome)) == ("hold", ["evidence_missing"])


def test_two_registers_are_judged_alike_in_any_order() -> None:
    shelf = luzhai_shelf()
    pair = _two((poor(),), (poor(),))
    assert settle(a_bill(), pair, an_institution(), shelf) == settle(a_bill(), pair[::-1], an_institution(), shelf)


# --- the bill and the institution ---------------------------------------------------------------------------------


@clause("A3-06", "R-24")
def test_outpatient_cost_is_never_paid() -> None:
    outcome = settled(a_bill(care_setting="outpatient", discharged_on="2018-08-01", diagnoses=("C34.900",)))
    assert (codes(outcome), clauses(outcome)) == (["outpatient"], ["A3-06"])
    assert outcome.reasons[0].quote == "各类门诊就诊的费用"


@clause("A3-07")
@pytest.mark.parametrize("cause", sorted(EXCLUDED_CAUSES))
def test_the_causes_the_text_names_are_excluded(cause: str) -> None:
    outcome = settled(a_bill(cause=cause))
    assert (outcome.decision, codes(outcome), clauses(outcome)) == ("reject", ["excluded_cause"], ["A3-07"])
    assert EXCLUDED_CAUSES[cause] in outcome.reasons[0].detail
    assert _nothing_paid(outcome)


@clause("A3-07")
@pytest.mark.parametrize(("cause", "code"), [("other_excluded", "excluded_cause"), ("unknown", "evidence_missing")])
def test_a_cause_in_doubt_waits_for_a_person(cause: str, code: str) -> None:
    held = settled(a_bill(cause=cause))
    assert (held.decision, codes(held), clauses(held)) == ("hold", [code], ["A3-07"])
    assert held.if_passed is not None
    assert held.if_passed.safety_net_fen == 320000
    assert _nothing_paid(held)
    assert settled(a_bill(cause=cause), decision=a_decision("pass")).amounts.safety_net_fen == 320000
    rejected = settled(a_bill(cause=cause), decision=a_decision("reject", reason="斗殴所致"))
    assert (rejected.decision, codes(rejected), rejected.procedure) == ("reject", [code], None)
    assert "斗殴所致" in rejected.reasons[0].detail


@clause("R-45", "A3-07")
@pytest.mark.parametrize(
    ("diagnosis", "register", "decision"),
    [
        ("F20.000", False, "hold"),
        ("F29.x00", False, "hold"),
        ("F31.901", False, "hold"),
        ("f25", False, "hold"),
        ("F19.000", False, "reject"),
        ("F30.000", False, "reject"),
        ("F32.900", False, "reject"),
        ("S61.900", False, "reject"),
        ("S61.900", True, "hold"),
    ],
)
def test_self_harm_with_a_severe_mental_disorder_is_held(diagnosis: str, register: bool, decision: str) -> None:
    bill = a_bill(cause="suicide_or_self_harm", diagnoses=("T14.900", diagnosis))
    outcome = settled(bill, a_patient(severe_mental_disorder=register))
    assert (outcome.decision, codes(outcome), clauses(outcome)) == (decision, ["excluded_cause"], ["A3-07"])


@clause("R-45")
def test_a_mental_disorder_spares_no_other_cause() -> None:
    bill = a_bill(cause="fight", diagnoses=("F20.000",))
    assert settled(bill, a_patient(severe_mental_disorder=True)).decision == "reject"


@clause("A3-08")
@pytest.mark.parametrize("place", ["hong_kong_macau_taiwan", "abroad"])
def test_care_outside_the_mainland_is_excluded(place: str) -> None:
    outcome = settled(a_bill(place=place))
    assert (codes(outcome), clauses(outcome)) == (["outside_mainland"], ["A3-08"])


@clause("A3-10", "R-44")
@pytest.mark.parametrize(
    ("designated", "decision"),
    [
        ((span("2018-08-01"),), "pass"),
        ((span("2018-08-02"),), "reject"),
        ((span("2016-01-01", "2018-08-01"),), "pass"),  # lost during the stay
        ((span("2016-01-01", "2018-07-31"),), "reject"),
        ((span("2016-01-01", "2016-12-31"), span("2018-08-01", "2018-08-01")), "pass"),
        ((), "reject"),
    ],
)
def test_designation_counts_on_the_admission_date(designated: Any, decision: str) -> None:
    outcome = settled(institution=an_institution(designated=designated))
    assert outcome.decision == decision
    assert clauses(outcome) == ([] if decision == "pass" else ["A3-10"])


@clause("A3-10", "R-47")
def test_an_emergency_is_spared_and_paid_by_the_same_formula_which_the_explanation_says() -> None:
    outcome = settled(a_bill(emergency=True), institution=an_institution(designated=()))
    assert (outcome.decision, outcome.amounts.safety_net_fen) == ("pass", 320000)
    said = [step for step in outcome.steps if step.clause == "R-47"]
    assert [(step.step, step.amount_fen) for step in said] == [("by_analogy", 2000000)]
    assert "比照" in said[0].says
    designated = settled(a_bill(emergency=True))
    assert not [step for step in designated.steps if step.clause == "R-47"]


@clause("A3-11", "R-22", "R-23")
@pytest.mark.parametrize(
    ("referral", "decision"),
    [
        (None, "reject"),
        (a_referral("transfer"), "pass"),
        (a_referral("transfer", accepted=False), "reject"),
        (a_referral("emergency_filing"), "pass"),
        (a_referral("emergency_filing", accepted=False), "reject"),
        (a_referral("residence_filing"), "pass"),
        (a_referral("residence_filing", accepted=False), "reject"),
    ],
)
@pytest.mark.parametrize("emergency", [False, True])
def test_out_of_the_county_only_what_the_insurer_accepted_counts(referral: Any, decision: str, emergency: bool) -> None:
    outcome = settled(a_bill(referral=referral, emergency=emergency), institution=a_city_hospital())
    assert outcome.decision == decision
    assert clauses(outcome) == ([] if decision == "pass" else ["A3-11"])


@clause("A3-10", "A3-11")
def test_the_transfer_rule_speaks_of_designated_hospitals_only() -> None:
    nowhere = a_city_hospital(designated=())
    assert codes(settled(institution=nowhere)) == ["not_designated"]
    assert settled(a_bill(emergency=True), institution=nowhere).decision == "pass"


@clause("A3-12", "R-02")
@pytest.mark.parametrize("cause", ["work_injury", "public_health"])
def test_what_law_takes_from_the_insurance_is_excluded(cause: str) -> None:
    outcome = settled(a_bill(cause=cause))
    assert (codes(outcome), clauses(outcome)) == (["not_covered_by_law"], ["A3-12"])
