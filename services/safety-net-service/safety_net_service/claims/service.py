"""A hospital claims what it advanced in a month; the Office reviews it line by line (A3-25(3), (4)).

The system gathers and freezes the lines, the hospital can't choose them. A line without a signed sheet doesn't pass: it
is returned with a reason, and claimed again in a later month.
"""

import asyncio
from datetime import date
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.claims.formats import summary
from safety_net_service.claims.models import Claim, ClaimLine
from safety_net_service.claims.repository import Claims
from safety_net_service.claims.rules import TERMS, month_end
from safety_net_service.claims.schemas import Account, AccountRead, ClaimRead, ClockRead, LineRead
from safety_net_service.errors import (
    CharacterNotPrintable,
    ClaimClosed,
    ClaimExists,
    LineReturned,
    LinesUnsigned,
    NothingToClaim,
    SamePerson,
    WorkingDaysUnknown,
)
from safety_net_service.recoveries import service as recoveries
from safety_net_service.registry import service as registry
from safety_net_service.settlements import service as settlements
from safety_net_service.workdays import service as workdays
from shared.kit import clock
from shared.kit import workdays as counting
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import as_service
from shared.kit.problems import FieldError, Invalid, NotFound
from shared.kit.sealing import Keyring
from shared.kit.typeset import GlyphMissing


async def submit(session: AsyncSession, caller: Caller, month: date, account: Account, keyring: Keyring) -> Claim:
    """Gather what a hospital advanced until a month's end and has not claimed, and freeze it into one claim.

    One claim a month. From then on the settlements are claimed: a later correction of theirs is a recovery (R-33).
    """
    if month_end(month) >= clock.today():
        raise Invalid([FieldError("/month", "month_not_over", "该月尚未结束，不能申报。")])
    claims, institution = Claims(session), caller.institution_code or ""
    if await claims.of_month(caller.county_code, institution, month) is not None:
        raise ClaimExists
    now = clock.now()
    claim = Claim(
        county_code=caller.county_code,
        claim_id=uuid4(),
        institution_code=institution,
        institution_name=await registry.institution_name(session, institution),
        month=month,
        state="submitted",
        bank=account.bank,
        account_holder=account.holder,
        sealed_account=keyring.seal(account.number),
        submitted_by=caller.subject,
        submitted_at=now,
        received_on=now.date(),
    )
    # To claim is the service's own work: a hospital changes no settlement. It gathers this hospital's and no other.
    async with as_service(session):
        session.add(claim)
        await session.flush()
        lines = await claims.gather(claim, month_end(month), now)
    if not lines:
        raise NothingToClaim
    record(session, caller, "submitted", "claim", claim.claim_id, {"month": f"{month:%Y-%m}", "lines": lines})
    return claim


async def return_line(session: AsyncSession, caller: Caller, claim_id: UUID, place: int, reason: str) -> Claim:
    """Send a line back with a reason; its settlement may be claimed in a later month."""
    claims = Claims(session)
    claim = await _open(claims, claim_id)
    line = await claims.line(claim, place)
    if line is None:
        raise NotFound
    # Under the bill's lock, as all work on a discharge.
    await settlements.locked(session, caller, line.settlement_id)
    if line.state == "returned":
        raise LineReturned
    line.state, line.return_reason = "returned", reason
    line.returned_by, line.returned_at = caller.subject, clock.now()
    await claims.let_go(line)
    await recoveries.nothing_claimed(session, line.county_code, line.settlement_id)
    await session.flush()
    detail = {"place": place, "settlement_id": str(line.settlement_id)}
    record(session, caller, "returned_line", "claim", claim_id, detail)
    return claim


async def review(session: AsyncSession, caller: Caller, claim_id: UUID) -> Claim:
    """The Office has reviewed a claim and hands it to the departments; every line it passes bears a signed sheet."""
    claims = Claims(session)
    claim = await _open(claims, claim_id)
    if claim.submitted_by == caller.subject:
        raise SamePerson
    sums = await claims.sums(claim)
    if sums["unsigned"]:
        raise LinesUnsigned(lines=sums["unsigned"])
    claim.state, claim.reviewed_by, claim.reviewed_at = "reviewed", caller.subject, clock.now()
    await session.flush()
    record(session, caller, "reviewed", "claim", claim_id, {"lines": sums["lines"] - sums["returned"]})
    return claim


