"""What the rules are told: the bill, the people it may be about, the institution, what the office decided.

All of it is as of the admission date and without names or identity numbers: a stored settlement can be recomputed
from these facts alone. Periods are inclusive at both ends; an open end is None. Amounts are whole fen.
"""

import re
from dataclasses import dataclass, fields
from datetime import date
from typing import Final, Literal

COUNTED_WITH_THE_BILL: Final = (
    "basic_insurance",
    "critical_illness",
    "supplementary_insurance",
    "medical_assistance",
    "government_topup",
)
"""What other payers have already given, as the bill names it; `other` (charity, temporary relief) is not among it."""

_FEN: Final = {name: f"{name}_fen" for name in COUNTED_WITH_THE_BILL}


@dataclass(frozen=True, slots=True)
class Span:
    """Some days, both ends inclusive."""

    first: date
    last: date | None = None

    def covers(self, day: date) -> bool:
        """Whether that day lies in it."""
        return self.first <= day and (self.last is None or day <= self.last)


@dataclass(frozen=True, slots=True)
class PovertySpan(Span):
    """How the poverty register classes a resident for some days (建档立卡)."""

    category: str = "registered_poor"


@dataclass(frozen=True, slots=True)
class InsuranceSpan(Span):
    """A resident's insurance (参保) for some days, and the days in it on which it was stopped (停保)."""

    scheme: str = "resident"
    suspended: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Patient:
    """A resident of one county's register whom the bill's identity number names.

    `name_matches` says whether the name on the bill is his (NFKC, without spaces and ·); `identity_types` are the
    types of all identities he has, because a birth certificate or permit counts as a birth document (A3-14).
    """

    resident_id: str
    county_code: str
    birth_date: date
    poverty: tuple[PovertySpan, ...] = ()
    insurance: tuple[InsuranceSpan, ...] = ()
    household_registration: bool = True
    birth_document: str | None = None
    identity_types: tuple[str, ...] = ("resident_id",)
    severe_mental_disorder: bool = False
    name_matches: bool = True


UNKNOWN_KIND: Final = "unknown"
"""The kind of an institution that nobody has registered (yet)."""


@dataclass(frozen=True, slots=True)
class Institution:
    """Where the patient was treated, and since when it is designated by the insurance (医保定点)."""

    institution_code: str
    kind: str
    county_code: str
    designated: tuple[Span, ...] = ()

    def is_designated(self, day: date) -> bool:
        """Whether it was designated that day."""
        return any(span.covers(day) for span in self.designated)


@dataclass(frozen=True, slots=True)
class Referral:
    """Transfer formalities (转诊转院手续), or a filing the insurer may have accepted in their stead (R-22, R-23)."""

    kind: Literal["transfer", "emergency_filing", "residence_filing"]
    number: str
    accepted_by_insurer: bool


@dataclass(frozen=True, slots=True)
class Bill:
    """One discharge bill. `identity_given` is False for a newborn who has no number yet."""

    admitted_on: date
    discharged_on: date
    total_fen: int
    in_scope_fen: int
    non_medical_fen: int = 0
    basic_insurance_fen: int = 0
    critical_illness_fen: int = 0
    supplementary_insurance_fen: int = 0
    medical_assistance_fen: int = 0
    government_topup_fen: int = 0
    other_fen: int = 0
    care_setting: str = "inpatient"
    emergency: bool = False
    pay_later_agreement_no: str | None = None
    diagnoses: tuple[str, ...] = ()
    cause: str = "illness"
    place: str = "mainland"
    referral: Referral | None = None
    identity_given: bool = True

    def __post_init__(self) -> None:
        """Refuse what intake must never let through: the rules would answer nonsense."""
        for name in _AMOUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative")
        if self.discharged_on < self.admitted_on:
            raise ValueError("the discharge lies before the admission")
        if self.total_fen == 0:
            raise ValueError("a bill of 0.00 has nothing to settle")
        if max(self.non_medical_fen, self.in_scope_fen) > self.total_fen:
            raise ValueError("a part of the bill is more than the whole")
        if self.received_fen > self.total_fen:
            raise ValueError("more was received than the bill comes to")

    def given_fen(self, name: str) -> int:
        """What one payer has given, as the bill names it."""
        given: int = getattr(self, _FEN[name])
        return given

    def counted_fen(self, names: tuple[str, ...]) -> int:
        """What the named payers have given."""
        return sum([getattr(self, _FEN[name]) for name in names])

    @property
    def base_fen(self) -> int:
        """The cost the promise is made on: the receipt without meals and companion's bed (R-01)."""
        return self.total_fen - self.non_medical_fen

    @property
    def received_fen(self) -> int:
        """Everything received for this bill from whomever, `other` included (R-08)."""
        return (
            self.basic_insurance_fen
            + self.critical_illness_fen
            + self.supplementary_insurance_fen
            + self.medical_assistance_fen
            + self.government_topup_fen
            + self.other_fen
        )


_AMOUNTS: Final = tuple(field.name for field in fields(Bill) if field.name.endswith("_fen"))

RULES_BY_OFFICE: Final = {"A3-05": "outside_insured_scope", "A3-16": "other_by_law"}
"""The two exclusions that only the office can state."""


@dataclass(frozen=True, slots=True)
class OfficeDecision:
    """What the office decided on a settlement, confirmed by a second person.

    `rule` is A3-05 or A3-16 when a rejection names one of them; `amount_fen` is the sum granted where the county's
    text has no formula (None grants the most it can be).
    """

    decision: Literal["pass", "reject"]
    reason: str
    legal_basis: str
    rule: str | None = None
    amount_fen: int | None = None

    def __post_init__(self) -> None:
        """Only two rules wait for the office's word."""
        if self.rule is not None and self.rule not in RULES_BY_OFFICE:
            raise ValueError(f"{self.rule} is not a rule that the office may state")


def rule_named_in(legal_basis: str) -> str | None:
    """The rule of RULES_BY_OFFICE that an office's legal basis names by its id, if it names one."""
    found = [rule for rule in RULES_BY_OFFICE if re.search(rf"(?<![A-Za-z0-9]){rule}(?![0-9a-z])", legal_basis)]
    return found[0] if len(found) == 1 else None
