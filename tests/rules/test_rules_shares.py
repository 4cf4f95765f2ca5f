"""How a bill is shared out over time, by which procedure, and what the explanation says of it."""

from dataclasses import replace
from typing import Any

import pytest

from safety_net_service.settlements.rules import load_shelf, outcome_to_json, settle
from shared.kit.policy import Shelf
from tests.rules.builders import (
    PROOF_PACKS,
    URAD,
    YONGSHOU,
    a_bill,
    a_city_hospital,
    a_decision,
    a_patient,
    a_referral,
    a_township_centre,
    an_institution,
    codes,
    day,
    luzhai_2018,
    luzhai_shelf,
    settled,
    shelf_with_2019,
    span,
)

clause = pytest.mark.clause


def _rows(outcome: Any) -> list[tuple[int, int, int, int, str | None]]:
    return [
        (row.year, row.days, row.safety_net_fen, row.hospital_share_fen, row.policy_version) for row in outcome.years
    ]


def _over(admitted: str, discharged: str, **known: Any) -> Any:
    return a_bill(admitted_on=admitted, discharged_on=discharged, **known)


@clause("A3-20", "A3-25", "C-01")
def test_the_settlement_reads_as_the_contract_shows_it() -> None:
    shown = outcome_to_json(settled())
    for step in shown["steps"]:
        assert step.pop("quote") == "救助报销金额=住院总费用×90%—已救助报销总额"
    assert shown == {
        "decision": "pass",
        "reasons": [],
        "policy": {"county_code": "450223", "pack": "settlement", "version": "luzhai/2018.1"},
        "procedure": "hospital_advance",
        "amounts": {
            "total": "20000.00", "base": "20000.00", "basic_insurance": "11800.00", "critical_illness": "0.00",
            "supplementary_insurance": "0.00", "medical_assistance": "3000.00", "other": "0.00",
            "reimbursed": "14800.00", "government_topup": "0.00", "safety_net": "3200.00", "hospital_share": "0.00",
            "personal": "2000.00", "patient_pays": "2000.00",
        },
        "if_passed": None,
        "actual_reimbursement_ratio": "0.9000",
        "ratio_of_receipt": "0.9000",
        "years": [
            {
                "year": 2018, "days": 10, "of_days": 10, "safety_net": "3200.00", "hospital_share": "0.00",
                "policy_version": "luzhai/2018.1", "reason": None,
            }
        ],
        "steps": [
            {"clause": "A3-20", "step": "target", "says": "20000.00 × 90% = 18000.00", "amount": "18000.00"},
            {"clause": "A3-20", "step": "safety_net", "says": "18000.00 − 14800.00 = 3200.00", "amount": "3200.00"},
        ],
    }  # fmt: skip


@clause("R-13", "R-14", "R-16", "R-48", "A3-24", "A3-25", "A3-26")
@pytest.mark.parametrize(
    ("admitted", "agreement", "in_county", "procedure"),
    [
        ("2018-06-30", "XY-1", True, "joint_review"),
        ("2018-07-01", "XY-1", True, "hospital_advance"),
        ("2018-07-01", None, True, "joint_review"),
        ("2018-07-19", None, True, "joint_review"),  # before the notice was issued nobody could sign
        ("2018-12-31", "XY-1", True, "hospital_advance"),
        ("2018-01-01", None, True, "joint_review"),
        ("2018-06-30", None, False, "joint_review"),
        ("2018-06-30", "XY-1", False, "joint_review"),
        ("2018-07-01", None, False, "insurance_window"),
        ("2018-07-01", "XY-1", False, "insurance_window"),
    ],
)
def test_the_admission_date_chooses_the_procedure(
    admitted: str, agreement: str | None, in_county: bool, procedure: str
) -> None:
    bill = _over(admitted, "2019-01-01", pay_later_agreement_no=agreement, referral=a_referral())
    outcome = settled(bill, institution=an_institution() if in_county else a_city_hospital())
    assert outcome.procedure == procedure


@clause("R-13")
def test_the_procedure_never_changes_the_amount() -> None:
    before, after = settled(_over("2018-06-30", "2018-07-10")), settled(_over("2018-07-01", "2018-07-11"))
    assert before.procedure != after.procedure
    assert before.amounts.safety_net_fen == after.amounts.safety_net_fen == 320000


