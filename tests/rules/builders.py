"""Plain bills, patients and institutions for tests: name what matters, the rest is an ordinary case of Luzhai, 2018.

Amounts are given in yuan as text, days as text; everybody here is fictitious.
"""

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import safety_net_service
from safety_net_service.settlements.rules import (
    Bill,
    Institution,
    InsuranceSpan,
    OfficeDecision,
    Outcome,
    PackShelf,
    Patient,
    PovertySpan,
    Referral,
    SettlementPack,
    Span,
    load_pack,
    load_shelf,
    settle,
)
from shared.kit.money import fen
from shared.kit.policy import Shelf

POLICIES = Path(safety_net_service.__file__).parent / "policies"
PROOF_PACKS = Path(__file__).resolve().parents[1] / "policies" / "packs"
LUZHAI, LIUZHOU, URAD, YONGSHOU = "450223", "450202", "150824", "610426"


def day(text: str) -> date:
    """A day from its text."""
    return date.fromisoformat(text)


def span(first: str = "2016-01-01", last: str | None = None) -> Span:
    """Some days, open at the end if not said otherwise."""
    return Span(day(first), day(last) if last else None)


def poor(first: str = "2016-01-01", last: str | None = None, category: str = "registered_poor") -> PovertySpan:
    """A poverty period."""
    return PovertySpan(day(first), day(last) if last else None, category)


def insured(
    first: str = "2016-01-01", last: str | None = None, scheme: str = "resident", suspended: Sequence[Span] = ()
) -> InsuranceSpan:
    """An insurance period."""
    return InsuranceSpan(day(first), day(last) if last else None, scheme, tuple(suspended))


def a_patient(**known: Any) -> Patient:
    """A registered poor, insured adult of Luzhai."""
    usual: dict[str, Any] = {
        "resident_id": "00000000-0000-4000-8000-000000000001",
        "county_code": LUZHAI,
        "birth_date": day("1975-03-12"),
        "poverty": (poor(),),
        "insurance": (insured(),),
    }
    return Patient(**{**usual, **known})


def an_institution(**known: Any) -> Institution:
    """The county hospital, designated since 2016."""
    usual: dict[str, Any] = {
        "institution_code": "H45022300001",
        "kind": "county_hospital",
        "county_code": LUZHAI,
        "designated": (span(),),
    }
    return Institution(**{**usual, **known})


def a_township_centre(**known: Any) -> Institution:
    """A township centre of Luzhai."""
    return an_institution(**{"institution_code": "H45022300010", "kind": "township_centre", **known})


def a_city_hospital(**known: Any) -> Institution:
    """A designated hospital of the city, outside the county."""
    return an_institution(
        **{"institution_code": "H45020000001", "kind": "city_hospital", "county_code": LIUZHOU, **known}
    )


MONEY = (
    "total", "in_scope", "non_medical", "basic_insurance", "critical_illness", "supplementary_insurance",
    "medical_assistance", "government_topup", "other",
)  # fmt: skip


def a_bill(**known: Any) -> Bill:
    """Ten days in August 2018, 20,000.00, 14,800.00 reimbursed (C-01). `reimbursed` sets basic insurance alone."""
    if "reimbursed" in known:
        known["basic_insurance"] = known.pop("reimbursed")
    if not any(name in known for name in MONEY):
        known |= {"total": "20000.00", "basic_insurance": "11800.00", "medical_assistance": "3000.00"}
    money = {f"{name}_fen": fen(known.pop(name)) for name in MONEY if name in known}
    money.setdefault("total_fen", 2_000_000)
    money.setdefault("in_scope_fen", money["total_fen"] - money.get("non_medical_fen", 0))
    usual: dict[str, Any] = {
        "admitted_on": day("2018-08-01"),
        "discharged_on": day("2018-08-11"),
        "pay_later_agreement_no": "XY-2018-0032",
        "diagnoses": ("C34.900",),
    }
    known = {
        key: day(value) if key.endswith("ed_on") and isinstance(value, str) else value for key, value in known.items()
    }
    return Bill(**{**usual, **money, **known})


def a_referral(kind: Any = "transfer", accepted: bool = True) -> Referral:
    """Transfer formalities."""
    return Referral(kind, "ZZ-2018-0001", accepted)


def a_decision(decision: Any = "pass", **known: Any) -> OfficeDecision:
    """A confirmed decision of the office."""
    usual = {"reason": "已核实", "legal_basis": "办公室会议纪要"}
    return OfficeDecision(decision, **{**usual, **known})


@cache
def luzhai_shelf() -> PackShelf:
    """The packs that are shipped."""
    return load_shelf(POLICIES)


@cache
def luzhai_2018() -> SettlementPack:
    """Luzhai's pack of 2018."""
    return load_pack(POLICIES / LUZHAI / "settlement" / "2018-01-01.yaml", POLICIES)


@cache
def shelf_with_2019() -> PackShelf:
    """Luzhai's pack of 2018, and a copy of it for 2019."""
    return Shelf([luzhai_2018(), *load_shelf(PROOF_PACKS).of_county(LUZHAI)])


def settled(
    bill: Bill | None = None,
    patient: Patient | None = None,
    institution: Institution | None = None,
    shelf: PackShelf | None = None,
    **more: Any,
) -> Outcome:
    """Settle an ordinary case but for what is given."""
    return settle(
        bill or a_bill(), [patient or a_patient()], institution or an_institution(), shelf or luzhai_shelf(), **more
    )


def codes(outcome: Outcome) -> list[str]:
    """The reasons, by code."""
    return [reason.code for reason in outcome.reasons]


def clauses(outcome: Outcome) -> list[str]:
    """The reasons, by clause."""
    return [reason.clause for reason in outcome.reasons]
