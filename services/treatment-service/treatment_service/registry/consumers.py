"""The county registry arrives by events: late, repeated or out of order, the newest revision stands."""

from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.contract import InstitutionChanged, ResidentChanged
from treatment_service.registry.repository import Registry


async def hear_resident(session: AsyncSession, event: ResidentChanged) -> None:
    """Keep where the resident belongs and by which documents he is found."""
    await Registry(session).keep_resident(
        event.resident_id,
        event.revision,
        event.county_code,
        event.village_code,
        [identity.digest for identity in event.identities],
    )


async def hear_institution(session: AsyncSession, event: InstitutionChanged) -> None:
    """Keep the institution: bills name it, and an unknown one is refused at the window."""
    await Registry(session).keep_institution(
        {
            "institution_code": event.institution_code,
            "county_code": event.county_code,
            "name": event.name,
            "kind": event.kind,
            "has_client": event.has_client,
            "revision": event.revision,
            "facts": event.model_dump(mode="json"),
        }
    )
