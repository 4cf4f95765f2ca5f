"""Discharge bills over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from shared.bills.form import DischargeBill
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Database, Session
from shared.kit.fields import LawDate
from shared.kit.idempotency import OnceKey
from shared.kit.problems import NotFound, Problem
from shared.kit.scope import Scope
from shared.kit.strict_json import StrictRoute
from shared.kit.waits import preferred_seconds
from treatment_service.discharges import service
from treatment_service.discharges.schemas import (
    DischargeAnswer,
    DischargeChangePage,
    DischargeChangeRead,
    DischargeCorrection,
    DischargePage,
    DischargeRead,
    DischargeVoid,
    State,
)
from treatment_service.errors import NotYourInstitution

router = APIRouter(prefix="/treatment/v1/discharges", tags=["discharges 出院结算单"], route_class=StrictRoute)

Reporter = Annotated[Caller, allowed("hospital", "hrss")]
Hospital = Annotated[Caller, allowed("hospital")]
Reader = Annotated[Caller, allowed("hospital", "hrss", "health_bureau", "safety_net_office", "auditor")]


async def own_institution(request: Request, caller: Reporter) -> None:
    """Another hospital's bill is refused (403) before its content is looked at (422)."""
    sent = await request.json()
    if caller.has("hospital") and isinstance(sent, dict):
        code = sent.get("institution_code")
        if isinstance(code, str) and code != caller.institution_code:
            raise NotYourInstitution


def wait_seconds(
    prefer: Annotated[
        str | None, Header(description="wait=5：最多等几秒，等到结算结果再答复（超过 30 按 30）", max_length=200)
    ] = None,
) -> int:
    """How long the caller would wait for the settlement."""
    return preferred_seconds(prefer)


Wait = Annotated[int, Depends(wait_seconds)]
SAME: dict[int | str, dict[str, Any]] = {200: {"model": DischargeAnswer, "description": "同一份，此前已经报送"}}


async def _answer(
    request: Request, caller: Caller, discharge_id: UUID, status: int, *, wait: int = 0, replayed: bool = False
) -> Response:
    """The bill as it stands now, after the commit; with its settlement if that comes in time."""
    database: Database = request.app.state.database
    latest: dict[str, Any] = {}

    async def look() -> bool | None:
        async with database.transaction(Scope.of(caller)) as session:
            found = await service.answers(session, caller, [discharge_id])
        if discharge_id not in found:
            raise NotFound
        latest.update(found[discharge_id])
        return True if latest["settlement"] is not None or latest["state"] == "voided" else None

    await request.app.state.waits.until(discharge_id, wait, look)
    headers = {"Location": f"/treatment/v1/discharges/{discharge_id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    body = DischargeAnswer.model_validate(latest).model_dump_json()
    return Response(body, status, headers=headers, media_type="application/json")


@router.post(
    "",
    status_code=201,
    response_model=DischargeAnswer,
    responses=SAME,
    summary="报送出院结算单",
    dependencies=[Depends(own_institution)],
)
async def record_discharge(
    request: Request, bill: DischargeBill, caller: Reporter, once: OnceKey, wait: Wait
) -> Response:
    """Record a bill once. 201 means committed; the same bill again is the same bill (200).

    Refusals: `unknown_institution`, `not_your_institution`, `reimbursed_above_total`, `dates_out_of_order`,
    `part_above_total`, `date_in_future`, `nothing_to_settle`, `version_not_first`, `bill_already_recorded`.
    """
    state = request.app.state
    async with state.database.transaction(Scope.of(caller)) as session:
        replay = await once.claim(session, caller)
        if replay is None:
            (outcome,) = await service.record_bills(session, caller, state.keyring, [bill])
            if isinstance(outcome, Problem):
                raise outcome
            status, discharge_id = (201 if outcome.fresh else 200), outcome.discharge_id
            await once.keep(session, caller, status, discharge_id=str(discharge_id))
        else:
            status, discharge_id = replay.status, UUID(replay.ids["discharge_id"])
    return await _answer(request, caller, discharge_id, status, wait=wait, replayed=replay is not None)


@router.get("/changes", response_model=DischargeChangePage, summary="本机构结算单的变动")
async def list_changes(request: Request, page: Paging, caller: Hospital) -> Any:
    """Every change of state, version or settlement of the hospital's bills, in the order of their commits.

    Keep `next_cursor` and ask again: it is given even when nothing is new.
    """
    database: Database = request.app.state.database
    after = page.after[0] if page.after else 0
    # All hospitals' changes stand in one order: placing them is the service's own work, over before this one's is read.
    await service.place_changes(database)
    async with database.transaction(Scope.of(caller)) as session:
        rows = await service.changes(session, caller, after, page.limit)
    last = rows[-1].position if rows else after
    return {
        "items": [DischargeChangeRead.model_validate(row) for row in rows],
        "next_cursor": page.cursor(last or 0),
    }


@router.get("", response_model=DischargePage, summary="查询结算单")
async def list_discharges(
    session: Session,
    page: Paging,
    caller: Reader,
    institution_code: Annotated[str | None, Query(max_length=64, description="医疗机构编码")] = None,
    discharged_from: Annotated[LawDate | None, Query(description="出院日期起（含）")] = None,
    discharged_to: Annotated[LawDate | None, Query(description="出院日期止（含）")] = None,
    state: Annotated[State | None, Query(description="状态")] = None,
) -> Any:
    """Bills of the caller's scope, newest first."""
    filters = {
        "institution_code": institution_code,
        "discharged_from": discharged_from,
        "discharged_to": discharged_to,
        "state": state,
    }
    before = page.after[0] if page.after else None
    rows, items = await service.page(session, caller, limit=page.limit + 1, before=before, filters=filters)
    return page.answer(rows, items)


@router.get("/{discharge_id}", response_model=DischargeRead, summary="读取结算单")
async def read_discharge(discharge_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """A bill whole, with its settlement. Reading it is audited."""
    return await service.read(session, caller, request.app.state.keyring, discharge_id)


@router.post(
    "/{discharge_id}/corrections",
    status_code=201,
    response_model=DischargeAnswer,
    responses=SAME,
    summary="更正结算单",
)
async def correct_discharge(
    discharge_id: UUID, request: Request, correction: DischargeCorrection, caller: Reporter, once: OnceKey, wait: Wait
) -> Response:
    """The whole bill again as its next version. `version_conflict` for another version, `bill_voided` after a void."""
    state = request.app.state
    async with state.database.transaction(Scope.of(caller)) as session:
        replay = await once.claim(session, caller)
        if replay is None:
            done = await service.correct(
                session, caller, state.keyring, discharge_id, correction.reason, correction.bill
            )
            status = 201 if done.fresh else 200
            await once.keep(session, caller, status, discharge_id=str(discharge_id))
        else:
            status = replay.status
    return await _answer(request, caller, discharge_id, status, wait=wait, replayed=replay is not None)


@router.post("/{discharge_id}/void", response_model=DischargeAnswer, summary="作废结算单")
async def void_discharge(discharge_id: UUID, request: Request, reason: DischargeVoid, caller: Hospital) -> Response:
    """Withdraw a bill. Again: 200, the same."""
    async with request.app.state.database.transaction(Scope.of(caller)) as session:
        await service.void(session, caller, discharge_id, reason.reason)
    return await _answer(request, caller, discharge_id, 200)
