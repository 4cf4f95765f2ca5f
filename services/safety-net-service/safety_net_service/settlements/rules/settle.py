"""Settles one discharge bill: whose it is, under which packs, whether it may be paid, and who bears what."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from safety_net_service.settlements.rules.eligibility import (
    IN_NO_REGISTER,
    NO_IDENTITY,
    OF_THE_DATES,
    OF_THE_PERSON,
    Finding,
    Who,
    apply_decision,
    choose,
    judge,
)
from safety_net_service.settlements.rules.facts import (
    COUNTED_WITH_THE_BILL,
    UNKNOWN_KIND,
    Bill,
    Institution,
    OfficeDecision,
    Patient,
)
from safety_net_service.settlements.rules.outcome import Amounts, Outcome, Reason, Step
from safety_net_service.settlements.rules.pack import PackShelf
from safety_net_service.settlements.rules.shape import SettlementPack
from safety_net_service.settlements.rules.share import Shared, Sharing, year_share
from safety_net_service.settlements.rules.stay import Slice, cut, judging_pack, procedure

NOT_REGISTERED_YET = "医疗机构尚未登记，无法核实是否医保定点、是否在县内；登记后自动重新结算。"
# Where no pack applies there is no county text to quote; these two readings are the project's own.
NO_POLICY_QUOTE = "政策只管其施行期间；期间之外没有政策，既不支付，也不默认为零。"
WHOSE_COUNTY_QUOTE = "按病人登记所在县的政策；不在任何县登记的，按医疗机构所在县。"


def settle(
    bill: Bill,
    candidates: Sequence[Patient],
    institution: Institution,
    shelf: PackShelf,
    *,
    committed: Mapping[str, int] | None = None,
    decision: OfficeDecision | None = None,
) -> Outcome:
    """Settle a bill by the law of its dates.

    `candidates` are the residents, of whichever counties' registers, that the bill's identity number names, as of
    the admission date. `committed` gives for each fund limit named in a pack what that fund has already promised,
    in fen. `decision` is what the office decided and a second person confirmed. Amounts are fen; nothing is read
    but the arguments, so the same arguments give the same answer for ever.
    """
    residents = tuple(candidates)
    who = choose(bill, residents, institution, shelf)
    slices = cut(shelf, who.county_code, bill.admitted_on, bill.discharged_on)
    packs = _packs_looked_at(bill, residents, institution, shelf, who.county_code, slices)
    pack = judging_pack(slices)
    if pack is None:
        return _without_policy(bill, who, slices, packs)
    findings = judge(bill, who, institution, pack)
    shared: Shared | None = None
    if not any(each.certain for each in findings):
        decided_fen = decision.amount_fen if decision is not None and decision.decision == "pass" else None
        shared = Sharing(bill, institution, slices, pack, committed or {}, decided_fen).share_out()
        findings += shared.findings
    findings = apply_decision(findings, decision, pack)
    if shared is None or any(each.certain for each in findings):
        return _rejected(bill, who, pack, findings, packs)
    in_county = institution.county_code == who.county_code
    held = bool(findings)
    outcome = Outcome(
        decision="hold" if held else "pass",
        reasons=tuple(each.reason for each in findings),
        county_code=who.county_code,
        policy_version=pack.version,
        procedure=procedure(bill, pack, in_county),
        amounts=_nothing_paid(bill, pack.counted) if held else shared.amounts,
        if_passed=shared.amounts if held else None,
        years=() if held else shared.years,
        steps=(*shared.steps, *_decided(decision, pack), *(_against(each) for each in findings)),
        packs=packs,
        resident_id=who.patient.resident_id if who.patient is not None else None,
    )
    return _held_for_institution(outcome, pack) if institution.kind == UNKNOWN_KIND else outcome


def _held_for_institution(outcome: Outcome, pack: SettlementPack) -> Outcome:
    """Of an institution that stays unknown nobody can say whether it may be paid.

    Such a bill is held, whatever the office decided, until the institution is registered; what is certain against
    the bill or its patient rejects it all the same.
    """
    clause = pack.exclusions.get("not_designated", pack.eligible_clause)
    reason = Reason("evidence_missing", clause, pack.quote(clause), NOT_REGISTERED_YET)
    return replace(
        outcome,
        decision="hold",
        reasons=(*outcome.reasons, reason),
        amounts=replace(outcome.amounts, safety_net_fen=0, hospital_share_fen=0),
        if_passed=outcome.if_passed or outcome.amounts,
        years=(),
        steps=(*outcome.steps, Step(clause, reason.quote, "held", NOT_REGISTERED_YET, 0)),
    )


def _packs_looked_at(
    bill: Bill,
    residents: tuple[Patient, ...],
    institution: Institution,
    shelf: PackShelf,
    county_code: str,
    slices: tuple[Slice, ...],
) -> tuple[str, ...]:
    """Every pack that can have had a say. With these and the stored facts, a later shelf recomputes the same.

    `slices` are those of `county_code`, cut already.
    """
    counties = {each.county_code for each in residents} or {institution.county_code}
    versions: set[str] = set()
    for county in counties:
        pieces = slices if county == county_code else cut(shelf, county, bill.admitted_on, bill.discharged_on)
        versions.update(piece.pack.version for piece in pieces if piece.pack is not None)
    return tuple(sorted(versions))


def _nothing_paid(bill: Bill, counted: tuple[str, ...]) -> Amounts:
    return Amounts(bill, bill.counted_fen(counted), 0, 0)


def _without_policy(bill: Bill, who: Who, slices: tuple[Slice, ...], packs: tuple[str, ...]) -> Outcome:
    """No day of the stay has a pack: the whole is rejected, and the years show it (R-18). Never silently zero."""
    first_day, last_day = slices[0].first_day, slices[-1].last_day
    findings: list[Finding] = []
    if not bill.identity_given:
        reason = Reason("evidence_missing", "R-20", WHOSE_COUNTY_QUOTE, NO_IDENTITY)
        findings.append(Finding(OF_THE_PERSON, False, reason, office_may_pass=False))
    elif who.patient is None:
        reason = Reason("not_registered", "R-20", WHOSE_COUNTY_QUOTE, IN_NO_REGISTER)
        findings.append(Finding(OF_THE_PERSON, True, reason))
    detail = f"{who.county_code}县在住院期间（{first_day}至{last_day}）没有施行中的兜底政策。"
    findings.append(Finding(OF_THE_DATES, True, Reason("no_policy_in_force", "R-18", NO_POLICY_QUOTE, detail)))
    of_days = sum(each.days for each in slices)
    return Outcome(
        decision="reject",
        reasons=tuple(each.reason for each in findings),
        county_code=who.county_code,
        policy_version=None,
        procedure=None,
        amounts=_nothing_paid(bill, COUNTED_WITH_THE_BILL),
        if_passed=None,
        years=tuple(year_share(each, of_days) for each in slices),
        steps=tuple(_against(each) for each in findings),
        packs=packs,
        resident_id=who.patient.resident_id if who.patient is not None else None,
    )


def _rejected(bill: Bill, who: Who, pack: SettlementPack, findings: list[Finding], packs: tuple[str, ...]) -> Outcome:
    """Nothing is paid, and each reason stands there; a bill that is not shared out has no years."""
    return Outcome(
        decision="reject",
        reasons=tuple(each.reason for each in findings),
        county_code=who.county_code,
        policy_version=pack.version,
        procedure=None,
        amounts=_nothing_paid(bill, pack.counted),
        if_passed=None,
        years=(),
        steps=tuple(_against(each) for each in findings),
        packs=packs,
        resident_id=who.patient.resident_id if who.patient is not None else None,
    )


def _against(finding: Finding) -> Step:
    """What speaks against paying, as a line of the explanation."""
    reason = finding.reason
    return Step(reason.clause, reason.quote, "rejected" if finding.certain else "held", reason.detail, 0)


def _decided(decision: OfficeDecision | None, pack: SettlementPack) -> tuple[Step, ...]:
    """The office's word stands in the explanation beside the clauses."""
    if decision is None or decision.decision != "pass":
        return ()
    says = f"办公室决定予以救助：{decision.reason}（依据：{decision.legal_basis}）"
    return (Step(pack.eligible_clause, pack.quote(pack.eligible_clause), "decided", says, 0),)
