"""What the rules answer: who bears what of a bill, by which clause, and what was not paid and why."""

from dataclasses import dataclass
from typing import Any, Literal

from safety_net_service.settlements.rules.facts import Bill
from shared.kit.money import ratio4, yuan

Decision = Literal["pass", "reject", "hold"]
Procedure = Literal["joint_review", "hospital_advance", "insurance_window"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a bill is not simply paid: a stable code, the clause with its words, and the sentence for the clerk."""

    code: str
    clause: str
    quote: str
    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the explanation."""

    clause: str
    quote: str
    step: str
    says: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Amounts:
    """A bill shared out among its payers. Everything but the two shares comes with the bill or is derived from it."""

    bill: Bill
    reimbursed_fen: int
    safety_net_fen: int
    hospital_share_fen: int

    @property
    def personal_fen(self) -> int:
        """What the payers of the formula leave: derived, never rounded again (R-12)."""
        return self.bill.total_fen - self.reimbursed_fen - self.safety_net_fen - self.hospital_share_fen

    @property
    def patient_pays_fen(self) -> int:
        """The cash at the window: `personal` without what charity or relief already paid."""
        return self.bill.total_fen - self.bill.received_fen - self.safety_net_fen - self.hospital_share_fen

    @property
    def borne_fen(self) -> int:
        """What others than the patient bear."""
        return self.reimbursed_fen + self.safety_net_fen + self.hospital_share_fen


@dataclass(frozen=True, slots=True)
class YearShare:
    """The part of a stay that falls into one policy period, or into days without a policy."""

    year: int
    days: int
    of_days: int
    safety_net_fen: int
    hospital_share_fen: int
    policy_version: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of the rules to one bill.

    `packs` names every pack that was looked at: together with the stored inputs it is all that recomputing needs.
    `resident_id` is the resident who was judged, None when nobody in any register bears the number.
    """

    decision: Decision
    reasons: tuple[Reason, ...]
    county_code: str
    policy_version: str | None
    procedure: Procedure | None
    amounts: Amounts
    if_passed: Amounts | None
    years: tuple[YearShare, ...]
    steps: tuple[Step, ...]
    packs: tuple[str, ...]
    resident_id: str | None


def amounts_to_json(amounts: Amounts) -> dict[str, str]:
    """The amounts in the order in which the payers stand."""
    bill = amounts.bill
    return {
        "total": yuan(bill.total_fen),
        "base": yuan(bill.base_fen),
        "basic_insurance": yuan(bill.basic_insurance_fen),
        "critical_illness": yuan(bill.critical_illness_fen),
        "supplementary_insurance": yuan(bill.supplementary_insurance_fen),
        "medical_assistance": yuan(bill.medical_assistance_fen),
        "other": yuan(bill.other_fen),
        "reimbursed": yuan(amounts.reimbursed_fen),
        "government_topup": yuan(bill.government_topup_fen),
        "safety_net": yuan(amounts.safety_net_fen),
        "hospital_share": yuan(amounts.hospital_share_fen),
        "personal": yuan(amounts.personal_fen),
        "patient_pays": yuan(amounts.patient_pays_fen),
    }


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """The settlement as the public contract shows it, without what the service adds (ids, version, state)."""
    amounts = outcome.amounts
    return {
        "decision": outcome.decision,
        "reasons": [
            {"code": each.code, "clause": each.clause, "quote": each.quote, "detail": each.detail}
            for each in outcome.reasons
        ],
        "policy": {"county_code": outcome.county_code, "pack": "settlement", "version": outcome.policy_version},
        "procedure": outcome.procedure,
        "amounts": amounts_to_json(amounts),
        "if_passed": None if outcome.if_passed is None else amounts_to_json(outcome.if_passed),
        "actual_reimbursement_ratio": ratio4(amounts.borne_fen, amounts.bill.base_fen),
        "ratio_of_receipt": ratio4(amounts.borne_fen, amounts.bill.total_fen),
        "years": [
            {
                "year": row.year,
                "days": row.days,
                "of_days": row.of_days,
                "safety_net": yuan(row.safety_net_fen),
                "hospital_share": yuan(row.hospital_share_fen),
                "policy_version": row.policy_version,
                "reason": row.reason,
            }
            for row in outcome.years
        ],
        "steps": [
            {
                "clause": step.clause,
                "quote": step.quote,
                "step": step.step,
                "says": step.says,
                "amount": yuan(step.amount_fen),
            }
            for step in outcome.steps
        ],
    }
