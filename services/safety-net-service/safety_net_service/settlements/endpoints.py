"""Settlements over HTTP: read, list, recompute."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from safety_net_service.settlements import service
from safety_net_service.settlements.repository import COUNTY_WIDE
from safety_net_service.settlements.schemas import RecomputedRead, SettlementPage, SettlementRead, State
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Session
from shared.kit.fields import LawDate
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/settlements", tags=["settlements"], route_class=StrictRoute)

READERS = ("hospital", "township_government", *COUNTY_WIDE)
Reader = Annotated[Caller, allowed(*READERS)]


@router.get("", response_model=SettlementPage, summary="查询结算")
async def list_settlements(
    session: Session,
    page: Paging,
    caller: Reader,
    discharge_id: Annotated[UUID | None, Query(description="结算单")] = None,
    resident_id: Annotated[UUID | None, Query(description="居民")] = None,
    institution_code: Annotated[str | None, Query(max_length=64, description="医疗机构编码")] = None,
    state: Annotated[State | None, Query(description="状态")] = None,
    made_from: Annotated[LawDate | None, Query(description="结算日期起（含）")] = None,
    made_to: Annotated[LawDate | None, Query(description="结算日期止（含）")] = None,
) -> Any:
    """Settlements of the caller's scope, newest first, the superseded ones among them."""
    filters = {
        "discharge_id": discharge_id,
        "resident_id": resident_id,
        "institution_code": institution_code,
        "state": state,
        "made_from": made_from,
        "made_to": made_to,
    }
    rows = await service.page(session, caller, limit=page.limit + 1, before=page.after, filters=filters)
    return page.answer(rows, [service.public(row) for row in rows])


@router.get("/{settlement_id}", response_model=SettlementRead, summary="读取结算")
async def read_settlement(settlement_id: UUID, session: Session, caller: Reader) -> Any:
    """How one discharge bill was shared out, with the clauses behind every share."""
    return service.public(await service.read(session, caller, settlement_id))


@router.post("/{settlement_id}/recompute", response_model=RecomputedRead, summary="复算")
async def recompute_settlement(
    settlement_id: UUID,
    request: Request,
    session: Session,
    caller: Annotated[Caller, allowed("safety_net_office", "auditor")],
) -> Any:
    """Compute it again from the stored inputs under the stored policy version: equal, or what differs."""
    return await service.recompute(session, caller, settlement_id, request.app.state.law)
