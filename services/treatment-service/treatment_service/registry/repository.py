"""SQL of the registry copy."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.database import as_service
from treatment_service.registry.models import InstitutionCopy, ResidentCopy, ResidentIdentity


class Registry:
    """Residents and institutions as this service knows them."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def keep_resident(
        self, resident_id: UUID, revision: int, county_code: str, village_code: str, digests: Iterable[str]
    ) -> bool:
        """Keep a newer state of a resident; False for one no newer than ours."""
        row = {
            "resident_id": resident_id,
            "revision": revision,
            "county_code": county_code,
            "village_code": village_code,
        }
        put = insert(ResidentCopy).values(row)
        put = put.on_conflict_do_update(
            index_elements=["resident_id"], set_=row, where=ResidentCopy.revision < put.excluded.revision
        )
        if await self.session.scalar(put.returning(ResidentCopy.resident_id)) is None:
            return False
        await self.session.execute(delete(ResidentIdentity).where(ResidentIdentity.resident_id == resident_id))
        await self.session.execute(
            insert(ResidentIdentity), [{"resident_id": resident_id, "digest": digest} for digest in set(digests)]
        )
        return True

    async def keep_institution(self, institution: dict[str, object]) -> bool:
        """Keep a newer state of an institution; False for one no newer than ours."""
        put = insert(InstitutionCopy).values(institution)
        put = put.on_conflict_do_update(
            index_elements=["institution_code"],
            set_=institution,
            where=InstitutionCopy.revision < put.excluded.revision,
        )
        return await self.session.scalar(put.returning(InstitutionCopy.institution_code)) is not None

    async def institutions(self, codes: Iterable[str]) -> dict[str, InstitutionCopy]:
        """The institutions of these codes that we know."""
        rows = await self.session.scalars(
            select(InstitutionCopy).where(InstitutionCopy.institution_code.in_(set(codes)))
        )
        return {row.institution_code: row for row in rows}

    async def counties_of(self, digests: Iterable[str]) -> dict[str, str]:
        """The county of who bears an identity document; of a person in two registers, either."""
        query = (
            select(ResidentIdentity.digest, ResidentCopy.county_code)
            .join(ResidentCopy, ResidentCopy.resident_id == ResidentIdentity.resident_id)
            .where(ResidentIdentity.digest.in_(set(digests)))
            .order_by(ResidentCopy.county_code)
        )
        # A bill is paid where its patient is registered, whose office may not be the caller's.
        async with as_service(self.session):
            rows = (await self.session.execute(query)).all()
        return {row.digest: row.county_code for row in rows}
