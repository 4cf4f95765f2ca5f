"""Notices over HTTP."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request

from safety_net_service.notices import service
from safety_net_service.notices.schemas import NoticeRead
from safety_net_service.settlements.endpoints import Reader
from shared.kit.database import Session
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/notices", tags=["notices"], route_class=StrictRoute)


@router.get("/{settlement_id}", response_model=NoticeRead, summary="住院告知单（三联单）内容")
async def read_notice(settlement_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """What the three sheets say of a settlement that stands and pays; else 409 `not_settled`. Reading is audited."""
    return await service.notice(session, caller, settlement_id, request.app.state.keyring)
