"""The registry copy: kept by events, asked by who judges a bill."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.registry.models import InstitutionCopy, ResidentCopy
from safety_net_service.registry.repository import Registry
from safety_net_service.settlements.rules import UNKNOWN_KIND, Institution, InsuranceSpan, Patient, PovertySpan, Span
from shared.events.contract import InstitutionChanged, ResidentChanged

NO_COUNTY = "000000"


async def keep_resident(session: AsyncSession, event: ResidentChanged) -> set[str]:
    """Keep a newer state of a resident; the identities whose bills must be looked at again (none for old news)."""
    registry = Registry(session)
    # First: it takes the resident's row, and so the identities read after it are nobody else's to change.
    fresh = await registry.keep_resident(
        {
            "resident_id": event.resident_id,
            "revision": event.revision,
            "county_code": event.county_code,
            "village_code": event.village_code,
            "name_digest": event.name_digest,
            "birth_date": event.birth_date,
            "registered_poor": [period.model_dump(mode="json") for period in event.registered_poor],
            "insurance": [period.model_dump(mode="json") for period in event.insurance],
            "household_registration": event.household_registration,
            "birth_document": event.birth_document,
            "severe_mental_disorder": event.severe_mental_disorder,
        }
    )
    if not fresh:
        return set()
    before = await registry.digests_of(event.resident_id)
    await registry.keep_identities(event.resident_id, ((each.type, each.digest) for each in event.identities))
    return before | {identity.digest for identity in event.identities}


async def keep_institution(session: AsyncSession, event: InstitutionChanged) -> bool:
    """Keep a newer state of an institution; whether bills must be looked at again (a new name alters none)."""
    registry = Registry(session)
    known = await registry.institution(event.institution_code, lock=True)
    before = (known.kind, known.county_code, known.insurance_designated) if known is not None else None
    designated = [period.model_dump(mode="json") for period in event.insurance_designated]
    fresh = await registry.keep_institution(
        {
            "institution_code": event.institution_code,
            "revision": event.revision,
            "county_code": event.county_code,
            "name": event.name,
            "kind": event.kind,
            "insurance_designated": designated,
        }
    )
    return fresh and before != (event.kind, event.county_code, designated)


async def hold_still(session: AsyncSession, identity_digest: str | None, institution_code: str) -> bool:
    """Say that a bill is being judged by these two until this transaction ends; False to try again in a moment.

    A registration may commit meanwhile: whoever then looks for the bills it touches first outwaits this transaction
    (`outwait_judges`), and so finds the bill though it was judged by what was known before. Never waits itself.
    """
    names = [_lock("institution", institution_code)] + ([_lock("identity", identity_digest)] if identity_digest else [])
    return await Registry(session).hold_still(names)


async def outwait_judges(session: AsyncSession, kind: str, key: str) -> None:
    """Wait until no bill is being judged by what was known of this identity or institution before.

    The caller must hold nothing that a judge could wait for.
    """
    await Registry(session).outwait(_lock(kind, key))


async def candidates(session: AsyncSession, identity_digest: str | None, name_digest: str) -> tuple[Patient, ...]:
    """The residents a bill's identity number names, in whichever counties' registers."""
    if identity_digest is None:
        return ()
    found = await Registry(session).bearers(identity_digest)
    return tuple(_patient(resident, kinds, name_digest) for resident, kinds in found)


async def institution(session: AsyncSession, institution_code: str) -> Institution | None:
    """The institution of a bill, if it is known here."""
    known = await Registry(session).institution(institution_code)
    return None if known is None else _known_institution(known)


def unknown_institution(institution_code: str, people: Sequence[Patient], day: date) -> Institution:
    """What stands in for an institution nobody has registered: nothing is to be found against it, nor for it.

    It is taken to lie in a county of its patient, else in the one that its insurance code names.
    """
    found = re.search("[0-9]{6}", institution_code)
    county = found[0] if found else NO_COUNTY
    counties = [person.county_code for person in people]
    where = county if county in counties or not counties else counties[0]
    return Institution(institution_code, kind=UNKNOWN_KIND, county_code=where, designated=(Span(day),))


async def township_of(session: AsyncSession, resident_id: UUID | None) -> str | None:
    """The township a resident lives in."""
    if resident_id is None:
        return None
    resident = await session.get(ResidentCopy, resident_id)
    return resident.village_code[:9] if resident is not None else None


async def institution_name(session: AsyncSession, institution_code: str) -> str:
    """What the institution is called; its code while it is unknown here."""
    known = await Registry(session).institution(institution_code)
    return known.name if known is not None else institution_code


def _lock(kind: str, key: str) -> str:
    return f"{kind}:{key}"


def _patient(resident: ResidentCopy, kinds: list[str], name_digest: str) -> Patient:
    return Patient(
        resident_id=str(resident.resident_id),
        # the county is that of the village, wherever the register is kept.
        county_code=resident.village_code[:6],
        birth_date=resident.birth_date,
        poverty=tuple(PovertySpan(*_days(period), period["category"]) for period in resident.registered_poor),
        insurance=tuple(
            InsuranceSpan(*_days(period), period["scheme"], _spans(period["suspended"]))
            for period in resident.insurance
        ),
        household_registration=resident.household_registration,
        birth_document=resident.birth_document,
        identity_types=tuple(kinds),
        severe_mental_disorder=resident.severe_mental_disorder,
        name_matches=resident.name_digest == name_digest,
    )


def _known_institution(known: InstitutionCopy) -> Institution:
    return Institution(
        institution_code=known.institution_code,
        kind=known.kind,
        county_code=known.county_code,
        designated=_spans(known.insurance_designated),
    )


def _spans(periods: Iterable[Mapping[str, Any]]) -> tuple[Span, ...]:
    return tuple(Span(*_days(period)) for period in periods)


def _days(period: Mapping[str, Any]) -> tuple[date, date | None]:
    last = period["last_day"]
    return date.fromisoformat(period["first_day"]), None if last is None else date.fromisoformat(last)
