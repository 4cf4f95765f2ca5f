"""SQL of the working days."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Subquery, extract, func, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.workdays.models import COUNTRY, WorkingDay

KEEPING = 7_310_004
"""The lock of whoever brings the country's days up to date."""


class WorkingDays:
    """What is known of days in a region and in the country."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def between(self, county_code: str, first: date, last: date) -> list[WorkingDay]:
        """The newest words on these days, the country's before the county's own; a day taken back as it stands."""
        mine = (
            select(WorkingDay)
            .ext(distinct_on(WorkingDay.day, WorkingDay.county_code))
            .where(WorkingDay.county_code.in_((COUNTRY, county_code)), WorkingDay.day.between(first, last))
            .order_by(WorkingDay.day, WorkingDay.county_code, WorkingDay.seq.desc())
        )
        return list(await self.session.scalars(mine))

    async def days_of_years(self, county_code: str) -> dict[int, int]:
        """How many days of each year something is known of."""
        newest = self._newest(county_code)
        year = extract("year", newest.c.day)
        found = select(year, func.count(newest.c.day.distinct())).where(newest.c.is_workday.is_not(None)).group_by(year)
        return {int(of): int(days) for of, days in await self.session.execute(found)}

    def _newest(self, county_code: str) -> Subquery:
        return (
            select(WorkingDay.day, WorkingDay.is_workday)
            .ext(distinct_on(WorkingDay.day, WorkingDay.county_code))
            .where(WorkingDay.county_code.in_((COUNTRY, county_code)))
            .order_by(WorkingDay.day, WorkingDay.county_code, WorkingDay.seq.desc())
            .subquery()
        )

    async def of_arrangement(self, arrangement_id: UUID) -> list[WorkingDay]:
        """What one document says, day by day."""
        mine = select(WorkingDay).where(WorkingDay.arrangement_id == arrangement_id)
        return list(await self.session.scalars(mine.order_by(WorkingDay.day)))

    async def add(self, rows: list[dict[str, Any]]) -> None:
        """Add what a document says."""
        await self.session.execute(insert(WorkingDay), rows)

    async def take_turn(self) -> None:
        """One process at a time brings the country's days up to date."""
        await self.session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": KEEPING})
