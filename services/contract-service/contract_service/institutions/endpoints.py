"""Institutions over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response

from contract_service.institutions import service
from contract_service.institutions.schemas import (
    CODE_PATTERN,
    InstitutionCreate,
    InstitutionHistory,
    InstitutionPage,
    InstitutionRead,
    InstitutionStateRead,
    Kind,
)
from contract_service.revisions import IfMatch, etag, merge_patch_only
from shared.kit.caller import Caller, SignedIn, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Session
from shared.kit.fields import CountyCode
from shared.kit.idempotency import OnceKey
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/contract/v1/institutions", tags=["institutions"], route_class=StrictRoute)

Registrar = Annotated[Caller, allowed("health_bureau")]
Code = Annotated[str, Path(pattern=CODE_PATTERN, description="医疗机构编码")]
EXAMPLE: dict[str, Any] = {
    "institution_code": "H45022300018",
    "name": "鹿寨县示例医院",
    "kind": "county_hospital",
    "level": 2,
    "county_code": "450223",
    "township_code": None,
    "insurance_designated": [{"from": "2016-01-01", "to": None}],
    "phone": "0772-0000000",
}


@router.post("", status_code=201, response_model=InstitutionRead, summary="登记医疗机构")
async def register_institution(
    wanted: Annotated[InstitutionCreate, Body(openapi_examples={"county_hospital": {"value": EXAMPLE}})],
    session: Session,
    caller: Registrar,
    once: OnceKey,
    response: Response,
) -> Any:
    """Register an institution: one of the county, or one outside where its residents are treated."""
    institution, replayed = await service.register(session, caller, once, wanted)
    response.headers["ETag"] = etag(institution.revision)
    response.headers["Location"] = f"{router.prefix}/{institution.institution_code}"
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return institution


@router.get("", response_model=InstitutionPage, summary="医疗机构列表")
async def list_institutions(
    session: Session,
    page: Paging,
    _: SignedIn,
    institution_code: Annotated[str | None, Query(max_length=64)] = None,
    kind: Annotated[Kind | None, Query()] = None,
    county_code: Annotated[CountyCode | None, Query()] = None,
) -> Any:
    """Institutions, newest first."""
    filters = {"institution_code": institution_code, "kind": kind, "county_code": county_code}
    rows = await service.page_of(session, page, filters)
    return page.answer(rows, [InstitutionRead.model_validate(row) for row in rows])


@router.get("/{institution_code}", response_model=InstitutionRead, summary="查看医疗机构")
async def read_institution(institution_code: Code, session: Session, _: SignedIn, response: Response) -> Any:
    """One institution, with the ETag that a change of it needs."""
    institution = await service.read(session, institution_code)
    response.headers["ETag"] = etag(institution.revision)
    return institution


@router.patch(
    "/{institution_code}",
    response_model=InstitutionRead,
    summary="修改医疗机构",
    dependencies=[Depends(merge_patch_only)],
)
async def change_institution(
    institution_code: Code,
    patch: Annotated[
        dict[str, Any],
        Body(
            media_type="application/merge-patch+json", openapi_examples={"phone": {"value": {"phone": "0772-0000001"}}}
        ),
    ],
    session: Session,
    caller: Registrar,
    match: IfMatch,
    response: Response,
) -> Any:
    """Change fields of an institution (RFC 7396: a list replaces the list), by the county that registered it.

    The county that its code names (second to seventh character) may too, and takes the record over by that.
    """
    institution = await service.change(session, caller, match, institution_code, patch)
    response.headers["ETag"] = etag(institution.revision)
    return institution


@router.get("/{institution_code}/history", response_model=InstitutionHistory, summary="医疗机构变更历史")
async def read_institution_history(institution_code: Code, session: Session, page: Paging, _: SignedIn) -> Any:
    """Every state of the record, newest first: what it was, who made it so, when."""
    rows = await service.history(session, page, institution_code)
    return page.answer(rows, [InstitutionStateRead.model_validate(row) for row in rows], position="revision")
