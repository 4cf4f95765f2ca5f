"""Office decisions over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from safety_net_service.decisions import service
from safety_net_service.decisions.schemas import DecisionBody, DecisionConfirmed, DecisionList, DecisionRead
from safety_net_service.settlements.service import public
from shared.kit.caller import Caller, allowed
from shared.kit.database import Session
from shared.kit.idempotency import OnceKey
from shared.kit.strict_json import StrictRoute

router = APIRouter(
    prefix="/safety-net/v1/settlements/{settlement_id}/decisions", tags=["decisions"], route_class=StrictRoute
)

Second = Annotated[Caller, allowed("safety_net_office", "department_leader")]


@router.post("", status_code=201, response_model=DecisionRead, summary="提出决定")
async def propose_decision(
    settlement_id: UUID,
    body: DecisionBody,
    request: Request,
    response: Response,
    session: Session,
    caller: Annotated[Caller, allowed("safety_net_office")],
    once: OnceKey,
) -> Any:
    """Pass or reject a held settlement, or reject any that is not yet claimed under A3-05 or A3-16.

    It takes effect when another person confirms it. 409 `decision_open` while another one waits, `already_claimed`,
    `settlement_superseded`, `settlement_voided`, `settlement_not_held`, `decision_without_effect`.
    """
    if replay := await once.claim(session, caller):
        response.headers["Idempotency-Replayed"] = "true"
        decision = await service.read(session, caller, settlement_id, UUID(replay.ids["decision_id"]))
    else:
        decision = await service.propose(session, caller, settlement_id, body, request.app.state.law)
        await once.keep(session, caller, 201, decision_id=str(decision.decision_id))
    response.headers["Location"] = f"{request.url.path}/{decision.decision_id}"
    return service.shown(decision)


@router.get("", response_model=DecisionList, summary="一份结算上的决定")
async def list_decisions(
    settlement_id: UUID,
    session: Session,
    caller: Annotated[Caller, allowed("safety_net_office", "department_leader", "auditor")],
) -> Any:
    """Every decision on a settlement, newest first."""
    return {"items": [service.shown(row) for row in await service.list_of(session, caller, settlement_id)]}


@router.get("/{decision_id}", response_model=DecisionRead, summary="读取决定")
async def read_decision(
    settlement_id: UUID,
    decision_id: UUID,
    session: Session,
    caller: Annotated[Caller, allowed("safety_net_office", "department_leader", "auditor")],
) -> Any:
    """One decision, proposed, confirmed or withdrawn."""
    return service.shown(await service.read(session, caller, settlement_id, decision_id))


@router.post("/{decision_id}/confirm", response_model=DecisionConfirmed, summary="复核确认决定")
async def confirm_decision(
    settlement_id: UUID, decision_id: UUID, request: Request, session: Session, caller: Second
) -> Any:
    """Another person confirms: the decided settlement takes the place of the one that stood. Again: 200, the same."""
    decision, settlement = await service.confirm(session, caller, settlement_id, decision_id, request.app.state.law)
    return {**service.shown(decision).model_dump(), "settlement": public(settlement)}


@router.post("/{decision_id}/withdraw", response_model=DecisionRead, summary="撤回或退回决定")
async def withdraw_decision(settlement_id: UUID, decision_id: UUID, session: Session, caller: Second) -> Any:
    """Take back what nobody has confirmed, or send it back to its proposer. Again: 200, the same."""
    return service.shown(await service.withdraw(session, caller, settlement_id, decision_id))
