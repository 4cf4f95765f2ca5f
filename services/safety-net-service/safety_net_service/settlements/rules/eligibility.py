"""Whether a bill may be paid at all: the person, the institution, the cause, the papers, each by its clause.

Every exclusion answers in three ways: it does not apply, it applies for certain (reject), or a person must look
(hold). All that apply are listed in the order of the clauses; a certain one beats a hold.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from safety_net_service.settlements.rules.facts import (
    RULES_BY_OFFICE,
    Bill,
    Institution,
    OfficeDecision,
    Patient,
)
from safety_net_service.settlements.rules.outcome import Reason
from safety_net_service.settlements.rules.pack import PackShelf
from safety_net_service.settlements.rules.shape import CATEGORIES, EXCLUSIONS, SettlementPack
from safety_net_service.settlements.rules.stay import cut, judging_pack, last_counted_day, months_of_age

OF_THE_PERSON: Final = 4
OF_THE_FORMULA: Final = 17
OF_THE_DATES: Final = 18
OF_THE_FUND: Final = 19

EXCLUDED_CAUSES: Final = {
    "crime": "违法犯罪",
    "intoxication": "酗酒",
    "fight": "斗殴",
    "suicide_or_self_harm": "自杀、自残",
    "drug_use": "吸毒",
    "injured_by_others": "他伤",
    "medicine_not_as_ordered": "未按医嘱用药受到的伤害",
    "traffic_accident": "交通事故",
    "medical_malpractice": "医疗事故",
    "cosmetic": "整形整容",
}
NOT_COVERED_BY_LAW: Final = {"work_injury": "工伤", "public_health": "公共卫生"}
BIRTH_PAPERS: Final = ("birth_certificate", "birth_permit")

NO_IDENTITY: Final = "病人没有身份号码，须由医院更正后才能核对身份。"
IN_NO_REGISTER: Final = "身份号码不在任何县的建档立卡登记中。"

# Schizophrenia and other psychoses (F20-F29), bipolar disorder (F31).
_SEVERE_MENTAL_DISORDER: Final = re.compile(r"F(2[0-9]|31)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found against paying: `certain` rejects, else a person must look.

    `office_may_pass` is False where the office's word cannot supply what is missing (whose bill it is, money).
    """

    order: int
    certain: bool
    reason: Reason
    office_may_pass: bool = True


@dataclass(frozen=True, slots=True)
class Who:
    """Whose bill it is, and so whose county's packs apply."""

    patient: Patient | None
    county_code: str
    in_two_counties: bool = False


def choose(bill: Bill, candidates: tuple[Patient, ...], institution: Institution, shelf: PackShelf) -> Who:
    """The one of several counties' residents whose poverty covers the admission; nobody: the institution's county."""
    if not bill.identity_given or not candidates:
        return Who(None, institution.county_code)
    # The institution's county first, so that the choice never hangs on the order of arrival.
    ordered = sorted(
        candidates, key=lambda each: (each.county_code != institution.county_code, each.county_code, each.resident_id)
    )
    if len(ordered) == 1:
        return Who(ordered[0], ordered[0].county_code)
    poor = [each for each in ordered if is_poor(each, bill.admitted_on, _categories(each, bill, shelf))]
    chosen = poor[0] if poor else ordered[0]
    return Who(chosen, chosen.county_code, in_two_counties=len(poor) > 1)


def _categories(patient: Patient, bill: Bill, shelf: PackShelf) -> tuple[str, ...]:
    pack = judging_pack(cut(shelf, patient.county_code, bill.admitted_on, bill.discharged_on))
    return CATEGORIES if pack is None else pack.categories


def is_poor(patient: Patient, day: date, categories: tuple[str, ...]) -> bool:
    """Whether the resident was registered poor with an entitling category that day (R-19)."""
    return any(span.category in categories and span.covers(day) for span in patient.poverty)


def judge(bill: Bill, who: Who, institution: Institution, pack: SettlementPack) -> list[Finding]:
    """Everything that stands against paying this bill under this pack, in the order of the clauses."""
    case = _Case(bill, who, institution, pack)
    findings = [*case.person(), *case.bill_and_institution(), *case.rights_of_person()]
    return sorted(findings, key=lambda each: each.order)


