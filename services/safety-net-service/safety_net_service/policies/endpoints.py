"""The counties' policies over HTTP, without a token (A0-01: 主动公开)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from safety_net_service.policies import service
from safety_net_service.policies.schemas import PackList, PackRead
from shared.kit.caller import public
from shared.kit.fields import LawDate
from shared.kit.strict_json import StrictRoute

router = APIRouter(
    prefix="/safety-net/v1/policies", tags=["policies"], route_class=StrictRoute, dependencies=[Depends(public)]
)

CountyCode = Annotated[str, Path(pattern="^[0-9]{6}$", description="县")]


@router.get("", response_model=PackList, summary="现行与曾行的政策", openapi_extra={"security": []})
async def list_policies(
    request: Request,
    county_code: Annotated[str | None, Query(pattern="^[0-9]{6}$", description="县")] = None,
    on: Annotated[LawDate | None, Query(description="在这一天施行")] = None,
) -> Any:
    """The packs by which bills are settled: county, version, source, dates."""
    return {"items": service.heads(request.app.state.law.shelf, county_code, on)}


@router.get(
    "/{county_code}/{pack}/{effective_date}",
    response_model=PackRead,
    summary="政策全文",
    openapi_extra={"security": []},
)
async def read_policy(
    request: Request,
    county_code: CountyCode,
    pack: Annotated[str, Path(max_length=40, description="类别")],
    effective_date: Annotated[LawDate, Path(description="施行日期")],
) -> Any:
    """One pack with each value's clause and quote, and its file as it stands. 404 `no_such_policy`."""
    state = request.app.state
    return service.whole(state.law.shelf, state.policies_folder, county_code, pack, effective_date)
