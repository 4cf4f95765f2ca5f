"""How a bill was settled arrives by event, and whoever waits at a window is told at once."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.safety_net import BillSettled
from shared.kit.database import after_commit
from shared.kit.direct import Direct
from shared.kit.events import Heard
from shared.kit.inbox import Done
from shared.kit.waits import Waits
from treatment_service.discharges import service
from treatment_service.discharges.repository import keep_settled


def hear_settled(waits: Waits) -> Callable[[AsyncSession, BillSettled], Awaitable[None]]:
    """Keep the settlement beside its bill and wake who waits for it, after the commit."""

    async def hear(session: AsyncSession, event: BillSettled) -> None:
        if await service.hear_settled(session, event):
            after_commit(session, lambda: waits.wake(event.discharge_id))

    return hear


def hear_settled_together(waits: Waits) -> Callable[[Direct, Sequence[Heard]], Awaitable[Done]]:
    """`hear_settled` for many in one statement. Of two about one bill the later is left to be heard by itself."""

    async def hear(direct: Direct, events: Sequence[Heard]) -> Done:
        first: dict[UUID, Heard] = {}
        for heard in events:
            first.setdefault(heard.data.discharge_id, heard)
        told = {bill: msgspec.structs.asdict(heard.data) for bill, heard in first.items()}
        fresh = await keep_settled(direct, list(told.values()))

        def tell() -> None:
            for bill in fresh:
                waits.tell(bill, first[bill].data)

        left = {heard.event_id for heard in events if first[heard.data.discharge_id] is not heard}
        return Done(after_commit=tell, left=left)

    return hear
