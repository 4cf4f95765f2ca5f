"""The office decides what the rules leave to it: one person proposes, another confirms.

What was decided stands until the bill is corrected: a correction is another content, is judged anew, and the lapsed
decision is named in the audit trail. A change in the registry is judged with the decision (`settlements.service`).
"""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.models import Bill
from safety_net_service.decisions.models import OfficeDecisionRow
from safety_net_service.decisions.repository import Decisions
from safety_net_service.decisions.schemas import DecisionBody, DecisionRead
from safety_net_service.errors import (
    AlreadyClaimed,
    DecisionClosed,
    DecisionOpen,
    DecisionWithoutEffect,
    NotHeld,
    SamePerson,
    SettlementSuperseded,
    SettlementVoided,
)
from safety_net_service.settlements import service as settlements
from safety_net_service.settlements.models import LIVE, Settlement
from safety_net_service.settlements.rules import (
    DecisionWithoutLaw,
    Inputs,
    OfficeDecision,
    Outcome,
    differences,
    inputs_from_json,
    rule_named_in,
)
from safety_net_service.settlements.service import Law
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.problems import FieldError, Invalid, NotFound

RULES = {"outside_insured_scope": "A3-05", "other_by_law": "A3-16"}
EXCLUSIONS = {rule: exclusion for exclusion, rule in RULES.items()}


async def propose(
    session: AsyncSession, caller: Caller, settlement_id: UUID, body: DecisionBody, law: Law
) -> OfficeDecisionRow:
    """Put a decision before its second person, after seeing that it can have the effect it says."""
    if errors := _contradictions(body):
        raise Invalid(errors)
    bill, settlement = await _standing(session, caller, settlement_id)
    rule = _rule(body, settlement)
    if body.decision == "pass" and settlement.state != "held" and not _rejected_by_office(settlement):
        raise NotHeld
    known = await Decisions(session).of_settlement(settlement.county_code, settlement_id)
    if any(decision.state == "proposed" for decision in known):
        raise DecisionOpen
    decision = OfficeDecisionRow(
        county_code=settlement.county_code,
        settlement_id=settlement_id,
        decision=body.decision,
        rule=rule,
        amount_fen=body.amount,
        reason=body.reason,
        legal_basis=body.legal_basis,
        state="proposed",
        proposed_by=caller.subject,
    )
    await _judged(session, bill, settlement, decision, law)
    session.add(decision)
    await session.flush()
    detail = {"settlement_id": str(settlement_id), "decision": body.decision, "rule": rule}
    record(session, caller, "proposed", "decision", decision.decision_id, detail)
    return decision


async def confirm(
    session: AsyncSession, caller: Caller, settlement_id: UUID, decision_id: UUID, law: Law
) -> tuple[OfficeDecisionRow, Settlement]:
    """A second person confirms: the decided settlement takes the place of the one that stood.

    Confirming again is answered with what stands; the proposer can't confirm.
    """
    decision = await _found(session, caller, settlement_id, decision_id)
    if decision.proposed_by == caller.subject:
        raise SamePerson
    if decision.decided_settlement_id is not None and decision.closed_by == caller.subject:
        return decision, await settlements.read(session, caller, decision.decided_settlement_id)
    if decision.state != "proposed":
        raise DecisionClosed
    bill, settlement = await _standing(session, caller, settlement_id)
    # Read before the lock was had: another confirmation may have come first.
    await session.refresh(decision)
    if decision.state != "proposed":
        raise DecisionClosed
    inputs, outcome = await _judged(session, bill, settlement, decision, law)
    decided = await settlements.keep(
        session, bill, settlement, inputs, outcome, by=caller, cause="decision", decision_id=decision_id
    )
    decision.state, decision.decided_settlement_id = "confirmed", decided.settlement_id
    decision.closed_by, decision.closed_at = caller.subject, clock.now()
    record(session, caller, "confirmed", "decision", decision_id, {"settlement_id": str(decided.settlement_id)})
    return decision, decided


async def withdraw(session: AsyncSession, caller: Caller, settlement_id: UUID, decision_id: UUID) -> OfficeDecisionRow:
    """Take back a decision nobody has confirmed, or send it back; doing it again changes nothing."""
    decision = await _found(session, caller, settlement_id, decision_id)
    await settlements.locked(session, caller, settlement_id)
    await session.refresh(decision)
    if decision.state == "confirmed":
        raise DecisionClosed
    if decision.state == "proposed":
        decision.state, decision.closed_by, decision.closed_at = "withdrawn", caller.subject, clock.now()
        record(session, caller, "withdrawn", "decision", decision_id)
    return decision


