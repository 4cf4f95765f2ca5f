"""treatment-service when its database came out of a backup: called by `deploy.restored` before the service starts.

A bill recorded since is unknown here until its hospital sends it again. It then gets the id it had
(`discharges.rules.discharge_id_of`), so safety-net-service knows it and tells how it stands; nothing is paid twice.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from treatment_service.discharges.repository import Discharges

A_SECOND = 1000
"""Changes are numbered by far fewer than this a second."""


async def begin_again(session: AsyncSession, floor: int) -> None:
    """Let hospitals hear of every change from now on, wherever their cursors stand. ``floor`` is in seconds."""
    discharges = Discharges(session)
    while await discharges.place_changes():
        pass
    await discharges.raise_positions(floor * A_SECOND)
