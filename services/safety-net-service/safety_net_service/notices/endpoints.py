"""Notices over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from safety_net_service.notices import service
from safety_net_service.notices.schemas import (
    CheckRead,
    NoticeRead,
    PrintBody,
    PrintList,
    PrintRead,
    SignatureBody,
)
from safety_net_service.settlements.endpoints import Reader
from shared.kit.caller import Caller, allowed
from shared.kit.database import Session
from shared.kit.idempotency import OnceKey
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/notices", tags=["notices"], route_class=StrictRoute)

Hospital = Annotated[Caller, allowed("hospital")]
Number = Annotated[int, Path(ge=1, le=9999, description="第几次打印")]


class Pdf(Response):
    """Pages to be printed; they bear a patient's name and are kept by nobody on the way."""

    media_type = "application/pdf"


@router.get("/checks/{check_code}", response_model=CheckRead, summary="核验告知单")
async def check_notice(
    check_code: Annotated[str, Path(min_length=16, max_length=19, description="告知单上的核验码")],
    request: Request,
    session: Session,
    caller: Reader,
) -> Any:
    """What a genuine sheet with this code says, and whether the record still agrees; 404 for a code nobody printed."""
    return await service.check(session, caller, check_code, request.app.state.keyring)


@router.get("/{settlement_id}", response_model=NoticeRead, summary="住院告知单（三联单）内容")
async def read_notice(settlement_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """What the three sheets say of a settlement that stands and pays; else 409 `not_settled`. Reading is audited."""
    return await service.notice(session, caller, settlement_id, request.app.state.keyring)


@router.post("/{settlement_id}/prints", status_code=201, response_class=Pdf, summary="打印住院告知单（三联单）")
async def print_notice(
    settlement_id: UUID,
    body: PrintBody,
    request: Request,
    session: Session,
    caller: Hospital,
    once: OnceKey,
) -> Any:
    """Three pages (PDF), for hospital, patient and Office; ``Location`` is the record of the printing.

    Each key prints once, and prints the same again; another key is a reprint, marked as such, with its reason (422
    `reason_missing`). 409 `not_settled`, `not_hospital_advance`, and `character_not_printable` with the code points a
    name has and the font lacks: nothing is printed then.
    """
    keyring, headers = request.app.state.keyring, {"Cache-Control": "no-store"}
    if replay := await once.claim(session, caller):
        headers["Idempotency-Replayed"] = "true"
        printing, pages = await service.printed(session, caller, settlement_id, replay.ids["number"], keyring)
    else:
        printing, pages = await service.print_notice(session, caller, settlement_id, body.reason, keyring)
        await once.keep(session, caller, 201, number=printing.number)
    headers["Location"] = f"{request.url.path}/{printing.number}"
    headers["Content-Disposition"] = f'inline; filename="notice-{settlement_id}-{printing.number}.pdf"'
    return Pdf(pages, 201, headers)


@router.get("/{settlement_id}/prints", response_model=PrintList, summary="一份告知单的打印与签字")
async def list_prints(settlement_id: UUID, request: Request, session: Session, caller: Reader) -> Any:
    """Every printing of a notice, in order, each with its signature."""
    return PrintList(items=await service.printings_of(session, caller, settlement_id, request.app.state.keyring))


@router.get("/{settlement_id}/prints/{number}", response_model=PrintRead, summary="一次打印")
async def read_print(settlement_id: UUID, number: Number, request: Request, session: Session, caller: Reader) -> Any:
    """One printing, its check code and its signature."""
    return await service.printing_of(session, caller, settlement_id, number, request.app.state.keyring)


@router.post(
    "/{settlement_id}/prints/{number}/signature",
    status_code=201,
    response_model=PrintRead,
    summary="登记告知单签字",
)
async def sign_print(
    settlement_id: UUID,
    number: Number,
    body: SignatureBody,
    request: Request,
    response: Response,
    session: Session,
    caller: Hospital,
    once: OnceKey,
) -> Any:
    """The patient or a proxy (代办人) signed this printing: who, when, and the hash of the signed sheet's image.

    409 `already_signed`, `not_settled`; 422 `proxy_named_wrongly`, `signed_before_printing`, `moment_in_future`.
    """
    keyring = request.app.state.keyring
    response.headers["Location"] = request.url.path.removesuffix("/signature")
    if await once.claim(session, caller):
        response.headers["Idempotency-Replayed"] = "true"
        return await service.printing_of(session, caller, settlement_id, number, keyring)
    signed = await service.sign(session, caller, settlement_id, number, body, keyring)
    await once.keep(session, caller, 201)
    return signed
