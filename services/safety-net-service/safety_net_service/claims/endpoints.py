"""Hospitals' monthly claims over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from safety_net_service.claims import service
from safety_net_service.claims.schemas import (
    ClaimBody,
    ClaimPage,
    ClaimRead,
    LinePage,
    Month,
    ReturnBody,
    State,
)
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Session
from shared.kit.idempotency import OnceKey
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/claims", tags=["claims 垫付款申报"], route_class=StrictRoute)

READERS = ("hospital", "safety_net_office", "department_leader", "department_head", "finance", "auditor")
Reader = Annotated[Caller, allowed(*READERS)]
Hospital = Annotated[Caller, allowed("hospital")]
Office = Annotated[Caller, allowed("safety_net_office")]


class Pdf(Response):
    media_type = "application/pdf"


class Xlsx(Response):
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@router.post("", status_code=201, response_model=ClaimRead, summary="申报一个月的垫付款")
async def submit_claim(
    body: ClaimBody, request: Request, response: Response, session: Session, caller: Hospital, once: OnceKey
) -> Any:
    """The hospital gives month and account; the system gathers what it advanced until then and was not claimed.

    409 `claim_exists`, `nothing_to_claim`; 422 `month_not_over`. The Office's seven working days begin (R-50).
    """
    keyring = request.app.state.keyring
    if replay := await once.claim(session, caller):
        response.headers["Idempotency-Replayed"] = "true"
        claim = await service.read(session, caller, UUID(replay.ids["claim_id"]))
    else:
        claim = await service.submit(session, caller, body.month, body.account, keyring)
        await once.keep(session, caller, 201, claim_id=str(claim.claim_id))
    response.headers["Location"] = f"{request.url.path}/{claim.claim_id}"
    return await service.shown(session, claim, keyring)


@router.get("", response_model=ClaimPage, summary="查询垫付款申报")
async def list_claims(
    request: Request,
    session: Session,
    page: Paging,
    caller: Reader,
    institution_code: Annotated[str | None, Query(max_length=64, description="医疗机构编码")] = None,
    state: Annotated[State | None, Query(description="状态")] = None,
    month: Annotated[Month | None, Query(description="月份")] = None,
) -> Any:
    """Claims of the caller's scope, newest first, each with its due date and days left."""
    filters = {"institution_code": institution_code, "state": state, "month": month}
    rows = await service.page(session, caller, limit=page.limit + 1, before=page.after, **filters)
    keyring = request.app.state.keyring
    return page.answer(rows, [await service.shown(session, row, keyring) for row in rows[: page.limit]])


@router.get("/{claim_id}", response_model=ClaimRead, summary="读取垫付款申报")
async def read_claim(claim_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """One claim: its sums, and the term that runs."""
    claim = await service.read(session, caller, claim_id)
    return await service.shown(session, claim, request.app.state.keyring)


@router.get("/{claim_id}/lines", response_model=LinePage, summary="申报明细")
async def list_claim_lines(claim_id: UUID, session: Session, page: Paging, caller: Reader) -> Any:
    """The lines in their order, frozen as they were claimed, without names."""
    after = page.after[0] if page.after else 0
    rows = await service.lines(session, caller, claim_id, limit=page.limit + 1, after=after)
    items = [service.line_shown(line, signed) for line, signed in rows]
    return page.answer([line for line, _ in rows], items, "place")


@router.post("/{claim_id}/lines/{place}/return", response_model=ClaimRead, summary="退回一行")
async def return_line(
    claim_id: UUID,
    place: Annotated[int, Path(ge=1, le=1_000_000, description="序号")],
    body: ReturnBody,
    request: Request,
    session: Session,
    caller: Office,
) -> Any:
    """Send one line back with a reason; it may be claimed in a later month. 409 `line_returned`, `claim_closed`."""
    claim = await service.return_line(session, caller, claim_id, place, body.reason)
    return await service.shown(session, claim, request.app.state.keyring)


@router.post("/{claim_id}/review", response_model=ClaimRead, summary="办公室审核通过")
async def review_claim(claim_id: UUID, request: Request, session: Session, caller: Office) -> Any:
    """The Office passes the lines not returned to the departments, whose three working days begin (R-15).

    409 `lines_unsigned` while one of them lacks a signed sheet, `claim_closed`; 403 `same_person`.
    """
    claim = await service.review(session, caller, claim_id)
    return await service.shown(session, claim, request.app.state.keyring)


@router.get("/{claim_id}/summary.pdf", response_class=Pdf, summary="每月垫付资金汇总表（PDF）")
async def read_summary_pdf(claim_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """The monthly summary to be signed and stamped, as the claim stands now."""
    pages = await service.summary_of(session, caller, claim_id, "pdf", request.app.state.keyring)
    return Pdf(pages, headers={"Cache-Control": "no-store"})


@router.get("/{claim_id}/summary.xlsx", response_class=Xlsx, summary="每月垫付资金汇总表（xlsx）")
async def read_summary_xlsx(claim_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """The same as a table."""
    table = await service.summary_of(session, caller, claim_id, "xlsx", request.app.state.keyring)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="claim-{claim_id}.xlsx"'}
    return Xlsx(table, headers=headers)
