"""Every SQL statement about discharge bills."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, String, Uuid, and_, any_, func, literal, or_, select, text, true, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.caller import Caller
from shared.kit.database import as_service
from shared.kit.direct import Direct, arrays
from treatment_service.discharges.models import BillSettlement, BillVersion, Discharge, DischargeChange

CHUNK = 500
PLACING_LOCK = 7_320_001
PORTION = 5000
COUNTY_ROLES = ("hrss", "health_bureau", "safety_net_office", "auditor")

_SETTLED = {
    "discharge_id": "uuid",
    "revision": "bigint",
    "bill_version": "int",
    "settlement_id": "uuid",
    "county_code": "text",
    "state": "text",
    "procedure": "text",
    "settlement": "json",
}
_NAMES = ", ".join(_SETTLED)
KEEP_SETTLED = f"""
with given as (
  select * from unnest({arrays(_SETTLED.values())})
    with ordinality as g({_NAMES}, place)
), kept as (
  insert into bill_settlements ({_NAMES}) select {_NAMES} from given order by discharge_id
  on conflict (discharge_id) do update set {", ".join(f"{name} = excluded.{name}" for name in _SETTLED)}
  where bill_settlements.revision < excluded.revision
  returning discharge_id
), noted as (
  update discharges d set county_code = g.county_code,
    state = case when d.state <> 'voided' and d.version = g.bill_version then g.state else d.state end
  from given g join kept using (discharge_id) where d.discharge_id = g.discharge_id
  returning g.place, d.institution_code, d.discharge_id, d.bill_no, d.version, d.state, g.settlement_id
), told as (
  insert into discharge_changes (institution_code, discharge_id, bill_no, version, state, settlement_id)
  select institution_code, discharge_id, bill_no, version, state, settlement_id from noted order by place
)
select discharge_id from kept
"""


async def keep_settled(direct: Direct, settlements: Sequence[Mapping[str, Any]]) -> set[UUID]:
    """Keep settlements, each of another bill, note them beside their bills and for the hospitals that poll; which of
    them were newer than ours. The ``settlement`` of each is JSON text.
    """
    arrays = [[settlement[name] for settlement in settlements] for name in _SETTLED]
    return {row[0] for row in await (await direct.prepared(KEEP_SETTLED)).fetch(*arrays)}


def visible_to(caller: Caller) -> Any:
    """Which bills a caller may see: a hospital its own, county offices their county's."""
    mine = []
    if caller.has("hospital") and caller.institution_code:
        mine.append(Discharge.institution_code == caller.institution_code)
    if caller.has(*COUNTY_ROLES):
        mine.append(Discharge.county_code == caller.county_code)
        mine.append(Discharge.recorded_county_code == caller.county_code)
    return or_(*mine) if mine else ~true()


def _one_of(column: Any, discharge_ids: Collection[UUID]) -> Any:
    """One parameter however many ids: a statement that lists them takes longer to write down than to run."""
    return column == any_(literal(list(discharge_ids), ARRAY(Uuid)))


