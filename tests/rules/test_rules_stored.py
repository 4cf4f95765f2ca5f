"""A settlement can be computed again from what was kept, and a difference is named field by field."""

import json
from dataclasses import replace
from typing import Any

import pytest

from safety_net_service.settlements.rules import (
    Difference,
    Inputs,
    PackMissing,
    differences,
    inputs_from_json,
    inputs_to_json,
    outcome_to_json,
    recompute,
)
from shared.kit.policy import Shelf
from tests.rules.builders import (
    a_bill,
    a_decision,
    a_patient,
    a_referral,
    a_township_centre,
    insured,
    luzhai_2018,
    luzhai_shelf,
    poor,
    shelf_with_2019,
    span,
)


def _inputs(**bill: Any) -> Inputs:
    patient = a_patient(
        insurance=(insured(suspended=[span("2018-01-01", "2018-01-31")]),),
        poverty=(poor(), poor("2010-01-01", "2011-01-01")),
    )
    known = {"referral": a_referral("residence_filing"), **bill}
    return Inputs(a_bill(**known), (patient,), a_township_centre(), {"兜底基金": 1}, a_decision(amount_fen=5))


def test_inputs_survive_their_json() -> None:
    inputs = _inputs()
    kept = json.dumps(inputs_to_json(inputs), ensure_ascii=False)
    assert inputs_from_json(json.loads(kept)) == inputs
    plain = replace(inputs, bill=a_bill(referral=None), candidates=(), decision=None)
    assert inputs_from_json(json.loads(json.dumps(inputs_to_json(plain)))) == plain


def test_inputs_hold_no_name_and_no_number_of_a_person() -> None:
    kept = inputs_to_json(_inputs())
    assert set(kept["candidates"][0]) == {
        "resident_id", "county_code", "birth_date", "poverty", "insurance", "household_registration",
        "birth_document", "identity_types", "severe_mental_disorder", "name_matches",
    }  # fmt: skip
    assert set(kept["bill"]) & {"patient", "name", "identity_number"} == set()


def test_what_was_kept_before_a_field_existed_is_still_read() -> None:
    inputs = replace(_inputs(), candidates=(a_patient(),), decision=None)
    kept = json.loads(json.dumps(inputs_to_json(inputs)))
    del kept["candidates"][0]["severe_mental_disorder"]
    assert inputs_from_json(kept) == inputs


def test_a_settlement_recomputes_to_itself_even_when_a_later_pack_fills_its_gap() -> None:
    inputs = _inputs(admitted_on="2018-12-22", discharged_on="2019-01-11")
    outcome = inputs.settle(luzhai_shelf())
    stored = json.loads(json.dumps(outcome_to_json(outcome)))
    assert outcome.packs == ("luzhai/2018.1",)
    assert differences(stored, recompute(inputs, outcome.packs, shelf_with_2019())) == ()
    # Settled anew, instead of recomputed, the later pack has its say.
    assert inputs.settle(shelf_with_2019()).amounts != outcome.amounts


def test_a_number_changed_in_store_is_named() -> None:
    inputs = _inputs()
    outcome = inputs.settle(luzhai_shelf())
    stored = outcome_to_json(outcome) | {"settlement_id": "kept beside it"}
    stored["amounts"] = stored["amounts"] | {"safety_net": "9999.99"}
    stored["years"] = []
    again = recompute(inputs, outcome.packs, luzhai_shelf())
    found = differences(stored, again)
    assert found[0] == Difference("/amounts/safety_net", "9999.99", "2600.00")
    assert [each.pointer for each in found] == ["/amounts/safety_net", "/years"]


def test_a_pack_edited_after_it_was_in_force_is_noticed() -> None:
    inputs = _inputs()
    outcome = inputs.settle(luzhai_shelf())
    pack = luzhai_2018()
    edited = replace(pack, clauses={**pack.clauses, "A3-23": "别的话"})
    pointers = [
        each.pointer
        for each in differences(outcome_to_json(outcome), recompute(inputs, outcome.packs, Shelf([edited])))
    ]
    assert pointers
    assert all(pointer.endswith("/quote") for pointer in pointers)


def test_a_pack_that_is_gone_is_said_to_be_gone() -> None:
    inputs = _inputs()
    with pytest.raises(PackMissing, match=r"luzhai/2017\.9"):
        recompute(inputs, ("luzhai/2017.9",), luzhai_shelf())
