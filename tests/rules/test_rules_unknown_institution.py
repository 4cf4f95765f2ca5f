"""A bill of an institution that nobody has registered is held, and recomputes equal."""

import pytest

from safety_net_service.settlements.rules import (
    UNKNOWN_KIND,
    Inputs,
    OfficeDecision,
    differences,
    outcome_to_json,
    recompute,
)
from tests.rules.builders import a_bill, a_patient, an_institution, luzhai_shelf

PASS = OfficeDecision("pass", "经查", "A3-10")


def _inputs(decision: OfficeDecision | None = None, **bill: str) -> Inputs:
    return Inputs(a_bill(**bill), (a_patient(),), an_institution(kind=UNKNOWN_KIND), {}, decision)


@pytest.mark.clause("A3-10", "A3-22")
@pytest.mark.parametrize("decision", [None, PASS])
def test_it_is_held_whatever_the_office_decided(decision: OfficeDecision | None) -> None:
    inputs, shelf = _inputs(decision), luzhai_shelf()
    outcome = inputs.settle(shelf)
    assert (outcome.decision, outcome.reasons[-1].code, outcome.years) == ("hold", "evidence_missing", ())
    assert (outcome.amounts.safety_net_fen, outcome.amounts.hospital_share_fen) == (0, 0)
    assert outcome.if_passed is not None
    assert outcome.if_passed.safety_net_fen > 0
    assert not differences(outcome_to_json(outcome), recompute(inputs, outcome.packs, shelf))


def test_what_is_certain_rejects_all_the_same() -> None:
    outcome = _inputs(care_setting="outpatient").settle(luzhai_shelf())
    assert [each.code for each in outcome.reasons] == ["outpatient"]
