"""Every SQL statement about residents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from contract_service.residents.models import Resident, ResidentIdentity, ResidentState
from shared.kit.cursors import Page


def _begins(column: InstrumentedAttribute[str], begin: str) -> ColumnElement[bool]:
    # Not LIKE: PostgreSQL does not trust it to keep silent about rows, so under row-level security it uses no index.
    return column.bool_op("^@")(begin)


@dataclass(frozen=True)
class Reach:
    """Which residents a caller may see: a county's, all of them or those in villages with these beginnings."""

    county_code: str
    villages: tuple[str, ...] | None

    def condition(self) -> list[ColumnElement[bool]]:
        """The same as conditions of a query."""
        mine = [Resident.county_code == self.county_code]
        if self.villages is not None:
            mine.append(or_(false(), *(_begins(Resident.village_code, begin) for begin in self.villages)))
        return mine


class Residents:
    """The register of residents."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    def add(self, resident: Resident) -> None:
        """Register a resident."""
        self.session.add(resident)

    async def one(self, reach: Reach, resident_id: UUID, *, to_change: bool = False) -> Resident | None:
        """One resident within reach; ``to_change`` makes others who want to change him wait."""
        query = select(Resident).where(Resident.resident_id == resident_id, *reach.condition())
        return (await self.session.scalars(query.with_for_update() if to_change else query)).one_or_none()

    async def of_digest(self, reach: Reach, digest: str) -> Resident | None:
        """Who is or was known by this document."""
        query = select(Resident).join(
            ResidentIdentity,
            (ResidentIdentity.county_code == Resident.county_code)
            & (ResidentIdentity.resident_id == Resident.resident_id),
        )
        query = query.where(ResidentIdentity.digest == digest, *reach.condition())
        return (await self.session.scalars(query)).one_or_none()

    async def page(
        self, reach: Reach, page: Page, *, name: str | None, household_no: str | None, village_code: str | None
    ) -> list[Resident]:
        """Newest first; one more than the page holds, if there is one. ``name`` is the beginning of a plain name."""
        query = select(Resident).where(*reach.condition()).order_by(Resident.seq.desc()).limit(page.limit + 1)
        if name is not None:
            query = query.where(_begins(Resident.plain_name, name))
        if household_no is not None:
            query = query.where(Resident.household_no == household_no)
        if village_code is not None:
            query = query.where(Resident.village_code == village_code)
        if page.after:
            query = query.where(Resident.seq < page.after[0])
        return list(await self.session.scalars(query))

    async def of_ids(self, resident_ids: Iterable[UUID]) -> list[Resident]:
        """These residents, of whichever county, in the order of their registration."""
        query = select(Resident).where(Resident.resident_id.in_(set(resident_ids))).order_by(Resident.seq)
        return list(await self.session.scalars(query))

    async def raise_revisions(self, floor: int) -> None:
        """Let every record count its changes from here on."""
        await self.session.execute(update(Resident).values(revision=floor))

    async def identities(self, residents: Iterable[Resident]) -> dict[UUID, list[ResidentIdentity]]:
        """The documents of these residents: the present one first, then the former ones, latest first."""
        found: dict[UUID, list[ResidentIdentity]] = {resident.resident_id: [] for resident in residents}
        query = select(ResidentIdentity).where(
            ResidentIdentity.county_code.in_({resident.county_code for resident in residents}),
            ResidentIdentity.resident_id.in_(found),
        )
        query = query.order_by(ResidentIdentity.present.desc(), ResidentIdentity.known_since.desc())
        for identity in await self.session.scalars(query):
            found[identity.resident_id].append(identity)
        return found

    async def claim_identity(self, identity: dict[str, Any]) -> UUID | None:
        """Make a document this resident's present one; whose it is already, if it is another's.

        The primary key decides, not a look before: a registration in work is waited for.
        """
        county_code, digest, owner = identity["county_code"], identity["digest"], identity["resident_id"]
        await self.session.execute(
            update(ResidentIdentity)
            .where(ResidentIdentity.county_code == county_code, ResidentIdentity.resident_id == owner)
            .values(present=False)
        )
        put = insert(ResidentIdentity).values(**identity, present=True)
        put = put.on_conflict_do_update(
            index_elements=["county_code", "digest"],
            set_={name: put.excluded[name] for name in ("present", "type", "sealed_last_four")},
            where=ResidentIdentity.resident_id == owner,
        )
        if await self.session.scalar(put.returning(ResidentIdentity.resident_id)) is not None:
            return None
        query = select(ResidentIdentity.resident_id).where(ResidentIdentity.county_code == county_code)
        return (await self.session.scalars(query.where(ResidentIdentity.digest == digest))).one()

    def keep_state(self, resident: Resident, state: dict[str, Any], changed_by: str) -> None:
        """Write the present state into the history."""
        self.session.add(
            ResidentState(
                county_code=resident.county_code,
                resident_id=resident.resident_id,
                revision=resident.revision,
                state=state,
                changed_by=changed_by,
                changed_at=resident.changed_at,
            )
        )

    async def states(self, resident: Resident, page: Page) -> Sequence[ResidentState]:
        """Every state the record had, newest first."""
        query = select(ResidentState).where(
            ResidentState.county_code == resident.county_code, ResidentState.resident_id == resident.resident_id
        )
        query = query.order_by(ResidentState.revision.desc()).limit(page.limit + 1)
        if page.after:
            query = query.where(ResidentState.revision < page.after[0])
        return (await self.session.scalars(query)).all()