@dataclass(frozen=True, slots=True)
class _Case:
    bill: Bill
    who: Who
    institution: Institution
    pack: SettlementPack

    def found(self, code: str, detail: str, certain: bool = True, show_as: str | None = None) -> Iterator[Finding]:
        """The exclusion `code`, if this county's pack has it."""
        clause = self.pack.exclusions.get(code)
        if clause is not None:
            reason = Reason(show_as or code, clause, self.pack.quote(clause), detail)
            yield Finding(EXCLUSIONS[code], certain, reason)

    def of_person(self, code: str, detail: str, certain: bool, office_may_pass: bool = True) -> Finding:
        clause = self.pack.eligible_clause
        reason = Reason(code, clause, self.pack.quote(clause), detail)
        return Finding(OF_THE_PERSON, certain, reason, office_may_pass)

    def person(self) -> Iterator[Finding]:
        """A3-04: is there a resident, is it he, was he poor on the admission date (R-19, R-20)?"""
        patient, day = self.who.patient, self.bill.admitted_on
        if not self.bill.identity_given:
            yield self.of_person("evidence_missing", NO_IDENTITY, False, False)
            return
        if patient is None:
            yield self.of_person("not_registered", IN_NO_REGISTER, True)
            return
        if not patient.name_matches:
            yield self.of_person("evidence_missing", "账单上的姓名与登记的姓名不一致，须人工核对。", False)
        if self.who.in_two_counties:
            yield self.of_person("evidence_missing", f"入院日（{day}）在两个县同时登记为贫困人口，须人工核对。", False)
        elif not is_poor(patient, day, self.pack.categories):
            yield self.of_person("not_registered", f"入院日（{day}）不在享受扶贫政策的建档立卡期间内。", True)

    def bill_and_institution(self) -> Iterator[Finding]:
        """A3-06 to A3-08, A3-10 to A3-12: what the bill and the institution say of themselves."""
        bill, institution = self.bill, self.institution
        if bill.care_setting == "outpatient":
            yield from self.found("outpatient", "门诊费用不在救助范围内。")
        yield from self.cause()
        if bill.place != "mainland":
            yield from self.found("outside_mainland", "在国外或港、澳、台地区就医的费用不在救助范围内。")
        designated = institution.is_designated(bill.admitted_on)
        if not designated and not bill.emergency:
            yield from self.found(
                "not_designated", f"医疗机构在入院日（{bill.admitted_on}）不是医保定点，也非急救、抢救。"
            )
        transferred = bill.referral is not None and bill.referral.accepted_by_insurer
        if designated and institution.county_code != self.who.county_code and not transferred:
            yield from self.found("no_referral", "在县外定点医院住院，没有经医保经办机构认可的转诊转院（或备案）手续。")
        if bill.cause in NOT_COVERED_BY_LAW:
            detail = f"{NOT_COVERED_BY_LAW[bill.cause]}的费用依法不由医疗保险支付。"
            yield from self.found("not_covered_by_law", detail)

    def cause(self) -> Iterator[Finding]:
        """A3-07 and its doubts: a mental disorder behind self-harm (R-45), the text's 等, a cause nobody knows."""
        cause = self.bill.cause
        if cause in EXCLUDED_CAUSES:
            certain = True
            detail = f"{EXCLUDED_CAUSES[cause]}所致的费用不在救助范围内。"
            if cause == "suicide_or_self_harm" and self.has_severe_mental_disorder():
                certain = self.pack.choice("self_harm_with_mental_disorder") == "reject"
                detail = "自杀、自残，但病人患有严重精神障碍，须人工决定。" if not certain else detail
            yield from self.found("excluded_cause", detail, certain)
        elif cause == "other_excluded":
            yield from self.found("excluded_cause", "医院报为条文“等”字所指的其他情形，须人工决定。", certain=False)
        elif cause == "unknown":
            yield from self.found("excluded_cause", "致病或受伤的原因不明，须查明后决定。", False, "evidence_missing")

    def has_severe_mental_disorder(self) -> bool:
        known = self.who.patient is not None and self.who.patient.severe_mental_disorder
        return known or any(_SEVERE_MENTAL_DISORDER.match(code.strip()) for code in self.bill.diagnoses)

    def rights_of_person(self) -> Iterator[Finding]:
        """A3-09, A3-13 to A3-15: insurance and papers. Of somebody not known for certain nothing can be said."""
        patient, day = self.who.patient, self.bill.admitted_on
        if patient is None or self.who.in_two_counties:
            return
        yield from self.suspended(patient)
        if not any(span.scheme == "resident" and span.covers(day) for span in patient.insurance):
            yield from self.found("not_entitled", f"入院日（{day}）不享受城乡居民基本医疗保险待遇。")
        yield from self.papers(patient, day)

    def suspended(self, patient: Patient) -> Iterator[Finding]:
        """A3-09: cost of days on which the insurance was stopped; all days reject, some must be looked at (R-49)."""
        first_day = self.bill.admitted_on
        last_day = last_counted_day(first_day, self.bill.discharged_on)
        count, stopped = (last_day - first_day).days + 1, suspended_days(patient, first_day, last_day)
        if stopped == count:
            yield from self.found("insurance_suspended", f"住院的{count}天医疗保险均已停保。")
        elif stopped:
            certain = self.pack.choice("suspended_in_part") == "reject"
            yield from self.found("insurance_suspended", f"住院{count}天中有{stopped}天医疗保险停保。", certain)

    def papers(self, patient: Patient, day: date) -> Iterator[Finding]:
        """A3-14, A3-15: the age at the admission decides which paper must be there."""
        if patient.household_registration:
            return
        if day < patient.birth_date:
            detail = f"登记的出生日期晚于入院日（{day}），须人工核对。"
            yield from self.found("infant_without_documents", detail, False, "evidence_missing")
            return
        months, limit = months_of_age(patient.birth_date, day), self.pack.values.get("infant_months")
        if limit is None:
            return
        if months >= self.pack.months("infant_months"):
            yield from self.found("no_household_registration", f"入院时满{limit.value}个月，未办理户籍登记。")
        elif patient.birth_document is None and not any(kind in BIRTH_PAPERS for kind in patient.identity_types):
            detail = f"入院时未满{limit.value}个月，既未办理户籍登记，又无准生证明或出生医学证明。"
            yield from self.found("infant_without_documents", detail)


