"""What always holds, whatever the bill: the invariants of the public contract and of the worked rules."""

import json
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from safety_net_service.settlements.rules import (
    Bill,
    Inputs,
    Institution,
    OfficeDecision,
    Patient,
    differences,
    inputs_from_json,
    inputs_to_json,
    outcome_to_json,
    recompute,
    settle,
)
from safety_net_service.settlements.rules.facts import COUNTED_WITH_THE_BILL
from shared.kit.money import fen, portion, portion_down, prorate, ratio4, yuan
from tests.rules.builders import (
    a_bill,
    a_patient,
    a_township_centre,
    an_institution,
    luzhai_shelf,
    settled,
    shelf_with_2019,
)
from tests.rules.by_hand import half_up
from tests.rules.counting import holds
from tests.rules.drawn import (
    bills,
    decisions,
    doubtful_bills,
    doubtful_institutions,
    doubtful_people,
    fen_amounts,
    institutions,
    lengths,
)

clause = pytest.mark.clause
anything = (doubtful_bills(), doubtful_people(), doubtful_institutions, decisions)
EARLIER_PAYERS = (*COUNTED_WITH_THE_BILL, "other")
SHELVES = st.sampled_from([False, True])


def _shelf(with_2019: bool) -> Any:
    return shelf_with_2019() if with_2019 else luzhai_shelf()


def _of_luzhai(bill: Bill, institution: Institution, with_2019: bool = False) -> Any:
    return settled(bill, a_patient(), institution, _shelf(with_2019))


@clause("R-03", "R-08", "R-12")
@holds(*anything, SHELVES, examples=2500)
def test_every_bill_is_shared_out_to_the_fen_and_nothing_is_negative(
    bill: Bill, people: list[Patient], institution: Institution, decision: OfficeDecision | None, with_2019: bool
) -> None:
    outcome = settle(bill, people, institution, _shelf(with_2019), decision=decision)
    for amounts in filter(None, (outcome.amounts, outcome.if_passed)):
        assert bill.total_fen == (
            amounts.reimbursed_fen + amounts.safety_net_fen + amounts.hospital_share_fen + amounts.personal_fen
        )
        assert min(amounts.safety_net_fen, amounts.hospital_share_fen, amounts.personal_fen) >= 0
        assert amounts.patient_pays_fen == amounts.personal_fen - bill.other_fen >= 0
        assert amounts.bill.base_fen == bill.total_fen - bill.non_medical_fen
    if outcome.decision != "pass":
        assert (outcome.amounts.safety_net_fen, outcome.amounts.hospital_share_fen) == (0, 0)
        assert outcome.reasons
    assert (outcome.if_passed is not None) == (outcome.decision == "hold")
    assert (outcome.years != ()) == (outcome.decision == "pass" or outcome.policy_version is None)
    assert (outcome.procedure is None) == (outcome.decision == "reject")
    assert outcome.decision != "pass" or not outcome.reasons


@clause("A3-22")
@holds(*anything, SHELVES, examples=1000)
def test_the_explanation_adds_up_and_every_line_quotes_its_clause(
    bill: Bill, people: list[Patient], institution: Institution, decision: OfficeDecision | None, with_2019: bool
) -> None:
    shelf = _shelf(with_2019)
    outcome = settle(bill, people, institution, shelf, decision=decision)
    shown = outcome.if_passed or outcome.amounts
    said = {
        payer: sum(step.amount_fen for step in outcome.steps if step.step == payer)
        for payer in ("safety_net", "hospital_share")
    }
    assert said == {"safety_net": shown.safety_net_fen, "hospital_share": shown.hospital_share_fen}
    assert outcome.steps
    packs = [pack for pack in map(shelf.of_version, outcome.packs) if pack is not None]
    cited = [(line.clause, line.quote) for line in outcome.steps]
    cited += [(reason.clause, reason.quote) for reason in outcome.reasons]
    for of_clause, quote in cited:
        assert quote
        known = [pack.clauses[of_clause] for pack in packs if of_clause in pack.clauses]
        assert quote in known or of_clause in ("R-18", "R-20")