async def read(session: AsyncSession, caller: Caller, claim_id: UUID) -> Claim:
    """One claim of the caller's scope."""
    claim = await _found(Claims(session), claim_id)
    record(session, caller, "read", "claim", claim_id)
    return claim


async def page(
    session: AsyncSession, caller: Caller, *, limit: int, before: list[int] | None, **filters: Any
) -> list[Claim]:
    """Claims of the caller's scope, newest first."""
    record(session, caller, "listed", "claim", "*")
    return await Claims(session).page(limit=limit, before=before[0] if before else None, **filters)


async def lines(
    session: AsyncSession, caller: Caller, claim_id: UUID, *, limit: int, after: int
) -> list[tuple[ClaimLine, bool]]:
    """The lines of a claim in their order, each with whether its notice is signed."""
    claim = await read(session, caller, claim_id)
    return await Claims(session).lines(claim, limit=limit, after=after)


async def summary_of(
    session: AsyncSession, caller: Caller, claim_id: UUID, kind: Literal["pdf", "xlsx"], keyring: Keyring
) -> bytes:
    """每月垫付资金汇总表 of a claim as it stands, with the patients' names; that is audited."""
    claim = await _found(Claims(session), claim_id)
    rows = await Claims(session).lines(claim)
    record(session, caller, "printed_summary", "claim", claim_id, {"kind": kind})
    sheet = summary.Summary.of(claim, [line for line, _ in rows], keyring)
    try:
        return await asyncio.to_thread(summary.pdf if kind == "pdf" else summary.xlsx, sheet)
    except GlyphMissing as error:
        raise CharacterNotPrintable(characters=error.characters) from None


async def shown(session: AsyncSession, claim: Claim, keyring: Keyring) -> ClaimRead:
    """A claim as it is read, with its sums and the clock that runs."""
    sums = await Claims(session).sums(claim)
    return ClaimRead(
        claim_id=claim.claim_id,
        county_code=claim.county_code,
        institution_code=claim.institution_code,
        institution_name=claim.institution_name,
        month=f"{claim.month:%Y-%m}",
        state=claim.state,
        lines=sums["lines"],
        returned=sums["returned"],
        unsigned=sums["unsigned"],
        safety_net=sums["safety_net_fen"],
        account=AccountRead(bank=claim.bank, holder=claim.account_holder, number=keyring.open(claim.sealed_account)),
        submitted_by=claim.submitted_by,
        submitted_at=claim.submitted_at,
        reviewed_by=claim.reviewed_by,
        reviewed_at=claim.reviewed_at,
        clock=await _clock(session, claim),
    )


def line_shown(line: ClaimLine, signed: bool) -> LineRead:
    """A line as it is read: without a name."""
    columns = {name: getattr(line, name) for name in LineRead.model_fields if hasattr(line, name)}
    return LineRead(**columns, total=line.total_fen, safety_net=line.safety_net_fen, signed=signed)


async def _clock(session: AsyncSession, claim: Claim) -> ClockRead:
    """The term that runs in the claim's state. A year nobody has told of leaves it open instead of guessing."""
    term = TERMS[claim.state]
    started = claim.received_on if claim.reviewed_at is None else claim.reviewed_at.astimezone(clock.CHINA).date()
    due, left, unknown = None, None, None
    today = clock.today()
    try:
        due = await workdays.deadline(session, claim.county_code, started, term.days)
        known = await workdays.calendar(session, claim.county_code, min(due, today), max(due, today))
        left = counting.left(known, today, due)
    except WorkingDaysUnknown as error:
        unknown = error.extra["year"]
    except counting.DayUnknown as error:
        unknown = error.day.year
    return ClockRead(
        step=term.step,
        days=term.days,
        clause=term.clause,
        started_on=started,
        due_on=due,
        days_left=left,
        late=due is not None and today > due,
        unknown_year=unknown,
    )


async def _found(claims: Claims, claim_id: UUID, *, lock: bool = False) -> Claim:
    claim = await claims.one(claim_id, lock=lock)
    if claim is None:
        raise NotFound
    return claim


async def _open(claims: Claims, claim_id: UUID) -> Claim:
    """A claim the Office still works on, locked."""
    claim = await _found(claims, claim_id, lock=True)
    if claim.state != "submitted":
        raise ClaimClosed
    return claim
