"""The shape of a settlement pack: a county's rules for sharing out a bill, as data.

Closed lists of what a pack may name stand here with their meaning; `pack` reads a file into this shape and refuses
everything else, `kernel` carries the steps out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from safety_net_service.settlements.rules.facts import COUNTED_WITH_THE_BILL
from shared.kit.policy import Place, Ratio

PAYERS: Final = ("safety_net",)
"""Who may pay by a step: the county's safety-net money (兜底资金)."""

AMOUNTS: Final = ("base", "in_scope", "out_of_scope", "counted", "personal", *COUNTED_WITH_THE_BILL)
"""What a step may start from or subtract. `personal` is what nobody has paid yet when the step's turn comes."""

FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "township_in_county": ("true", "false"),  # a township centre (乡镇卫生院) of the pack's own county: A3-23
    "in_county": ("true", "false"),  # an institution of the pack's own county
    "referred": ("true", "false"),  # transfer formalities that the insurer accepted
}

CATEGORIES: Final = ("registered_poor", "out_of_poverty_policy_kept", "out_of_poverty", "monitored")

EXCLUSIONS: Final[Mapping[str, int]] = {
    "outside_insured_scope": 5,
    "outpatient": 6,
    "excluded_cause": 7,
    "outside_mainland": 8,
    "insurance_suspended": 9,
    "not_designated": 10,
    "no_referral": 11,
    "not_covered_by_law": 12,
    "not_entitled": 13,
    "infant_without_documents": 14,
    "no_household_registration": 15,
    "other_by_law": 16,
}
"""The exclusions a pack may carry, with their order in the list that is shown."""


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A named parameter: a choice among readings this engine can follow, a number of months, or a day."""

    kind: Literal["choice", "months", "day"]
    choices: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()  # exclusions that cannot be judged without it; empty: every pack needs it
    in_when: bool = False  # a choice between steps; left out where no step asks for it


VALUES: Final[Mapping[str, ValueKind]] = {
    # What the promise is made on: everything on the receipt but meals and companion's bed.
    "base": ValueKind("choice", ("total_less_non_medical",)),
    # All money received for a bill never exceeds it.
    "received_guard": ValueKind("choice", ("never_above_the_bill",)),
    # How the days of a stay are counted.
    "days": ValueKind("choice", ("discharge_day_not_counted",)),
    # Days that fall outside every pack.
    "days_without_policy": ValueKind("choice", ("left_with_the_patient",)),
    # The admission date from which hospitals advance the money.
    "advance_from": ValueKind("day"),
    # Township centres: half of all the patient would pay, or half of what exceeds the promise.
    "township_base": ValueKind("choice", ("all_residual", "excess_over_10"), in_when=True),
    # Months of age before which a birth document stands in for household registration.
    "infant_months": ValueKind("months", (), ("infant_without_documents", "no_household_registration")),
    # Insurance stopped on some days of the stay, not on all.
    "suspended_in_part": ValueKind("choice", ("hold", "reject"), ("insurance_suspended",)),
    # Suicide or self-harm of a person with a severe mental disorder.
    "self_harm_with_mental_disorder": ValueKind("choice", ("hold", "reject"), ("excluded_cause",)),
    # An emergency at an institution that is not designated: spared by the exclusion, and by what is it paid?
    "emergency_not_designated": ValueKind("choice", ("formula_by_analogy",), ("not_designated",)),
}


@dataclass(frozen=True, slots=True)
class Value:
    """A named parameter as one pack sets it. `others` are the readings shown beside it in the explanation."""

    name: str
    value: str | int | date
    others: tuple[str, ...]
    clause: str


@dataclass(frozen=True, slots=True)
class Limit:
    """The most a fund gives out. Beyond it a bill waits (`hold`) or gets what is left (`cut`)."""

    name: str
    most_fen: int
    per: Literal["ever", "year"]
    short: Literal["hold", "cut"]
    clause: str


@dataclass(frozen=True, slots=True)
class Split:
    """A step's money shared by two: the payer's share rounded down to the fen, the rest to the other."""

    share: Ratio
    clause: str


@dataclass(frozen=True, slots=True)
class StepRule:
    """Who pays, of what, after what, how much, up to what, by which clause."""

    pay: str
    way: Literal["top_up", "rate", "office"]
    ratio: Ratio | None
    of: str
    less: tuple[str, ...]
    when: Mapping[str, tuple[str, ...]]
    limit: Limit | None
    split: Split | None
    clause: str
    place: Place

    def applies(self, facts: Mapping[str, str]) -> bool:
        """Whether all its conditions hold."""
        for fact, values in self.when.items():  # noqa: SIM110  (asked of every step of every bill)
            if facts[fact] not in values:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the law in the file, so that a report can ask which example would notice another one."""

    kind: Literal["ratio", "money", "months", "day"]
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class SettlementPack:
    """One county's settlement rules for the days from `first_day` to `last_day` (None: until replaced)."""

    version: str
    county_code: str
    source: str
    first_day: date
    last_day: date | None
    cut_by: Literal["days", "admission", "discharge"]
    dates_clause: str
    categories: tuple[str, ...]
    eligible_clause: str
    exclusions: Mapping[str, str]
    counted: tuple[str, ...]
    counted_clause: str
    values: Mapping[str, Value]
    steps: tuple[StepRule, ...]
    clauses: Mapping[str, str]
    numbers: tuple[Number, ...]
    place: Place

    def quote(self, clause: str) -> str:
        """The words of a clause this pack cites."""
        return self.clauses[clause]

    def clause_of(self, value: str) -> str:
        """The clause that a named parameter rests on."""
        return self.values[value].clause

    def choice(self, value: str) -> str:
        """The reading that a named parameter takes."""
        return str(self.values[value].value)

    def months(self, value: str) -> int:
        """A parameter counted in months."""
        found = self.values[value].value
        if not isinstance(found, int):
            raise TypeError(f"{value} is not a number of months")
        return found

    def day(self, value: str) -> date:
        """A parameter that is a day."""
        found = self.values[value].value
        if not isinstance(found, date):
            raise TypeError(f"{value} is not a day")
        return found
