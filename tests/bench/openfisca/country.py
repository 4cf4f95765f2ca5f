"""Luzhai's settlement of 2018 as an OpenFisca country package: the sums of A3-20 and A3-23, and who is excluded.

It is told what our rules find out for themselves from dated histories (designated on the day, insured on the day, days
of suspension, months of age). It gives sums in fen and no explanation.
"""

from collections.abc import Callable
from typing import Any

from numpy import isin, maximum, minimum, where
from openfisca_core.entities import build_entity
from openfisca_core.parameters import ParameterNode
from openfisca_core.periods import DateUnit
from openfisca_core.taxbenefitsystems import TaxBenefitSystem
from openfisca_core.variables import Variable

BILL = build_entity(key="bill", plural="bills", label="A discharge bill", is_person=True)
SUMS = (
    *("total", "non_medical", "basic_insurance", "critical_illness", "supplementary_insurance"),
    *("medical_assistance", "government_topup", "other"),
)
FLAGS = (
    *("outpatient", "outside_mainland", "designated", "emergency", "outside_county", "referral_accepted"),
    *("township_centre", "resident_insured", "household_registration", "birth_document"),
)
COUNTS = ("stay_days", "suspended_days", "months_of_age")
TEXTS = ("cause", "poverty_category")
CAUSES = (
    *("crime", "intoxication", "fight", "suicide_or_self_harm", "drug_use", "injured_by_others"),
    *("medicine_not_as_ordered", "traffic_accident", "medical_malpractice", "cosmetic"),
)
NOT_BY_LAW = ("work_injury", "public_health")
ELIGIBLE = ("registered_poor", "out_of_poverty_policy_kept")


def variable(name: str, kind: type, formula: Callable[..., Any] | None = None) -> type:
    """A variable that is told or, with a formula, computed."""
    known = {"value_type": kind, "entity": BILL, "definition_period": DateUnit.MONTH}
    return type(name, (Variable,), known if formula is None else {**known, "formula": formula})


def base_fen(bill: Any, period: Any) -> Any:
    """R-01."""
    return bill("total_fen", period) - bill("non_medical_fen", period)


def counted_fen(bill: Any, period: Any) -> Any:
    """A3-21."""
    return (
        bill("basic_insurance_fen", period)
        + bill("critical_illness_fen", period)
        + bill("supplementary_insurance_fen", period)
        + bill("medical_assistance_fen", period)
        + bill("government_topup_fen", period)
    )


def eligible(bill: Any, period: Any) -> Any:
    """A3-04."""
    return isin(bill("poverty_category", period), ELIGIBLE)


def excluded_outpatient(bill: Any, period: Any) -> Any:
    """A3-06."""
    return bill("outpatient", period)


def excluded_cause(bill: Any, period: Any) -> Any:
    """A3-07."""
    return isin(bill("cause", period), CAUSES)


def excluded_place(bill: Any, period: Any) -> Any:
    """A3-08."""
    return bill("outside_mainland", period)


def excluded_suspended(bill: Any, period: Any) -> Any:
    """A3-09."""
    return bill("suspended_days", period) == bill("stay_days", period)


def excluded_not_designated(bill: Any, period: Any) -> Any:
    """A3-10."""
    return ~bill("designated", period) & ~bill("emergency", period)


def excluded_no_referral(bill: Any, period: Any) -> Any:
    """A3-11."""
    return bill("designated", period) & bill("outside_county", period) & ~bill("referral_accepted", period)


def excluded_by_law(bill: Any, period: Any) -> Any:
    """A3-12."""
    return isin(bill("cause", period), NOT_BY_LAW)


def excluded_not_entitled(bill: Any, period: Any) -> Any:
    """A3-13."""
    return ~bill("resident_insured", period)


def excluded_papers(bill: Any, period: Any, parameters: Any) -> Any:
    """A3-14 and A3-15."""
    infant = bill("months_of_age", period) < parameters(period).settlement.infant_months
    return ~bill("household_registration", period) & (~infant | ~bill("birth_document", period))


EXCLUSIONS = (
    excluded_outpatient,
    excluded_cause,
    excluded_place,
    excluded_suspended,
    excluded_not_designated,
    excluded_no_referral,
    excluded_by_law,
    excluded_not_entitled,
    excluded_papers,
)


def passes(bill: Any, period: Any) -> Any:
    """Eligible and by nothing excluded."""
    found = bill("eligible", period)
    for each in EXCLUSIONS:
        found = found & ~bill(each.__name__, period)
    return found


def award_fen(bill: Any, period: Any, parameters: Any) -> Any:
    """A3-20, half up to the fen; in a township centre of the county all that is left (A3-23, R-09)."""
    base, counted = bill("base_fen", period), bill("counted_fen", period)
    percent = parameters(period).settlement.target_percent
    top_up = (base * percent + 50) // 100 - counted
    return maximum(where(bill("township_centre", period), base - counted, top_up), 0)


def guarded_fen(bill: Any, period: Any) -> Any:
    """R-08: what is received never exceeds the bill."""
    room = bill("total_fen", period) - bill("counted_fen", period) - bill("other_fen", period)
    return minimum(bill("award_fen", period), room) * bill("passes", period)


def safety_net_fen(bill: Any, period: Any, parameters: Any) -> Any:
    """A3-23, R-11: the odd fen is the township centre's."""
    award, share = bill("guarded_fen", period), parameters(period).settlement.township_percent
    return where(bill("township_centre", period), award * share // 100, award)


def hospital_share_fen(bill: Any, period: Any) -> Any:
    """The rest of the split."""
    return bill("guarded_fen", period) - bill("safety_net_fen", period)


def system() -> Any:
    """The country package."""
    made = TaxBenefitSystem([BILL])
    for name in SUMS:
        made.add_variable(variable(f"{name}_fen", int))
    for names, kind in ((FLAGS, bool), (COUNTS, int), (TEXTS, str)):
        for name in names:
            made.add_variable(variable(name, kind))
    for formula in (base_fen, counted_fen, award_fen, guarded_fen, safety_net_fen, hospital_share_fen):
        made.add_variable(variable(formula.__name__, int, formula))
    for formula in (eligible, *EXCLUSIONS, passes):
        made.add_variable(variable(formula.__name__, bool, formula))

    def since_2018(value: int) -> dict[str, Any]:
        return {"values": {"2018-01-01": {"value": value}}}

    law = {"target_percent": since_2018(90), "township_percent": since_2018(50), "infant_months": since_2018(12)}
    made.parameters = ParameterNode("", data={"settlement": law})
    return made
