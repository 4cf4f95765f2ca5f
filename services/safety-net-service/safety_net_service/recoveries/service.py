"""When later facts show that a settlement pays too much or too little (R-19, R-33)."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.recoveries.models import Recovery
from safety_net_service.recoveries.repository import Recoveries
from safety_net_service.recoveries.schemas import RecoveryRead
from safety_net_service.settlements.models import Settlement
from safety_net_service.settlements.rules import Outcome
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import SYSTEM, Caller


async def compare(session: AsyncSession, settlement: Settlement, outcome: Outcome) -> None:
    """The registry changed: what pays stays paid, and what it would pay now is held against it.

    A doubt about the name alone opens no case: names change, and the register keeps no dates of them.
    """
    reasons = [reason.code for reason in outcome.reasons]
    if outcome.decision == "hold" and set(reasons) == {"evidence_missing"}:
        return
    case = await Recoveries(session).open_of(settlement.county_code, settlement.settlement_id)
    due_fen = outcome.amounts.safety_net_fen
    if due_fen == settlement.safety_net_fen:
        if case is not None:
            _close(session, case, "withdrawn")
        return
    if case is None:
        case = _case(settlement, due_fen, None, "registry")
        session.add(case)
        await session.flush()
        _note(session, case, "opened")
    elif case.now_due_fen != due_fen:
        _measure(case, due_fen)
        _note(session, case, "changed")
    case.reasons = reasons


async def replaced(
    session: AsyncSession, settlement: Settlement, now_due_fen: int, new_settlement_id: UUID | None, cause: str
) -> None:
    """A settlement no longer stands. What was claimed under it is not undone: the difference is a case of its own.

    Nothing claimed yet: the new settlement is claimed in its place, and the case only keeps what a correction changed.
    """
    case = await Recoveries(session).open_of(settlement.county_code, settlement.settlement_id)
    if case is not None:
        _close(session, case, "offset")
        # The open case's place is taken by the next one in this very transaction.
        await session.flush()
    claimed = settlement.claimed_at is not None
    if settlement.safety_net_fen == now_due_fen or not (claimed or cause == "correction"):
        return
    if not claimed and settlement.decision != "pass":
        return
    case = _case(settlement, now_due_fen, new_settlement_id, cause)
    if not claimed:
        case.state, case.closed_at = "offset", clock.now()
    session.add(case)
    await session.flush()
    _note(session, case, "opened")


async def nothing_claimed(session: AsyncSession, county_code: str, settlement_id: UUID) -> None:
    """What was claimed under a settlement was sent back unpaid: the newer settlement is simply claimed in its place."""
    case = await Recoveries(session).open_of(county_code, settlement_id)
    if case is not None:
        _close(session, case, "offset")


def _case(settlement: Settlement, now_due_fen: int, new_settlement_id: UUID | None, cause: str) -> Recovery:
    case = Recovery(
        county_code=settlement.county_code,
        discharge_id=settlement.discharge_id,
        settlement_id=settlement.settlement_id,
        new_settlement_id=new_settlement_id,
        institution_code=settlement.institution_code,
        cause=cause,
        settled_fen=settlement.safety_net_fen,
        reasons=[],
        state="open",
        opened_at=clock.now(),
    )
    _measure(case, now_due_fen)
    return case


def _measure(case: Recovery, now_due_fen: int) -> None:
    case.now_due_fen = now_due_fen
    case.difference_fen = abs(case.settled_fen - now_due_fen)
    case.direction = "recovery" if case.settled_fen > now_due_fen else "further_payment"


def _close(session: AsyncSession, case: Recovery, state: str) -> None:
    case.state, case.closed_at = state, clock.now()
    _note(session, case, state)


def _note(session: AsyncSession, case: Recovery, action: str) -> None:
    detail = {"settlement_id": str(case.settlement_id), "difference_fen": case.difference_fen, "cause": case.cause}
    record(session, replace(SYSTEM, county_code=case.county_code), action, "recovery", case.recovery_id, detail)


async def page(
    session: AsyncSession,
    caller: Caller,
    *,
    limit: int,
    before: list[int] | None,
    discharge_id: UUID | None,
    state: str | None,
) -> list[Recovery]:
    """The cases of the caller's county, newest first."""
    rows = await Recoveries(session).page(
        caller.county_code, limit=limit, before=before[0] if before else None, discharge_id=discharge_id, state=state
    )
    record(session, caller, "listed", "recovery", discharge_id or "*")
    return rows


def shown(case: Recovery) -> RecoveryRead:
    """A case as it is read."""
    columns = {name: getattr(case, name) for name in RecoveryRead.model_fields if hasattr(case, name)}
    return RecoveryRead(**columns, settled=case.settled_fen, now_due=case.now_due_fen, difference=case.difference_fen)
