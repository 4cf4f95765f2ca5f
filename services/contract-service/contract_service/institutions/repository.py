"""Every SQL statement about institutions."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.institutions.models import Institution, InstitutionState
from shared.kit import clock
from shared.kit.cursors import Page


class Institutions:
    """The register of institutions."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, facts: dict[str, Any], county_code: str, has_client: bool) -> Institution | None:
        """Register an institution; None when its code stands already (a registration in work is waited for)."""
        row = {
            **facts,
            "registered_by_county": county_code,
            "has_client": has_client,
            "revision": 1,
            "changed_at": clock.now(),
        }
        put = insert(Institution).values(row).on_conflict_do_nothing(index_elements=["institution_code"])
        return (await self.session.scalars(put.returning(Institution))).one_or_none()

    async def of_code(self, code: str, *, to_change: bool = False) -> Institution | None:
        """One institution; ``to_change`` makes others who want to change it wait."""
        query = select(Institution).where(Institution.institution_code == code)
        if to_change:
            # It may have been read before its lock was had.
            query = query.with_for_update().execution_options(populate_existing=True)
        return (await self.session.scalars(query)).one_or_none()

    async def without_client(self, codes: Iterable[str]) -> Sequence[Institution]:
        """Those of these institutions that are not yet known to post their own bills, to be changed."""
        query = select(Institution).where(Institution.institution_code.in_(set(codes)), ~Institution.has_client)
        return (await self.session.scalars(query.order_by(Institution.institution_code).with_for_update())).all()

    async def of_codes(self, codes: Iterable[str]) -> Sequence[Institution]:
        """These institutions, in the order of their registration."""
        query = select(Institution).where(Institution.institution_code.in_(set(codes))).order_by(Institution.seq)
        return (await self.session.scalars(query)).all()

    async def raise_revisions(self, floor: int) -> None:
        """Let every record count its changes from here on."""
        await self.session.execute(update(Institution).values(revision=floor))

    async def page(self, page: Page, filters: dict[str, str | None]) -> list[Institution]:
        """Newest first; one more than the page holds, if there is one."""
        query = select(Institution).order_by(Institution.seq.desc()).limit(page.limit + 1)
        for name, value in filters.items():
            if value is not None:
                query = query.where(getattr(Institution, name) == value)
        if page.after:
            query = query.where(Institution.seq < page.after[0])
        return list(await self.session.scalars(query))

    def keep_state(self, institution: Institution, state: dict[str, Any], changed_by: str) -> None:
        """Write the present state into the history."""
        self.session.add(
            InstitutionState(
                institution_code=institution.institution_code,
                revision=institution.revision,
                state=state,
                changed_by=changed_by,
                changed_at=institution.changed_at,
            )
        )

    async def states(self, code: str, page: Page) -> list[InstitutionState]:
        """Every state the record had, newest first."""
        query = select(InstitutionState).where(InstitutionState.institution_code == code)
        query = query.order_by(InstitutionState.revision.desc()).limit(page.limit + 1)
        if page.after:
            query = query.where(InstitutionState.revision < page.after[0])
        return list(await self.session.scalars(query))
