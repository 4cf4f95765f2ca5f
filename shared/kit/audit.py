"""Who did what to which record. A row joins the transaction of the deed: what can't be audited does not happen."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.caller import Caller
from shared.kit.database import AuditRow
from shared.kit.log import request_id


def record(
    session: AsyncSession,
    caller: Caller,
    action: str,
    object_type: str,
    object_id: object,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add one audit row, with the reason the caller gave. ``detail`` never holds an identity number or a name."""
    session.add(
        AuditRow(
            county_code=caller.county_code,
            caller=caller.subject,
            roles=" ".join(sorted(caller.roles)),
            action=action,
            object_type=object_type,
            object_id=str(object_id),
            detail=detail or {},
            request_id=request_id.get(),
            address=caller.address,
            reason=caller.reason,
        )
    )
