"""Working days over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from safety_net_service.workdays import service
from safety_net_service.workdays.models import COUNTRY, WorkingDay
from safety_net_service.workdays.schemas import (
    ArrangedDay,
    ArrangementBody,
    ArrangementRead,
    DayRead,
    DeadlineRead,
    KnownYears,
    YearRead,
    YearWarning,
)
from shared.kit import clock
from shared.kit.caller import Caller, SignedIn, allowed
from shared.kit.database import Session
from shared.kit.fields import LawDate
from shared.kit.idempotency import OnceKey
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/safety-net/v1/working-days", tags=["working-days 工作日"], route_class=StrictRoute)

# The bureau fixes the Office's times (A3-03); an office does not lengthen its own terms.
Bureau = Annotated[Caller, allowed("health_bureau")]


@router.get("", response_model=KnownYears, summary="可计算期限的年份与提醒")
async def read_known_years(session: Session, caller: SignedIn) -> Any:
    """The years whose working days are known in the caller's county.

    ``warnings``: ``working_year_missing`` for the current year, and from 1 December for the next.
    """
    known = await service.known_years(session, caller.county_code)
    missing = service.missing_years(known, clock.today())
    warnings = [
        YearWarning(code="working_year_missing", year=year, detail=f"{year} 年的工作日安排尚未录入，届时不能计算期限。")
        for year in missing
    ]
    return KnownYears(county_code=caller.county_code, years=known, warnings=warnings)


@router.get("/deadline", response_model=DeadlineRead, summary="计算期限")
async def read_deadline(
    session: Session,
    caller: SignedIn,
    start: Annotated[LawDate, Query(description="起算事项发生日（次日为第一日）")],
    days: Annotated[int, Query(ge=1, le=250, description="工作日数")],
) -> Any:
    """The last day of a term in the caller's county. 409 `working_days_unknown` for a year nobody has told of."""
    due = await service.deadline(session, caller.county_code, start, days)
    return DeadlineRead(county_code=caller.county_code, start=start, days=days, due=due)


@router.post("/arrangements", status_code=201, response_model=ArrangementRead, summary="录入节假日安排")
async def enter_arrangement(
    body: ArrangementBody, request: Request, response: Response, session: Session, caller: Bureau, once: OnceKey
) -> Any:
    """The county's own days off and days worked, such as Guangxi's 三月三, with the document that says so.

    They go before the country's and count at once. 409 `working_year_known` where ``whole_year`` is said of a year the
    country's notice is known of; 422 `day_of_another_year`, `day_twice`, `nothing_arranged`.
    """
    if replay := await once.claim(session, caller):
        response.headers["Idempotency-Replayed"] = "true"
        arrangement_id = UUID(replay.ids["arrangement_id"])
    else:
        arrangement_id = await service.enter(session, caller, body)
        await once.keep(session, caller, 201, arrangement_id=str(arrangement_id))
    response.headers["Location"] = f"{request.url.path}/{arrangement_id}"
    return _arrangement(await service.arrangement(session, caller, arrangement_id))


@router.get("/arrangements/{arrangement_id}", response_model=ArrangementRead, summary="读取节假日安排")
async def read_arrangement(arrangement_id: UUID, session: Session, caller: SignedIn) -> Any:
    """One document of the county, day by day."""
    return _arrangement(await service.arrangement(session, caller, arrangement_id))


@router.get("/{year}", response_model=YearRead, summary="一年的工作日表")
async def read_year(
    year: Annotated[int, Path(ge=2000, le=2200, description="年份")], session: Session, caller: SignedIn
) -> Any:
    """Every day of a year in the caller's county, each with its source. 409 `working_days_unknown`."""
    words = await service.year_of(session, caller.county_code, year)
    worked = sum(bool(word.is_workday) for word in words)
    return YearRead(county_code=caller.county_code, year=year, workdays=worked, days=[_day(word) for word in words])


def _day(word: WorkingDay) -> DayRead:
    region = "全国" if word.county_code == COUNTRY else word.county_code
    worked = bool(word.is_workday)
    return DayRead(day=word.day, is_workday=worked, name=word.name, region=region, source=word.source)


def _arrangement(words: list[WorkingDay]) -> ArrangementRead:
    first = words[0]
    return ArrangementRead(
        arrangement_id=first.arrangement_id,
        county_code=first.county_code,
        source=first.source,
        entered_by=first.entered_by,
        entered_at=first.entered_at,
        days=[ArrangedDay.model_validate(word) for word in words],
    )
