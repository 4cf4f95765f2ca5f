"""How a discharge bill is shared out among its payers: pure, dated, explained. No clock, no database, no network."""

from safety_net_service.settlements.rules.eligibility import DecisionWithoutLaw
from safety_net_service.settlements.rules.facts import (
    UNKNOWN_KIND,
    Bill,
    Institution,
    InsuranceSpan,
    OfficeDecision,
    Patient,
    PovertySpan,
    Referral,
    Span,
    rule_named_in,
)
from safety_net_service.settlements.rules.outcome import (
    Amounts,
    Outcome,
    Reason,
    Step,
    YearShare,
    amounts_to_json,
    outcome_to_json,
)
from safety_net_service.settlements.rules.pack import PackShelf, load_pack, load_shelf, pack_files, parse_pack
from safety_net_service.settlements.rules.settle import settle
from safety_net_service.settlements.rules.shape import Limit, SettlementPack
from safety_net_service.settlements.rules.stored import (
    Difference,
    Inputs,
    PackMissing,
    differences,
    inputs_from_json,
    inputs_to_json,
    recompute,
)

__all__ = [
    "UNKNOWN_KIND",
    "Amounts",
    "Bill",
    "DecisionWithoutLaw",
    "Difference",
    "Inputs",
    "Institution",
    "InsuranceSpan",
    "Limit",
    "OfficeDecision",
    "Outcome",
    "PackMissing",
    "PackShelf",
    "Patient",
    "PovertySpan",
    "Reason",
    "Referral",
    "SettlementPack",
    "Span",
    "Step",
    "YearShare",
    "amounts_to_json",
    "differences",
    "inputs_from_json",
    "inputs_to_json",
    "load_pack",
    "load_shelf",
    "outcome_to_json",
    "pack_files",
    "parse_pack",
    "recompute",
    "rule_named_in",
    "settle",
]