def suspended_days(patient: Patient, first_day: date, last_day: date) -> int:
    """How many of these days; a day in two suspensions counts once. A stay of centuries takes no longer than one."""
    cut_to_stay = sorted(
        (
            max(first_day, span.first, stop.first).toordinal(),
            min(last_day, span.last or last_day, stop.last or last_day).toordinal(),
        )
        for span in patient.insurance
        if span.scheme == "resident"
        for stop in span.suspended
    )
    days, reached = 0, 0
    for first, last in cut_to_stay:
        days += max(0, last - max(first - 1, reached))
        reached = max(reached, last)
    return days


class DecisionWithoutLaw(ValueError):
    """The office rejects, but neither a doubt nor a rule it names speaks against the bill."""


def apply_decision(findings: list[Finding], decision: OfficeDecision | None, pack: SettlementPack) -> list[Finding]:
    """What is left of the findings after the office has spoken.

    A pass settles every doubt its word can settle and no certain exclusion; a rejection turns the doubts into
    reasons and may name A3-05 or A3-16.
    """
    if decision is None:
        return findings
    if decision.decision == "pass":
        return [each for each in findings if each.certain or not each.office_may_pass]
    said = f"办公室决定不予救助：{decision.reason}（依据：{decision.legal_basis}）"
    decided = [each if each.certain else _made_certain(each, said) for each in findings]
    if decision.rule is not None:
        code = RULES_BY_OFFICE[decision.rule]
        clause = pack.exclusions.get(code)
        if clause is None:
            raise DecisionWithoutLaw(f"{pack.version} has no rule {decision.rule}")
        decided.append(Finding(EXCLUSIONS[code], True, Reason(code, clause, pack.quote(clause), said)))
    if not decided:
        raise DecisionWithoutLaw("the rejection names no rule, and nothing else speaks against the bill")
    return sorted(decided, key=lambda each: each.order)


def _made_certain(finding: Finding, said: str) -> Finding:
    reason = replace(finding.reason, detail=f"{finding.reason.detail}{said}")
    return replace(finding, certain=True, reason=reason)