@clause("A3-20", "R-13")
def test_a_held_bill_has_its_procedure() -> None:
    assert settled(_over("2018-06-30", "2018-07-10", cause="unknown")).procedure == "joint_review"


@clause("R-17")
@pytest.mark.parametrize(
    ("admitted", "discharged", "days"),
    [
        ("2018-08-01", "2018-08-01", 1),
        ("2018-08-01", "2018-08-02", 1),
        ("2018-08-01", "2018-08-03", 2),
        ("2018-02-27", "2018-03-01", 2),
    ],
)
def test_the_admission_day_counts_and_the_discharge_day_does_not(admitted: str, discharged: str, days: int) -> None:
    outcome = settled(_over(admitted, discharged))
    assert [(row.days, row.of_days) for row in outcome.years] == [(days, days)]


@clause("A3-22", "R-17", "R-18")
@pytest.mark.parametrize(
    ("admitted", "discharged", "rows"),
    [
        ("2018-12-31", "2019-01-01", [(2018, 1, 320000, 0, "luzhai/2018.1")]),
        ("2018-12-31", "2019-01-02", [(2018, 1, 160000, 0, "luzhai/2018.1"), (2019, 1, 0, 0, None)]),
        ("2017-12-31", "2018-01-02", [(2017, 1, 0, 0, None), (2018, 1, 160000, 0, "luzhai/2018.1")]),
        (
            "2016-12-31",
            "2018-01-02",
            [(2016, 1, 0, 0, None), (2017, 365, 0, 0, None), (2018, 1, 872, 0, "luzhai/2018.1")],
        ),
    ],
)
def test_days_outside_every_policy_pay_nothing_and_say_so(admitted: str, discharged: str, rows: Any) -> None:
    outcome = settled(_over(admitted, discharged), a_patient())
    assert _rows(outcome) == rows
    gaps = [step for step in outcome.steps if step.step == "no_policy"]
    assert len(gaps) == sum(row[4] is None for row in rows)
    assert all(step.clause == "R-18" and "没有" in step.says for step in gaps)


@clause("R-18")
def test_a_stay_wholly_outside_is_rejected_and_its_days_are_shown() -> None:
    outcome = settled(_over("2019-01-01", "2019-01-11"))
    assert (outcome.decision, codes(outcome), outcome.policy_version) == ("reject", ["no_policy_in_force"], None)
    assert _rows(outcome) == [(2019, 10, 0, 0, None)]
    assert [row.reason for row in outcome.years] == ["no_policy_in_force"]
    assert outcome.amounts.personal_fen == 520000
    assert outcome.procedure is None
    assert outcome_to_json(outcome)["policy"] == {"county_code": "450223", "pack": "settlement", "version": None}


@clause("R-08", "R-52")
def test_what_no_longer_fits_the_bill_leaves_the_latest_period_first() -> None:
    bill = _over("2018-12-22", "2019-01-11", total="3000.00", basic_insurance="2400.00", other="200.00")
    both = settled(bill, institution=a_township_centre(), shelf=shelf_with_2019())
    assert _rows(both) == [(2018, 10, 15000, 15000, "luzhai/2018.1"), (2019, 10, 5000, 5000, "luzhai/2019.1")]
    bill = _over("2018-12-22", "2019-01-11", total="3000.00", basic_insurance="2400.00", other="400.01")
    both = settled(bill, institution=a_township_centre(), shelf=shelf_with_2019())
    # 199.99 fit: all of it 2018's, and the odd fen the centre's.
    assert _rows(both) == [(2018, 10, 9999, 10000, "luzhai/2018.1"), (2019, 10, 0, 0, "luzhai/2019.1")]
    assert both.amounts.patient_pays_fen == 0


@clause("R-11", "R-52")
def test_each_years_share_is_split_by_itself() -> None:
    bill = _over("2018-12-30", "2019-01-02", total="100.01", basic_insurance="97.00")
    outcome = settled(bill, institution=a_township_centre(), shelf=shelf_with_2019())
    # 3.01 over 2 and 1 of 3 days: 2.01 and 1.00.
    assert _rows(outcome) == [(2018, 2, 100, 101, "luzhai/2018.1"), (2019, 1, 50, 50, "luzhai/2019.1")]


