"""Recoveries over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from safety_net_service.recoveries import service
from safety_net_service.recoveries.schemas import RecoveryPage, State
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Session
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/recoveries", tags=["recoveries"], route_class=StrictRoute)


@router.get("", response_model=RecoveryPage, summary="追回与补付")
async def list_recoveries(
    session: Session,
    page: Paging,
    caller: Annotated[Caller, allowed("safety_net_office", "finance", "department_leader", "auditor")],
    discharge_id: Annotated[UUID | None, Query(description="结算单")] = None,
    state: Annotated[State | None, Query(description="状态")] = None,
) -> Any:
    """What the county's settlements pay too much or too little by what is known now, newest first (R-19, R-33)."""
    rows = await service.page(
        session, caller, limit=page.limit + 1, before=page.after, discharge_id=discharge_id, state=state
    )
    return page.answer(rows, [service.shown(row) for row in rows])
