"""How a bill was settled arrives by event, and whoever waits at a window is told at once."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.safety_net import BillSettled
from shared.kit.database import after_commit
from shared.kit.waits import Waits
from treatment_service.discharges import service


def hear_settled(waits: Waits) -> Callable[[AsyncSession, BillSettled], Awaitable[None]]:
    """Keep the settlement beside its bill and wake who waits for it, after the commit."""

    async def hear(session: AsyncSession, event: BillSettled) -> None:
        if await service.hear_settled(session, event):
            after_commit(session, lambda: waits.wake(event.discharge_id))

    return hear