@clause("A3-23")
@pytest.mark.parametrize(
    ("institution", "shared"),
    [
        (a_township_centre(), True),
        (an_institution(), False),
        (an_institution(kind="community_centre"), False),
        (an_institution(kind="village_clinic"), False),
        (a_township_centre(county_code="450202"), False),
    ],
)
def test_only_a_township_centre_of_the_county_shares_by_halves(institution: Any, shared: bool) -> None:
    amounts = settled(a_bill(referral=a_referral()), institution=institution).amounts
    assert (amounts.safety_net_fen, amounts.hospital_share_fen) == ((260000, 260000) if shared else (320000, 0))


@clause("A3-23", "R-47")
def test_an_emergency_at_a_centre_without_designation_is_shared_by_halves_too() -> None:
    outcome = settled(a_bill(emergency=True), institution=a_township_centre(designated=()))
    assert outcome.amounts.hospital_share_fen == 260000
    assert "by_analogy" in [step.step for step in outcome.steps]


@clause("R-34", "R-35")
def test_a_transfer_and_a_second_stay_are_settled_each_by_itself() -> None:
    first = settled(_over("2018-08-01", "2018-08-11"), institution=a_township_centre())
    second = settled(_over("2018-08-11", "2018-08-21"))
    overlapping = settled(_over("2018-08-05", "2018-08-15"))
    assert first.amounts.hospital_share_fen == 260000
    assert second.amounts.safety_net_fen == overlapping.amounts.safety_net_fen == 320000
    # Two half bills are not one whole: nothing is carried from stay to stay.
    halves = [settled(a_bill(total="333.35", basic_insurance="250.00")).amounts.safety_net_fen for _ in range(2)]
    assert halves == [5002, 5002]


@clause("C-19", "R-01")
def test_the_other_base_is_another_word_in_the_pack() -> None:
    pack = luzhai_2018()
    narrow = Shelf([replace(pack, steps=(replace(pack.steps[0], of="in_scope"), *pack.steps[1:]))])
    bill = a_bill(total="30000.00", in_scope="26000.00", basic_insurance="20000.00")
    assert settled(bill).amounts.safety_net_fen == 700000
    amounts = settled(bill, shelf=narrow).amounts
    assert (amounts.safety_net_fen, amounts.personal_fen) == (340000, 660000)