@clause("A3-22", "R-17", "R-18")
@holds(bills(), institutions, SHELVES, examples=1000)
def test_the_years_are_the_whole_of_days_and_money(bill: Bill, institution: Institution, with_2019: bool) -> None:
    outcome = _of_luzhai(bill, institution, with_2019)
    days = max((bill.discharged_on - bill.admitted_on).days, 1)
    assert sum(row.days for row in outcome.years) == days
    assert {row.of_days for row in outcome.years} == {days}
    assert sum(row.safety_net_fen for row in outcome.years) == outcome.amounts.safety_net_fen
    assert sum(row.hospital_share_fen for row in outcome.years) == outcome.amounts.hospital_share_fen
    for row in outcome.years:
        assert (row.policy_version is None) == (row.reason == "no_policy_in_force")
        assert row.policy_version is not None or (row.safety_net_fen, row.hospital_share_fen) == (0, 0)


@clause("A3-20", "R-03")
@holds(bills(), SHELVES, examples=1000)
def test_outside_townships_the_safety_net_never_lifts_above_the_promise(bill: Bill, with_2019: bool) -> None:
    outcome = _of_luzhai(bill, an_institution(), with_2019)
    reimbursed = outcome.amounts.reimbursed_fen
    # Shares of two years may each round up, so a cut stay may pass the promise by the half fen of each.
    spare = max(sum(row.policy_version is not None for row in outcome.years) - 1, 0)
    promise = half_up(Fraction(bill.base_fen * 9, 10))
    assert outcome.amounts.safety_net_fen + reimbursed <= max(reimbursed, promise) + spare


@clause("R-08")
@holds(bills(), institutions, SHELVES, examples=1000)
def test_what_is_received_never_exceeds_the_bill(bill: Bill, institution: Institution, with_2019: bool) -> None:
    amounts = _of_luzhai(bill, institution, with_2019).amounts
    assert amounts.safety_net_fen + amounts.hospital_share_fen + bill.received_fen <= bill.total_fen


@clause("A3-01", "R-05")
@holds(
    bills(dates=st.just(a_bill().admitted_on), days=st.integers(0, 100), non_medical_fen=0, other_fen=0),
    institutions,
    examples=1000,
)
def test_at_least_nine_tenths_are_really_reimbursed(bill: Bill, institution: Institution) -> None:
    amounts = _of_luzhai(bill, institution).amounts
    assert 2 * 10 * amounts.borne_fen >= 2 * 9 * bill.total_fen - 10  # but for the half fen of rounding
    assert 2 * 10 * amounts.personal_fen <= 2 * bill.total_fen + 10


@clause("R-33", "A3-21")
@holds(bills(days=st.integers(0, 20)), institutions, st.integers(0, 5), examples=1000)
def test_a_yuan_more_from_an_earlier_payer_never_costs_the_patient(
    bill: Bill, institution: Institution, payer: int
) -> None:
    assume(bill.total_fen - bill.received_fen >= 100)
    name = (
        "basic_insurance_fen",
        "critical_illness_fen",
        "supplementary_insurance_fen",
        "medical_assistance_fen",
        "government_topup_fen",
        "other_fen",
    )[payer]
    before = _of_luzhai(bill, institution).amounts
    after = _of_luzhai(replace(bill, **{name: getattr(bill, name) + 100}), institution).amounts
    assert after.patient_pays_fen <= before.patient_pays_fen
    if name != "other_fen":
        assert after.personal_fen <= before.personal_fen
        assert after.safety_net_fen <= before.safety_net_fen


