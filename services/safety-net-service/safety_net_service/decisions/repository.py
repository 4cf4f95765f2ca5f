"""SQL of office decisions."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.decisions.models import OfficeDecisionRow


class Decisions:
    """What the office decided on settlements."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def of_settlement(self, county_code: str, settlement_id: UUID) -> list[OfficeDecisionRow]:
        """Every decision on a settlement, newest first."""
        mine = select(OfficeDecisionRow).where(
            OfficeDecisionRow.county_code == county_code, OfficeDecisionRow.settlement_id == settlement_id
        )
        return list(await self.session.scalars(mine.order_by(OfficeDecisionRow.seq.desc())))

    async def one(self, county_code: str, settlement_id: UUID, decision_id: UUID) -> OfficeDecisionRow | None:
        """One decision on a settlement."""
        return await self.session.scalar(
            select(OfficeDecisionRow)
            .where(
                OfficeDecisionRow.county_code == county_code,
                OfficeDecisionRow.settlement_id == settlement_id,
                OfficeDecisionRow.decision_id == decision_id,
            )
            .execution_options(populate_existing=True)
        )
