"""SQL of recoveries."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.recoveries.models import Recovery


class Recoveries:
    """Money to come back, or still to be paid."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def open_of(self, county_code: str, settlement_id: UUID) -> Recovery | None:
        """The open case of a settlement."""
        return await self.session.scalar(
            select(Recovery).where(
                Recovery.county_code == county_code,
                Recovery.settlement_id == settlement_id,
                Recovery.state == "open",
            )
        )

    async def page(
        self, county_code: str, *, limit: int, before: int | None, discharge_id: UUID | None, state: str | None
    ) -> list[Recovery]:
        """A county's cases, newest first."""
        wanted = select(Recovery).where(Recovery.county_code == county_code)
        if discharge_id is not None:
            wanted = wanted.where(Recovery.discharge_id == discharge_id)
        if state is not None:
            wanted = wanted.where(Recovery.state == state)
        if before is not None:
            wanted = wanted.where(Recovery.seq < before)
        return list(await self.session.scalars(wanted.order_by(Recovery.seq.desc()).limit(limit)))
