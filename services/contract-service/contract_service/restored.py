"""contract-service when its database came out of a backup: called by `deploy.restored` before the service starts.

What was registered since is lost here; `deploy.lost` names it by what the other services still know. It is registered
anew by its office, and until then the registry as it stands here holds everywhere.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.institutions import service as institutions
from contract_service.institutions.repository import Institutions
from contract_service.residents import service as residents
from contract_service.residents.repository import Residents
from contract_service.tokens.repository import RefreshTokens
from shared.kit import clock
from shared.kit.sealing import Keyring


async def begin_again(session: AsyncSession, floor: int) -> None:
    """Let what is said from now on be newer than all that was said in the lost days; everybody signs in anew.

    ``floor`` is above every revision of those days. Who was signed out or locked since would otherwise come in again.
    """
    await Residents(session).raise_revisions(floor)
    await Institutions(session).raise_revisions(floor)
    await RefreshTokens(session).end_all(clock.now())


async def say_again(session: AsyncSession, keyring: Keyring, kind: str, keys: Collection[str]) -> None:
    """``resident`` (ids) or ``institution`` (codes): say how they stand here, for others know a later state."""
    if kind == "resident":
        await residents.say_again(session, keyring, {UUID(key) for key in keys})
    else:
        assert kind == "institution"
        await institutions.say_again(session, keys)
