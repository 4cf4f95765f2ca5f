"""Bills and the county registry arrive by events: in any order, late, repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills import service
from safety_net_service.bills.repository import Looks, revision_floor
from safety_net_service.settlements.service import Law
from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.events.treatment import BillFacts, DischargeVoided
from shared.kit import clock
from shared.kit.database import Database, is_transient
from shared.kit.direct import Direct
from shared.kit.events import Heard
from shared.kit.inbox import Done
from shared.kit.log import log
from shared.kit.scope import SERVICE


@dataclass
class Hearing:
    """What this service does when it hears of something, under the law on its shelf.

    ``floor``: the number from which settlements of a bill not yet heard of are counted; above 0 after a restore.
    """

    law: Law
    floor: int | None = None

    async def bill(self, session: AsyncSession, event: BillFacts) -> None:
        """A bill was recorded or corrected."""
        await service.hear_bill(session, event, self.law)

    async def bills(self, direct: Direct, events: Sequence[Heard]) -> Done:
        """Bills were recorded."""
        if self.floor is None:
            self.floor = await revision_floor(direct)
        return await service.hear_firsts(direct, events, self.law, self.floor)

    async def void(self, session: AsyncSession, event: DischargeVoided) -> None:
        """A bill was withdrawn."""
        await service.hear_void(session, event)

    async def resident(self, session: AsyncSession, event: ResidentChanged) -> None:
        """A resident was registered or changed."""
        await service.hear_resident(session, event)

    async def institution(self, session: AsyncSession, event: InstitutionChanged) -> None:
        """An institution was registered or changed."""
        await service.hear_institution(session, event)

    async def look_at_due(self, database: Database) -> None:
        """Look at what is due, each in a transaction of its own: a wait is over, a fact has changed, a fund has money.

        One bill that can't be judged neither keeps the others waiting nor is forgotten.
        """
        while True:
            seq, discharge_id = None, ""
            try:
                async with database.transaction(SERVICE) as session:
                    due = await Looks(session).next_due(clock.now())
                    if due is None:
                        return
                    seq, discharge_id = due.seq, due.key if due.kind in ("bill", "wait") else ""
                    await service.work_off(session, due, self.law)
            except Exception as error:
                if seq is None or is_transient(error):
                    raise
                log("error", "bill_not_judged", discharge_id=discharge_id, error_type=type(error).__name__)
                async with database.transaction(SERVICE) as session:
                    await Looks(session).put_off(seq, clock.now() + service.PUT_OFF)