@clause("R-17", "R-52")
@holds(
    bills(dates=st.just(a_bill(admitted_on="2018-12-20", discharged_on="2018-12-22").admitted_on), other_fen=0),
    institutions,
    examples=800,
)
def test_two_years_add_to_the_whole_within_one_fen(bill: Bill, institution: Institution) -> None:
    assume(bill.discharged_on.year < 2020)
    cut = _of_luzhai(bill, institution, with_2019=True).amounts
    short = replace(bill, discharged_on=bill.admitted_on + timedelta(days=1))
    whole = _of_luzhai(short, institution).amounts
    assert abs(cut.safety_net_fen + cut.hospital_share_fen - whole.safety_net_fen - whole.hospital_share_fen) <= 1


@clause("A3-23", "R-10", "R-11")
@holds(bills(days=st.integers(0, 20)), examples=500)
def test_in_a_township_centre_the_county_never_bears_the_odd_fen(bill: Bill) -> None:
    outcome = _of_luzhai(bill, a_township_centre())
    for row in outcome.years:
        assert 0 <= row.hospital_share_fen - row.safety_net_fen <= 1


@clause("A3-01")
@holds(bills(), institutions, examples=700)
def test_ratios_are_cut_and_never_rounded_up(bill: Bill, institution: Institution) -> None:
    outcome = _of_luzhai(bill, institution)
    shown = outcome_to_json(outcome)
    borne = outcome.amounts.borne_fen
    for name, of_fen in (("actual_reimbursement_ratio", bill.base_fen), ("ratio_of_receipt", bill.total_fen)):
        digits = int(shown[name].replace(".", ""))
        if of_fen:
            assert digits * of_fen <= borne * 10_000 < (digits + 1) * of_fen
        else:
            assert shown[name] == "0.0000"


@holds(*anything, SHELVES, examples=1000)
def test_a_stored_settlement_recomputes_to_itself(
    bill: Bill, people: list[Patient], institution: Institution, decision: OfficeDecision | None, with_2019: bool
) -> None:
    inputs = Inputs(bill, tuple(people), institution, {"甲基金": 5}, decision)
    kept = json.loads(json.dumps(inputs_to_json(inputs)))
    assert inputs_from_json(kept) == inputs
    outcome = inputs.settle(_shelf(with_2019))
    stored = json.loads(json.dumps(outcome_to_json(outcome)))
    # A pack that came later must not change what was settled without it.
    again = recompute(inputs_from_json(kept), outcome.packs, shelf_with_2019())
    assert differences(stored, again) == ()
    assert again == outcome


@holds(doubtful_bills(), doubtful_people(), doubtful_institutions, examples=700)
def test_a_hold_passed_by_the_office_pays_what_it_said_it_would(
    bill: Bill, people: list[Patient], institution: Institution
) -> None:
    held = settle(bill, people, institution, luzhai_shelf())
    passed = settle(bill, people, institution, luzhai_shelf(), decision=OfficeDecision("pass", "已核实", "纪要"))
    if held.decision == "hold" and bill.identity_given:
        assert passed.decision == "pass"
        assert passed.amounts == held.if_passed
    else:
        assert passed.decision == held.decision
        assert passed.amounts == held.amounts


@holds(*anything[:3], examples=300)
def test_the_order_of_the_candidates_says_nothing(bill: Bill, people: list[Patient], institution: Institution) -> None:
    shelf = luzhai_shelf()
    assert settle(bill, people, institution, shelf) == settle(bill, people[::-1], institution, shelf)


@clause("R-12")
@holds(fen_amounts, st.decimals(0, 1, places=4), st.integers(1, 400), lengths, examples=800)
def test_money_is_rounded_once_and_exactly(amount: int, ratio: Any, of_days: int, days: int) -> None:
    days = min(days, of_days)
    assert fen(yuan(amount)) == amount
    assert portion(amount, ratio) == half_up(amount * Fraction(ratio))
    assert portion_down(amount, ratio) == int(amount * Fraction(ratio))
    assert prorate(amount, days, of_days) == half_up(Fraction(amount * days, of_days))
    assert (
        Fraction(ratio4(days, of_days))
        <= Fraction(days, of_days)
        < Fraction(ratio4(days, of_days)) + Fraction(1, 10_000)
    )
