"""The registry copy: kept by events, asked by who judges a bill."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.registry.models import InstitutionCopy, ResidentCopy
from safety_net_service.registry.repository import Bearer, KnownInstitution, Registry, held_still, known_of
from safety_net_service.settlements.rules import UNKNOWN_KIND, Institution, InsuranceSpan, Patient, PovertySpan, Span
from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.kit.direct import Direct

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
    return await Registry(session).hold_still(_locks(identity_digest, institution_code))


@dataclass(frozen=True)
class Held:
    """What is known of the people and institutions of many bills, held still until the transaction ends."""

    names: set[str]
    institutions: Mapping[str, Institution]
    bearers: Mapping[str, Sequence[Bearer]]

    def still(self, identity_digest: str | None, institution_code: str) -> bool:
        """Whether a bill may be judged by these two now; False to try again in a moment (`hold_still`)."""
        return self.names.issuperset(_locks(identity_digest, institution_code))

    def candidates(self, identity_digest: str | None, name_digest: str) -> tuple[Patient, ...]:
        """As `candidates`."""
        found = self.bearers.get(identity_digest or "", ())
        return tuple(_patient(bearer, bearer.kinds, name_digest) for bearer in found)

    def township_of(self, identity_digest: str | None, resident_id: str | None) -> str | None:
        """As `township_of`, for a resident found by this identity."""
        found = self.bearers.get(identity_digest or "", ())
        return next((bearer.village_code[:9] for bearer in found if str(bearer.resident_id) == resident_id), None)


async def hold_many_still(direct: Direct, pairs: Sequence[tuple[str | None, str]]) -> Held:
    """`hold_still` and what it is done for, for many bills: pairs of an identity's digest and an institution's code."""
    names = {name for digest, code in pairs for name in _locks(digest, code)}
    # In this order: what is read must be what stands while it is held.
    held = await held_still(direct, names)
    institutions, found = await known_of(direct, {code for _, code in pairs}, {digest for digest, _ in pairs if digest})
    bearers: dict[str, list[Bearer]] = {}
    for bearer in found:
        bearers.setdefault(bearer.digest, []).append(bearer)
    return Held(held, {each.institution_code: _known_institution(each) for each in institutions}, bearers)


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


def _locks(identity_digest: str | None, institution_code: str) -> list[str]:
    names = [_lock("institution", institution_code)]
    return [*names, _lock("identity", identity_digest)] if identity_digest else names


def _patient(resident: ResidentCopy | Bearer, kinds: list[str], name_digest: str) -> Patient:
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


def _known_institution(known: InstitutionCopy | KnownInstitution) -> Institution:
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
