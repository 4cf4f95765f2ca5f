"""SQL of settlements."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, extract, false, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.settlements.models import LIVE, Settlement
from shared.kit.caller import Caller
from shared.kit.clock import CHINA

COUNTY_WIDE = (
    "hrss",
    "health_bureau",
    "safety_net_office",
    "auditor",
    "poverty_office",
    "civil_affairs",
    "finance",
    "department_leader",
)
"""Who sees every settlement of their own county."""


class Settlements:
    """How bills were shared out."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def live_of(self, discharge_id: UUID) -> Settlement | None:
        """The settlement of a bill that stands."""
        return await self.session.scalar(
            select(Settlement)
            .where(Settlement.discharge_id == discharge_id, Settlement.state.in_(LIVE))
            .execution_options(populate_existing=True)
        )

    async def newest_of(self, discharge_id: UUID) -> Settlement | None:
        """The last settlement of a bill, whether it stands or was voided."""
        mine = select(Settlement).where(Settlement.discharge_id == discharge_id).order_by(Settlement.seq.desc())
        return await self.session.scalar(mine.limit(1).execution_options(populate_existing=True))

    async def one(self, settlement_id: UUID, caller: Caller) -> Settlement | None:
        """A settlement, if it is in the caller's scope."""
        return await self.session.scalar(
            select(Settlement)
            .where(Settlement.settlement_id == settlement_id, in_scope(caller))
            .execution_options(populate_existing=True)
        )

    async def page(
        self,
        caller: Caller,
        *,
        limit: int,
        before: int | None,
        discharge_id: UUID | None = None,
        resident_id: UUID | None = None,
        institution_code: str | None = None,
        state: str | None = None,
        made_from: date | None = None,
        made_to: date | None = None,
    ) -> list[Settlement]:
        """Settlements of the caller's scope, newest first."""
        wanted = select(Settlement).where(in_scope(caller))
        for column, value in (
            (Settlement.discharge_id, discharge_id),
            (Settlement.resident_id, resident_id),
            (Settlement.institution_code, institution_code),
            (Settlement.state, state),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        # The calendar's own ends bound nothing; before the first midnight and after the last day there is no moment.
        if made_from is not None and made_from > date.min:
            wanted = wanted.where(Settlement.made_at >= _midnight(made_from))
        if made_to is not None and made_to < date.max:
            wanted = wanted.where(Settlement.made_at < _midnight(made_to + timedelta(days=1)))
        if before is not None:
            wanted = wanted.where(Settlement.seq < before)
        return list(await self.session.scalars(wanted.order_by(Settlement.seq.desc()).limit(limit)))

    async def lock_fund(self, county_code: str, name: str) -> None:
        """Let one bill at a time be judged against what a limited fund still has."""
        await self.session.execute(
            text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"fund:{county_code}:{name}"}
        )

    async def committed_fen(
        self, county_code: str, versions: Collection[str], year: int | None, by_discharge: bool, but_not: UUID
    ) -> int:
        """What settled bills have already taken of a fund, in one year or ever."""
        mine = select(func.coalesce(func.sum(Settlement.safety_net_fen), 0)).where(
            Settlement.county_code == county_code,
            Settlement.state == "settled",
            Settlement.policy_version.in_(versions),
            Settlement.discharge_id != but_not,
        )
        if year is not None:
            day = Settlement.discharged_on if by_discharge else Settlement.admitted_on
            mine = mine.where(extract("year", day) == year)
        return int(await self.session.scalar(mine) or 0)

    async def held_for(self, county_code: str, clauses: Collection[str]) -> list[UUID]:
        """The discharges held under one of these clauses, the longest held first."""
        reasons = Settlement.answer["reasons"]
        under = [reasons.contains([{"code": "evidence_missing", "clause": clause}]) for clause in sorted(clauses)]
        mine = select(Settlement.discharge_id).where(
            Settlement.county_code == county_code, Settlement.state == "held", or_(false(), *under)
        )
        return list(await self.session.scalars(mine.order_by(Settlement.seq)))


def in_scope(caller: Caller) -> ColumnElement[bool]:
    """What a caller may see: the own county, the own institution, the own township's residents."""
    mine: list[ColumnElement[bool]] = []
    if caller.has(*COUNTY_WIDE):
        mine.append(Settlement.county_code == caller.county_code)
    if caller.has("hospital") and caller.institution_code:
        mine.append(Settlement.institution_code == caller.institution_code)
    if caller.has("township_government") and caller.township_code:
        mine.append(
            and_(Settlement.county_code == caller.county_code, Settlement.township_code == caller.township_code)
        )
    return or_(*mine) if mine else false()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CHINA)
