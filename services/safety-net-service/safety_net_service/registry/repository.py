"""SQL of the registry copy."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.registry.models import InstitutionCopy, ResidentCopy, ResidentIdentity
from shared.kit.direct import Direct

# A statement of its own: what is read after it is what stood once the facts were held still.
HELD_STILL = """
select name from unnest($1::text[]) as name where pg_try_advisory_xact_lock_shared(hashtextextended(name, 0))
"""
KNOWN = """
select
  (select coalesce(json_agg(i), '[]') from (
    select institution_code, kind, county_code, insurance_designated
    from institution_copies where institution_code = any($1)
  ) i)::text,
  (select coalesce(json_agg(b), '[]') from (
    select found.digest, resident_id, village_code, name_digest, birth_date, registered_poor, insurance,
      household_registration, birth_document, severe_mental_disorder,
      (select array_agg(each.type order by each.type) from resident_identities each
        where each.resident_id = found.resident_id) as kinds
    from (select distinct digest, resident_id from resident_identities where digest = any($2)) found
    join resident_copies using (resident_id)
    order by county_code, resident_id
  ) b)::text
"""


class KnownInstitution(msgspec.Struct, frozen=True):
    """What bills are judged by of an institution; the columns of `InstitutionCopy`."""

    institution_code: str
    kind: str
    county_code: str
    insurance_designated: list[dict[str, Any]]


class Bearer(msgspec.Struct, frozen=True):
    """A resident found by the digest of an identity, with the types of all identities he has; as `ResidentCopy`."""

    digest: str
    resident_id: UUID
    village_code: str
    name_digest: str
    birth_date: date
    registered_poor: list[dict[str, Any]]
    insurance: list[dict[str, Any]]
    household_registration: bool
    birth_document: str | None
    severe_mental_disorder: bool
    kinds: list[str]


_INSTITUTIONS, _BEARERS = msgspec.json.Decoder(list[KnownInstitution]), msgspec.json.Decoder(list[Bearer])


async def held_still(direct: Direct, names: Collection[str]) -> set[str]:
    """`Registry.hold_still` for many facts; those that are held."""
    return {row[0] for row in await (await direct.prepared(HELD_STILL)).fetch(list(names))}


async def known_of(
    direct: Direct, institution_codes: Collection[str], digests: Collection[str]
) -> tuple[list[KnownInstitution], list[Bearer]]:
    """The institutions of these codes, and the bearers of these identities as `Registry.bearers` gives them."""
    row = await (await direct.prepared(KNOWN)).fetchrow(list(institution_codes), list(digests))
    assert row is not None
    return _INSTITUTIONS.decode(row[0]), _BEARERS.decode(row[1])


class Registry:
    """Residents and institutions as this service knows them."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def outwait(self, name: str) -> None:
        """Wait for all who hold this fact still, and let nobody begin until this transaction ends."""
        await self.session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})

    async def hold_still(self, names: Sequence[str]) -> bool:
        """Keep these facts as they are until this transaction ends; False when somebody outwaits who does."""
        return bool(
            await self.session.scalar(
                text(
                    "select bool_and(pg_try_advisory_xact_lock_shared(hashtextextended(name, 0)))"
                    " from unnest(cast(:names as text[])) as name"
                ),
                {"names": list(names)},
            )
        )

    async def keep_resident(self, row: dict[str, Any]) -> bool:
        """Keep a newer state of a resident; False for one no newer than ours."""
        put = insert(ResidentCopy).values(row)
        put = put.on_conflict_do_update(
            index_elements=["resident_id"], set_=row, where=ResidentCopy.revision < put.excluded.revision
        )
        return await self.session.scalar(put.returning(ResidentCopy.resident_id)) is not None

    async def digests_of(self, resident_id: UUID) -> set[str]:
        """Every identity a resident is found by."""
        return set(
            await self.session.scalars(
                select(ResidentIdentity.digest).where(ResidentIdentity.resident_id == resident_id)
            )
        )

    async def keep_identities(self, resident_id: UUID, identities: Iterable[tuple[str, str]]) -> None:
        """Replace the (type, digest) pairs of a resident."""
        await self.session.execute(delete(ResidentIdentity).where(ResidentIdentity.resident_id == resident_id))
        rows = [
            {"resident_id": resident_id, "type": kind, "digest": digest} for kind, digest in sorted(set(identities))
        ]
        if rows:
            await self.session.execute(insert(ResidentIdentity), rows)

    async def bearers(self, digest: str) -> list[tuple[ResidentCopy, list[str]]]:
        """The residents, of whichever county, one of whose identities this is, with the types of all they have."""
        mine = select(ResidentIdentity.resident_id).where(ResidentIdentity.digest == digest)
        rows = await self.session.execute(
            select(ResidentCopy, ResidentIdentity.type)
            .join(ResidentIdentity, ResidentIdentity.resident_id == ResidentCopy.resident_id)
            .where(ResidentCopy.resident_id.in_(mine))
            .order_by(ResidentCopy.county_code, ResidentCopy.resident_id, ResidentIdentity.type)
            .execution_options(populate_existing=True)
        )
        found: dict[UUID, tuple[ResidentCopy, list[str]]] = {}
        for resident, kind in rows:
            found.setdefault(resident.resident_id, (resident, []))[1].append(kind)
        return list(found.values())

    async def keep_institution(self, row: dict[str, Any]) -> bool:
        """Keep a newer state of an institution; False for one no newer than ours."""
        put = insert(InstitutionCopy).values(row)
        put = put.on_conflict_do_update(
            index_elements=["institution_code"], set_=row, where=InstitutionCopy.revision < put.excluded.revision
        )
        return await self.session.scalar(put.returning(InstitutionCopy.institution_code)) is not None

    async def institution(self, institution_code: str, *, lock: bool = False) -> InstitutionCopy | None:
        """An institution as last heard; locked, nobody else changes it meanwhile."""
        return await self.session.get(
            InstitutionCopy, institution_code, populate_existing=True, with_for_update=True if lock else None
        )