class Discharges:
    """Bills, their versions and what became of them."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, bills: Sequence[dict[str, Any]], versions: Sequence[dict[str, Any]]) -> set[UUID]:
        """Add first versions; which of them are new. The natural key decides, for ever and under any concurrency."""
        added: set[UUID] = set()
        for start in range(0, len(bills), CHUNK):
            put = insert(Discharge).values(list(bills[start : start + CHUNK]))
            # Whichever key meets it first: the id is made of the natural key, so both say the same.
            put = put.on_conflict_do_nothing()
            added |= set(await self.session.scalars(put.returning(Discharge.discharge_id)))
        new = [version for version in versions if version["discharge_id"] in added]
        for start in range(0, len(new), CHUNK):
            await self.session.execute(insert(BillVersion).values(new[start : start + CHUNK]))
        return added

    async def add_version(self, version: dict[str, Any]) -> None:
        """Add a correction's or a void's version. The caller holds the bill's row lock."""
        await self.session.execute(insert(BillVersion).values(version))

    async def version(self, institution_code: str, bill_no: str, version: int) -> BillVersion | None:
        """A version by its natural key."""
        return await self.session.get(BillVersion, (institution_code, bill_no, version))

    async def versions(self, keys: Collection[tuple[str, str, int]]) -> dict[tuple[str, str, int], BillVersion]:
        """Versions by their natural keys."""
        found: dict[tuple[str, str, int], BillVersion] = {}
        natural, wanted = tuple_(BillVersion.institution_code, BillVersion.bill_no, BillVersion.version), sorted(keys)
        for start in range(0, len(wanted), CHUNK):
            columns = zip(*wanted[start : start + CHUNK], strict=True)
            asked = select(
                *(
                    func.unnest(literal(list(values), ARRAY(kind)))
                    for values, kind in zip(columns, (String, String, Integer), strict=True)
                )
            )
            rows = await self.session.scalars(select(BillVersion).where(natural.in_(asked)))
            found |= {(row.institution_code, row.bill_no, row.version): row for row in rows}
        return found

    async def one(self, discharge_id: UUID, caller: Caller, *, lock: bool = False) -> Discharge | None:
        """A bill the caller may see."""
        query = select(Discharge).where(Discharge.discharge_id == discharge_id, visible_to(caller))
        return await self.session.scalar(query.with_for_update() if lock else query)

    async def many(self, discharge_ids: Sequence[UUID], caller: Caller) -> list[Discharge]:
        """Those of these bills that the caller may see."""
        query = select(Discharge).where(_one_of(Discharge.discharge_id, discharge_ids), visible_to(caller))
        return list(await self.session.scalars(query))

    async def locked(self, discharge_id: UUID) -> Discharge | None:
        """A bill, locked against corrections while its settlement is noted."""
        query = select(Discharge).where(Discharge.discharge_id == discharge_id).with_for_update()
        return await self.session.scalar(query)

    async def latest_content(self, discharge_id: UUID) -> BillVersion:
        """The newest version that carries a bill (a void carries none of its own)."""
        query = (
            select(BillVersion)
            .where(BillVersion.discharge_id == discharge_id, BillVersion.kind != "void")
            .order_by(BillVersion.version.desc())
            .limit(1)
        )
        return (await self.session.scalars(query)).one()

    async def settlements_of(self, discharge_ids: Sequence[UUID]) -> dict[UUID, BillSettlement]:
        """The settlements of these bills, as far as they were heard."""
        among = _one_of(BillSettlement.discharge_id, discharge_ids)
        rows = await self.session.scalars(select(BillSettlement).where(among))
        return {row.discharge_id: row for row in rows}

    async def keep_settlement(self, settlement: dict[str, Any]) -> bool:
        """Keep a newer settlement; False for one no newer than ours."""
        put = insert(BillSettlement).values(settlement)
        put = put.on_conflict_do_update(
            index_elements=["discharge_id"], set_=settlement, where=BillSettlement.revision < put.excluded.revision
        )
        return await self.session.scalar(put.returning(BillSettlement.discharge_id)) is not None

    async def flags(self, bill: Discharge) -> list[str]:
        """What looks odd beside the patient's other bills, whoever recorded them; shown, never refused (R-34, R-35)."""
        async with as_service(self.session):
            other = and_(Discharge.discharge_id != bill.discharge_id, Discharge.state != "voided")
            found = []
            if bill.identity_digest is not None:
                overlapping = select(Discharge.seq).where(
                    other,
                    Discharge.identity_digest == bill.identity_digest,
                    Discharge.admitted_on < bill.discharged_on,
                    Discharge.discharged_on > bill.admitted_on,
                )
                if await self.session.scalar(overlapping.limit(1)) is not None:
                    found.append("overlapping_stay")
            repeated = select(Discharge.seq).where(
                other,
                Discharge.institution_code == bill.institution_code,
                Discharge.admission_no == bill.admission_no,
            )
            if await self.session.scalar(repeated.limit(1)) is not None:
                found.append("repeated_admission_no")
        return found

    async def page(
        self,
        caller: Caller,
        *,
        limit: int,
        before: int | None,
        institution_code: str | None,
        discharged_from: date | None,
        discharged_to: date | None,
        state: str | None,
    ) -> list[Discharge]:
        """Bills the caller may see, newest first."""
        query = select(Discharge).where(visible_to(caller))
        if institution_code is not None:
            query = query.where(Discharge.institution_code == institution_code)
        if discharged_from is not None:
            query = query.where(Discharge.discharged_on >= discharged_from)
        if discharged_to is not None:
            query = query.where(Discharge.discharged_on <= discharged_to)
        if state is not None:
            query = query.where(Discharge.state == state)
        if before is not None:
            query = query.where(Discharge.seq < before)
        return list(await self.session.scalars(query.order_by(Discharge.seq.desc()).limit(limit)))

    async def changes(self, institution_code: str, after: int, limit: int) -> list[DischargeChange]:
        """A hospital's changes in the order in which they were committed."""
        query = select(DischargeChange).where(
            DischargeChange.institution_code == institution_code, DischargeChange.position > after
        )
        return list(await self.session.scalars(query.order_by(DischargeChange.position).limit(limit)))

    async def place_changes(self) -> int:
        """Give a portion of the committed changes their positions; how many. Rows still being written come later."""
        await self.session.execute(select(func.pg_advisory_xact_lock(PLACING_LOCK)))
        placed = await self.session.execute(
            text(
                "update discharge_changes c set position = n.position from ("
                "  select seq, row_number() over (order by seq)"
                "    + (select coalesce(max(position), 0) from discharge_changes) as position"
                "  from discharge_changes where position is null order by seq limit :portion) n "
                "where c.seq = n.seq returning c.seq"
            ).bindparams(portion=PORTION)
        )
        return len(placed.all())

    async def raise_positions(self, floor: int) -> None:
        """Let changes be numbered from here on: a hospital's cursor may stand beyond what a backup holds.

        The last change is told once more, under the new number.
        """
        last = select(func.max(DischargeChange.position)).scalar_subquery()
        await self.session.execute(
            update(DischargeChange).where(DischargeChange.position == last).values(position=floor)
        )

    def note_change(self, bill: Discharge | dict[str, Any], state: str, settlement_id: UUID | None = None) -> None:
        """Let the hospital learn of a change by polling."""
        read = bill.get if isinstance(bill, dict) else lambda name: getattr(bill, name)
        names = ("institution_code", "discharge_id", "bill_no", "version")
        self.session.add(
            DischargeChange(**{name: read(name) for name in names}, state=state, settlement_id=settlement_id)
        )
