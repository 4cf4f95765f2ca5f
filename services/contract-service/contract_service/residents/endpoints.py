"""Residents over HTTP."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from contract_service.residents import service
from contract_service.residents.schemas import (
    HouseholdNo,
    ResidentCreate,
    ResidentHistory,
    ResidentPage,
    ResidentRead,
    ResidentSearch,
)
from contract_service.revisions import IfMatch, etag, merge_patch_only
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Session
from shared.kit.fields import VillageCode
from shared.kit.idempotency import OnceKey
from shared.kit.sealing import Keyring
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/contract/v1/residents", tags=["residents"], route_class=StrictRoute)

Registrar = Annotated[Caller, allowed(*service.REGISTRARS)]
Reader = Annotated[Caller, allowed(*service.COUNTY_READERS, *service.TOWNSHIP_READERS)]
EXAMPLE: dict[str, Any] = {
    "identity": {"type": "resident_id", "number": "450223198805240008"},
    "name": "测试示例",
    "sex": "male",
    "birth_date": "1988-05-24",
    "household_no": "4502231009001",
    "relation_to_head": "head",
    "village_code": "450223100001",
    "phone": None,
    "registered_poor": [{"from": "2016-01-01", "to": None, "category": "registered_poor"}],
    "insurance": [{"scheme": "resident", "from": "2016-01-01", "to": None, "suspended": []}],
    "household_registration": True,
    "birth_document": None,
}
PATCH_EXAMPLES: dict[str, Any] = {
    "left_poverty": {
        "summary": "脱贫后继续享受政策：整个列表一并提交",
        "value": {
            "registered_poor": [
                {"from": "2016-01-01", "to": "2017-12-31", "category": "registered_poor"},
                {"from": "2018-01-01", "to": None, "category": "out_of_poverty_policy_kept"},
            ]
        },
    }
}


def _keyring(request: Request) -> Keyring:
    keyring: Keyring = request.app.state.keyring
    return keyring


Keys = Annotated[Keyring, Depends(_keyring)]


@router.post("", status_code=201, response_model=ResidentRead, summary="登记居民")
async def register_resident(
    wanted: Annotated[ResidentCreate, Body(openapi_examples={"registered_poor": {"value": EXAMPLE}})],
    session: Session,
    keyring: Keys,
    caller: Registrar,
    once: OnceKey,
    response: Response,
) -> Any:
    """Register a resident of the caller's county. What looks odd about the number comes back as a warning."""
    resident, replayed = await service.register(session, keyring, caller, once, wanted)
    response.headers["ETag"] = etag(resident.revision)
    response.headers["Location"] = f"{router.prefix}/{resident.resident_id}"
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return resident


@router.get("", response_model=ResidentPage, summary="居民列表")
async def list_residents(
    session: Session,
    keyring: Keys,
    caller: Reader,
    page: Paging,
    name: Annotated[str | None, Query(max_length=200, description="姓名开头")] = None,
    household_no: Annotated[HouseholdNo | None, Query(description="户编号")] = None,
    village_code: Annotated[VillageCode | None, Query(description="村区划代码")] = None,
    numbers: Annotated[Literal["whole", "last_four"], Query(description="证件号码：完整，或只列末四位")] = "whole",
) -> Any:
    """Residents the caller may see, newest first; by the beginning of the name, by household, by village.

    With `numbers=last_four` a number reads `****0006`, and no number is opened for it.
    """
    filters = {"name": name, "household_no": household_no, "village_code": village_code}
    rows, items = await service.page_of(session, keyring, caller, page, filters, masked=numbers == "last_four")
    return page.answer(rows, items)


@router.post("/search", response_model=ResidentPage, summary="按证件号码查找居民")
async def search_residents(
    wanted: Annotated[
        ResidentSearch, Body(openapi_examples={"number": {"value": {"identity_number": "450223198805240008"}}})
    ],
    session: Session,
    keyring: Keys,
    caller: Reader,
) -> Any:
    """Who is or was known by a number, in any spelling of it: at most one, and nobody outside the caller's reach."""
    items = await service.search(session, keyring, caller, wanted.identity_number)
    return {"items": items, "next_cursor": None}


@router.get("/{resident_id}", response_model=ResidentRead, summary="查看居民")
async def read_resident(resident_id: UUID, session: Session, keyring: Keys, caller: Reader, response: Response) -> Any:
    """One resident, with the ETag that a change of the record needs."""
    resident = await service.read(session, keyring, caller, resident_id)
    response.headers["ETag"] = etag(resident.revision)
    return resident


@router.patch(
    "/{resident_id}",
    response_model=ResidentRead,
    summary="修改居民",
    dependencies=[Depends(merge_patch_only)],
)
async def change_resident(
    resident_id: UUID,
    patch: Annotated[dict[str, Any], Body(media_type="application/merge-patch+json", openapi_examples=PATCH_EXAMPLES)],
    session: Session,
    keyring: Keys,
    caller: Registrar,
    match: IfMatch,
    response: Response,
) -> Any:
    """Change a record (RFC 7396: a list replaces the list). People are added and removed by dates, never deleted."""
    resident = await service.change(session, keyring, caller, match, resident_id, patch)
    response.headers["ETag"] = etag(resident.revision)
    return resident


@router.get("/{resident_id}/history", response_model=ResidentHistory, summary="居民变更历史")
async def read_resident_history(
    resident_id: UUID, session: Session, keyring: Keys, caller: Reader, page: Paging
) -> Any:
    """Every state of the record, newest first: what it was, who made it so, when."""
    rows, items = await service.history(session, keyring, caller, page, resident_id)
    return page.answer(rows, items, position="revision")
