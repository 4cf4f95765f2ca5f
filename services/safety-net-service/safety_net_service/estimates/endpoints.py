"""Estimates over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Request

from safety_net_service.estimates import service
from safety_net_service.estimates.schemas import EstimateBill, EstimateRead
from shared.kit.caller import Caller, allowed
from shared.kit.database import Session
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/settlements", tags=["estimates"], route_class=StrictRoute)


@router.post("/estimate", response_model=EstimateRead, summary="试算")
async def estimate_settlement(
    bill: EstimateBill,
    request: Request,
    session: Session,
    caller: Annotated[Caller, allowed("hospital", "hrss", "safety_net_office")],
) -> Any:
    """What this bill would be settled as. Nothing is kept. Refuses what the intake refuses, with the same codes.

    A hospital estimates its own bills (403 `not_your_institution`); to an office, residents of another county are in
    no register.
    """
    state = request.app.state
    return await service.estimate(session, caller, bill, state.law, state.keyring)
