"""The audit trail of a service as its auditor reads, verifies, prints and proves it."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import AuditRow, AuditSealRow, ServiceSession, Session
from shared.kit.fields import Answer, FieldError, Moment
from shared.kit.problems import Invalid, NotFound
from shared.kit.seal_chain import leaves_of, proof_of, row_of
from shared.kit.sealer import ROWS, lives
from shared.kit.strict_json import StrictRoute
from shared.kit.verification import forks, head_of, heads, unsealed, verify

MOST_DAYS = 366
HIGHEST = 2**63 - 1

Auditor = Annotated[Caller, allowed("auditor")]


class AuditRead(Answer):
    """Who did what to which record."""

    seq: int
    at: Moment
    caller: str
    roles: str
    action: str
    object_type: str
    object_id: str
    detail: dict[str, Any]
    request_id: str
    address: str
    reason: str


class AuditPage(BaseModel):
    items: list[AuditRead]
    next_cursor: str | None


class FindingRead(BaseModel):
    """What is not as it was sealed: ``seq`` names the row, ``batch`` the seal."""

    kind: str
    batch: int | None
    seq: int | None
    detail: str


class ForkRead(BaseModel):
    """A restore: batches after ``forked_after`` of the epoch before exist on paper only."""

    epoch: int
    epoch_id: UUID
    started_at: Moment
    forked_after: int
    note: str


class VerificationRead(BaseModel):
    """One step of a verification. ``next_after`` continues it; null at the end of the chain."""

    batches: int
    rows: int
    batch: int
    chain: str
    unsealed: int
    forks: list[ForkRead]
    findings: list[FindingRead]
    next_after: int | None


class HeadRead(BaseModel):
    """The newest seal of a day: printed, it holds all that was sealed until then."""

    date: date
    service: str
    epoch: int
    batch: int
    chain: str
    count: int
    total: int


class HeadList(BaseModel):
    items: list[HeadRead]


class ProofStep(BaseModel):
    side: str
    hash: str


class ProofRead(BaseModel):
    """One row, its leaf, and the way from there to the root that its batch's chain hash covers."""

    row: list[str]
    leaf: str
    path: list[ProofStep]
    batch: int
    root: str
    previous: str
    chain: str
    sealed_at: Moment


def trail(prefix: str, service: str) -> APIRouter:
    """The audit routes of one service."""
    router = APIRouter(prefix=prefix, tags=["operations"], route_class=StrictRoute)

    @router.get("/audit", response_model=AuditPage, summary="审计轨迹")
    async def list_audit(
        session: Session,
        page: Paging,
        caller: Auditor,
        object_type: Annotated[str | None, Query(max_length=60)] = None,
        object_id: Annotated[str | None, Query(max_length=120)] = None,
    ) -> Any:
        """The audit trail of the caller's county, newest first."""
        before = page.after[0] if page.after else None
        rows = await _listed(session, caller, page.limit + 1, before, object_type, object_id)
        record(session, caller, "read", "audit", object_id or "*")
        return page.answer(rows, [AuditRead.model_validate(row) for row in rows])

    @router.get("/audit/verification", response_model=VerificationRead, summary="核验审计封存链")
    async def verify_audit(
        # A batch seals rows of every county; only numbers of rows are told, never their content.
        session: ServiceSession,
        caller: Auditor,
        after: Annotated[int, Query(ge=0, le=HIGHEST, description="从该批之后继续核验")] = 0,
    ) -> Any:
        """Every changed, removed or inserted row and every broken or missing batch, a bounded step at a time."""
        step = await verify(session, after)
        all_lives = await lives(session)
        # What the auditor was told is written down: a chain that is rewritten later contradicts it.
        record(session, caller, "verified", "audit_seals", step.batch, {"batch": step.batch, "chain": step.chain})
        return {
            **{name: getattr(step, name) for name in ("batches", "rows", "batch", "chain")},
            "unsealed": await unsealed(session),
            "forks": list(forks(all_lives)),
            "findings": [asdict(finding) for finding in step.findings],
            "next_after": step.batch if step.more else None,
        }

    @router.get("/audit/heads", response_model=HeadList, summary="每日封存链首（供打印）")
    async def list_heads(
        session: Session,
        caller: Auditor,
        first: Annotated[date | None, Query(alias="from", description="起始日期（含），默认今天")] = None,
        last: Annotated[date | None, Query(alias="to", description="截止日期（含），默认今天")] = None,
        batch: Annotated[int | None, Query(ge=1, le=HIGHEST, description="只看这一批，与纸面核对")] = None,
    ) -> Any:
        """The head of each day on which something was sealed; or one batch, to compare with what was printed."""
        if batch is not None:
            found = await head_of(session, batch)
        else:
            until = last or clock.today()
            since = first or until
            if not 0 <= (until - since).days < MOST_DAYS:
                raise Invalid([FieldError("/from", "period_invalid", f"起止日期有误，一次最多 {MOST_DAYS} 天。")])
            found = await heads(session, since, until)
        items = [_head(service, row) for row in found]
        told = {"batch": items[-1]["batch"], "chain": items[-1]["chain"]} if items else {}
        record(session, caller, "read", "audit_seals", told.get("batch", "-"), told)
        return {"items": items}

    @router.get("/audit/{seq}/proof", response_model=ProofRead, summary="单条审计记录的封存证明")
    async def prove(seq: Annotated[int, Path(ge=1, le=HIGHEST)], session: Session, caller: Auditor) -> Any:
        """That one row of the caller's county stands in the chain, without showing any other."""
        return await _proof(session, caller, seq)

    return router


async def _proof(session: AsyncSession, caller: Caller, seq: int) -> dict[str, Any]:
    mine = AuditRow.county_code.in_([caller.county_code, ""])
    row = await session.scalar(select(AuditRow).where(AuditRow.seq == seq, mine))
    if row is None:
        raise NotFound
    query = select(AuditSealRow).where(AuditSealRow.last_xid >= row.xid)
    query = query.where(AuditSealRow.seqs.contains([seq])).order_by(AuditSealRow.last_xid)
    seal = await session.scalar(query.limit(1))
    if seal is None:
        raise NotFound("该审计记录尚未封存，请稍后再试。")
    record(session, caller, "proved", "audit", seq)
    kept = row_of((await session.execute(text(ROWS + " where seq = :seq"), {"seq": seq})).one())
    path = proof_of(leaves_of(seal), seal.seqs.index(seq))
    return {
        "row": kept.texts,
        "leaf": kept.leaf().hex(),
        "path": [{"side": side, "hash": found.hex()} for side, found in path],
        "batch": seal.batch,
        **{name: getattr(seal, name).hex() for name in ("root", "previous", "chain")},
        "sealed_at": seal.sealed_at,
    }


async def _listed(
    session: AsyncSession,
    caller: Caller,
    limit: int,
    before: int | None,
    object_type: str | None,
    object_id: str | None,
) -> list[AuditRow]:
    query = select(AuditRow).where(AuditRow.county_code.in_([caller.county_code, ""]))
    query = query.order_by(AuditRow.seq.desc()).limit(limit)
    if object_type:
        query = query.where(AuditRow.object_type == object_type)
    if object_id:
        query = query.where(AuditRow.object_id == object_id)
    if before is not None:
        query = query.where(AuditRow.seq < before)
    return list(await session.scalars(query))


def _head(service: str, row: Any) -> dict[str, Any]:
    day: date | datetime = row.day
    return {
        "date": day,
        "service": service,
        "chain": row.chain.hex(),
        **{name: getattr(row, name) for name in ("epoch", "batch", "count", "total")},
    }