@clause("C-21")
@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"total": "5000.00", "basic_insurance": "5200.00"}, "more was received"),
        ({"total": "5000.00", "basic_insurance": "4000.00", "other": "1000.01"}, "more was received"),
        ({"total": "0.00"}, "nothing to settle"),
        ({"total": "10.00", "non_medical": "10.01", "in_scope": "0.00"}, "more than the whole"),
        ({"total": "10.00", "in_scope": "10.01"}, "more than the whole"),
        ({"total": "10.00", "discharged_on": "2018-07-31"}, "before the admission"),
    ],
)
def test_a_bill_that_intake_must_refuse_never_reaches_the_rules(known: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        a_bill(**known)


def test_a_negative_amount_never_reaches_the_rules() -> None:
    with pytest.raises(ValueError, match="other_fen is negative"):
        replace(a_bill(), other_fen=-1)


@clause("R-01")
def test_a_receipt_of_nothing_but_meals_has_no_ratio() -> None:
    shown = outcome_to_json(settled(a_bill(total="120.00", non_medical="120.00")))
    assert (shown["amounts"]["base"], shown["amounts"]["safety_net"]) == ("0.00", "0.00")
    assert (shown["actual_reimbursement_ratio"], shown["ratio_of_receipt"]) == ("0.0000", "0.0000")


# --- other counties: the same code -----------------------------------------------------------------------------------


def _urad(bill: Any = None, **more: Any) -> Any:
    bill = bill or _over("2020-03-01", "2020-03-11")
    known = {"committed": {"健康扶贫大病保障基金": 0}, **more}
    return settled(bill, a_patient(county_code=URAD), an_institution(county_code=URAD), **known)


@clause("U-12", "R-39", "C-26")
def test_a_fund_without_a_formula_waits_for_the_office_and_never_passes_its_cap() -> None:
    held = _urad()
    assert (held.decision, codes(held), held.procedure) == ("hold", ["evidence_missing"], "hospital_advance")
    assert (held.amounts.safety_net_fen, held.if_passed.safety_net_fen) == (0, 520000)
    granted = _urad(decision=a_decision("pass", amount_fen=150000))
    assert (granted.decision, granted.amounts.safety_net_fen) == ("pass", 150000)
    most = _urad(decision=a_decision("pass", amount_fen=99_999_999))
    assert most.amounts.safety_net_fen == 520000
    assert _urad(decision=a_decision("reject")).decision == "reject"
    unknown = _urad(committed={}, decision=a_decision("pass"))
    assert (unknown.decision, unknown.reasons[0].clause) == ("hold", "R-39")


@clause("U-12")
def test_the_office_grants_no_more_than_the_medical_cost_that_is_left() -> None:
    bill = _over("2020-03-01", "2020-03-11", total="10000.00", non_medical="500.00", basic_insurance="8000.00")
    granted = _urad(bill, decision=a_decision("pass", amount_fen=99_999_999))
    assert (granted.amounts.safety_net_fen, granted.amounts.patient_pays_fen) == (150000, 50000)


@clause("U-12")
def test_what_a_county_does_not_exclude_is_not_excluded_there() -> None:
    """The banner's text names no exclusion of institutions: nothing of Luzhai's list is applied to it."""
    bill = _over("2020-03-01", "2020-03-11", emergency=True, cause="traffic_accident")
    patient, institution = a_patient(county_code=URAD, insurance=()), an_institution(county_code=URAD, designated=())
    outcome = settled(bill, patient, institution, committed={"健康扶贫大病保障基金": 0})
    assert (outcome.decision, [reason.clause for reason in outcome.reasons]) == ("hold", ["U-12"])


def _yongshou(bill: Any, promised: int = 0) -> Any:
    shelf = Shelf(load_shelf(PROOF_PACKS).of_county(YONGSHOU))
    patient, institution = a_patient(county_code=YONGSHOU), an_institution(county_code=YONGSHOU)
    return settle(bill, [patient], institution, shelf, committed={"兜底基金": promised})


def test_a_third_county_needs_a_file_and_no_code() -> None:
    outcome = _yongshou(a_bill())
    assert (outcome.policy_version, outcome.amounts.safety_net_fen) == ("yongshou/2017.1", 320000)
    last = _yongshou(a_bill(), promised=800_000_000 - 100)
    assert (last.decision, last.amounts.safety_net_fen, last.amounts.personal_fen) == ("pass", 100, 519900)
    empty = _yongshou(a_bill(), promised=900_000_000)
    assert empty.amounts.safety_net_fen == 0


def test_a_pack_cut_by_discharge_takes_the_whole_stay_or_nothing_of_it() -> None:
    assert _rows(_yongshou(_over("2016-12-22", "2017-01-11"))) == [(2016, 20, 320000, 0, "yongshou/2017.1")]
    after = _yongshou(_over("2018-12-22", "2019-01-11"))
    assert (after.decision, codes(after)) == ("reject", ["no_policy_in_force"])
    assert [row.year for row in after.years] == [2018, 2019]


def test_a_pack_cut_by_admission_takes_the_whole_stay_or_nothing_of_it() -> None:
    shelf = Shelf([replace(luzhai_2018(), cut_by="admission")])
    inside = settled(_over("2018-12-22", "2019-01-11"), shelf=shelf)
    assert _rows(inside) == [(2018, 20, 320000, 0, "luzhai/2018.1")]
    outside = settled(_over("2017-12-22", "2018-01-11"), shelf=shelf)
    assert codes(outside) == ["no_policy_in_force"]


@clause("A3-11", "R-20")
def test_in_the_county_means_the_residents_county() -> None:
    """A Luzhai resident treated in Urad is out of his county there, whatever packs Urad has."""
    away = an_institution(county_code=URAD, designated=(span(),))
    outcome = settled(institution=away)
    assert (outcome.county_code, codes(outcome)) == ("450223", ["no_referral"])
    assert settled(a_bill(referral=a_referral()), institution=away).procedure == "insurance_window"
    assert outcome.packs == ("luzhai/2018.1",)
    assert luzhai_shelf().find(URAD, day("2020-01-01")) is not None
