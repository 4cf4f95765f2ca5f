"""SQL of printed and signed notices."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.notices.models import NoticePrint, NoticeSignature


class Notices:
    """Printings of notices and the signatures on them; whose they are the database sees to."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def last_number(self, county_code: str, settlement_id: UUID) -> int:
        """How often a notice was printed."""
        mine = select(func.coalesce(func.max(NoticePrint.number), 0)).where(
            NoticePrint.county_code == county_code, NoticePrint.settlement_id == settlement_id
        )
        return int(await self.session.scalar(mine) or 0)

    async def printing(self, settlement_id: UUID, number: int) -> NoticePrint | None:
        """One printing."""
        return await self.session.scalar(
            select(NoticePrint).where(NoticePrint.settlement_id == settlement_id, NoticePrint.number == number)
        )

    async def by_code(self, check_code: str) -> NoticePrint | None:
        """The printing that bears this code."""
        return await self.session.scalar(select(NoticePrint).where(NoticePrint.check_code == check_code))

    async def printings(self, county_code: str, settlement_id: UUID) -> list[NoticePrint]:
        """Every printing of a notice, in order."""
        mine = select(NoticePrint).where(
            NoticePrint.county_code == county_code, NoticePrint.settlement_id == settlement_id
        )
        return list(await self.session.scalars(mine.order_by(NoticePrint.number)))

    async def signatures(self, county_code: str, settlement_id: UUID) -> dict[int, NoticeSignature]:
        """The signatures on a notice by the number of the printing."""
        mine = select(NoticeSignature).where(
            NoticeSignature.county_code == county_code, NoticeSignature.settlement_id == settlement_id
        )
        return {row.number: row for row in await self.session.scalars(mine)}