async def list_of(session: AsyncSession, caller: Caller, settlement_id: UUID) -> list[OfficeDecisionRow]:
    """Every decision on a settlement, newest first."""
    settlement = await settlements.read(session, caller, settlement_id)
    return await Decisions(session).of_settlement(settlement.county_code, settlement_id)


async def read(session: AsyncSession, caller: Caller, settlement_id: UUID, decision_id: UUID) -> OfficeDecisionRow:
    """One decision. Reading it is audited."""
    found = await _found(session, caller, settlement_id, decision_id)
    record(session, caller, "read", "decision", decision_id, {"settlement_id": str(settlement_id)})
    return found


def shown(decision: OfficeDecisionRow) -> DecisionRead:
    """A decision as it is read."""
    return DecisionRead(
        decision_id=decision.decision_id,
        settlement_id=decision.settlement_id,
        decision=decision.decision,
        exclusion=EXCLUSIONS[decision.rule] if decision.rule else None,
        amount=decision.amount_fen,
        reason=decision.reason,
        legal_basis=decision.legal_basis,
        state=decision.state,
        proposed_by=decision.proposed_by,
        proposed_at=decision.proposed_at,
        closed_by=decision.closed_by,
        closed_at=decision.closed_at,
        decided_settlement_id=decision.decided_settlement_id,
    )


def _contradictions(body: DecisionBody) -> list[FieldError]:
    errors = []
    if body.decision == "pass" and body.exclusion is not None:
        errors.append(FieldError("/exclusion", "exclusion_of_a_pass", "决定予以救助时不能同时援引除外情形。"))
    if body.decision == "reject" and body.amount is not None:
        errors.append(FieldError("/amount", "amount_of_a_rejection", "决定不予救助时不能核定金额。"))
    return errors


def _rejected_by_office(settlement: Settlement) -> bool:
    """What the office itself rejected it may also pass: it takes its own word back."""
    return settlement.state == "rejected" and settlement.decision_id is not None


def _rule(body: DecisionBody, settlement: Settlement) -> str | None:
    """Which of the two rules a rejection states: the one it names, else A3-16 where no hold is being decided."""
    if body.decision == "pass":
        return None
    if body.exclusion is not None:
        return RULES[body.exclusion]
    return rule_named_in(body.legal_basis) or (None if settlement.state == "held" else RULES["other_by_law"])


async def _found(session: AsyncSession, caller: Caller, settlement_id: UUID, decision_id: UUID) -> OfficeDecisionRow:
    decision = await Decisions(session).one(caller.county_code, settlement_id, decision_id)
    if decision is None:
        raise NotFound
    return decision


async def _standing(session: AsyncSession, caller: Caller, settlement_id: UUID) -> tuple[Bill, Settlement]:
    """A settlement the office may still decide on, with its bill locked."""
    bill, settlement = await settlements.locked(session, caller, settlement_id)
    if bill.voided or settlement.state == "voided":
        raise SettlementVoided
    if settlement.state not in LIVE or settlement.bill_version != bill.version:
        raise SettlementSuperseded
    if settlement.claimed_at is not None:
        raise AlreadyClaimed
    return bill, settlement


async def _judged(
    session: AsyncSession, bill: Bill, settlement: Settlement, decision: OfficeDecisionRow, law: Law
) -> tuple[Inputs, Outcome]:
    """The settlement's own facts, judged with the decision. It must come out as decided, and differently."""
    inputs = replace(
        inputs_from_json(settlement.inputs),
        committed=await settlements.committed_of(session, bill, law),
        decision=OfficeDecision(
            decision=decision.decision,  # type: ignore[arg-type]
            reason=decision.reason,
            legal_basis=decision.legal_basis,
            rule=decision.rule,
            amount_fen=decision.amount_fen,
        ),
    )
    try:
        outcome = inputs.settle(law.shelf)
    except DecisionWithoutLaw:
        raise DecisionWithoutEffect from None
    if outcome.decision != decision.decision or not differences(settlement.answer, outcome):
        raise DecisionWithoutEffect
    return inputs, outcome
