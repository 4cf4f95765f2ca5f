"""safety-net-service when its database came out of a backup: called by `deploy.restored` before the service starts.

Bills recorded since are heard again from treatment-service and settled anew. What the office decided since is lost;
`deploy.lost` names it.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.repository import Bills
from safety_net_service.settlements import service as settlements
from shared.kit.sealing import Keyring


async def begin_again(session: AsyncSession, floor: int) -> None:
    """Let what is told from now on be newer than all that was told in the lost days; ``floor`` is above all of it."""
    await Bills(session).raise_revisions(floor)


async def say_again(session: AsyncSession, _: Keyring, kind: str, keys: Collection[str]) -> None:
    """``settlement``: tell how these discharges stand, for treatment-service shows them as they stood later."""
    assert kind == "settlement"
    for key in sorted(keys):
        await settlements.say_again(session, await Bills(session).locked(UUID(key)))
