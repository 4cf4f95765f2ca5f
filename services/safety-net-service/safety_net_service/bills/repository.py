"""SQL of bills and of what is to be looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, case, cast, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.models import AT_ONCE, IN_TURN, Bill, Look
from shared.events.safety_net import BillSettled
from shared.kit.caller import SYSTEM
from shared.kit.database import Said
from shared.kit.direct import Direct, arrays

_BILL = {
    "discharge_id": "uuid",
    "version": "int",
    "institution_code": "text",
    "identity_digest": "text",
    "facts": "jsonb",
    "settlement_revision": "bigint",
    "wait_until": "timestamptz",
    "kind": "text",
    "due_at": "timestamptz",
}
_SETTLEMENT = {
    **dict.fromkeys(("county_code", "state", "decision", "procedure", "policy_pack", "policy_version"), "text"),
    **dict.fromkeys(("township_code", "institution_code"), "text"),
    **dict.fromkeys(("settlement_id", "discharge_id", "resident_id"), "uuid"),
    **dict.fromkeys(("reasons", "packs", "inputs", "answer"), "jsonb"),
    **dict.fromkeys(("admitted_on", "discharged_on"), "date"),
    **dict.fromkeys(("total_fen", "base_fen", "basic_insurance_fen", "critical_illness_fen"), "bigint"),
    **dict.fromkeys(("supplementary_insurance_fen", "medical_assistance_fen", "government_topup_fen"), "bigint"),
    **dict.fromkeys(("other_fen", "reimbursed_fen", "safety_net_fen", "hospital_share_fen"), "bigint"),
    **dict.fromkeys(("personal_fen", "patient_pays_fen"), "bigint"),
    "bill_version": "int",
    "made_at": "timestamptz",
}
_SAID = {"event_id": "uuid", "payload": "bytea", "detail": "jsonb", "request_id": "text"}
_MADE = {**_SETTLEMENT, **_SAID}


# A bill's row is what makes it ours to settle: everything else is written only for the rows that this statement made.
ADD_FIRST = f"""
with given as (
  select * from unnest({arrays(_BILL.values())}) with ordinality as g({", ".join(_BILL)}, place)
), kept as (
  insert into bills
    (discharge_id, version, voided, institution_code, identity_digest, facts, settlement_revision, wait_until)
  select discharge_id, version, false, institution_code, identity_digest, facts, settlement_revision, wait_until
  from given order by discharge_id
  on conflict do nothing returning discharge_id
), looked as (
  insert into looks (kind, key, rank, due_at)
  select kind, discharge_id::text, {AT_ONCE}, due_at from given join kept using (discharge_id)
  where kind is not null order by place
), made as materialized (
  select m.* from unnest({arrays(_MADE.values(), len(_BILL) + 1)}) with ordinality as m({", ".join(_MADE)}, place)
  join kept using (discharge_id)
), settled as (
  insert into settlements ({", ".join(_SETTLEMENT)}) select {", ".join(_SETTLEMENT)} from made order by place
), audited as (
  insert into audit
    (county_code, caller, roles, action, object_type, object_id, detail, request_id, address, reason)
  select county_code, '{SYSTEM.subject}', '', state, 'settlement', settlement_id::text, detail, request_id, '', ''
  from made order by place
), said as (
  insert into outbox (event_id, subject, payload)
  select event_id, '{BillSettled.subject}', payload from made order by place
  returning seq, event_id
)
select discharge_id, seq from kept left join made using (discharge_id) left join said using (event_id)
"""


@dataclass(frozen=True)
class FirstBill:
    """A bill nothing was heard of before, judged or to be looked at: columns of its row, of its `Look` if it has one
    (``kind``, ``due_at``), and of its settlement if it has one.
    """

    row: dict[str, Any]
    settlement: dict[str, Any] | None = None


async def add_first(direct: Direct, bills: Sequence[FirstBill]) -> tuple[set[UUID], list[Said]]:
    """Add bills with all that is said and done about them; which of them were new, and what was said of those."""
    made = [bill.settlement for bill in bills if bill.settlement is not None]
    arrays = [[bill.row.get(name) for bill in bills] for name in _BILL]
    arrays += [[each[name] for each in made] for name in _MADE]
    kept = {row[0]: row[1] for row in await (await direct.prepared(ADD_FIRST)).fetch(*arrays)}
    said = [
        Said(kept[each["discharge_id"]], each["event_id"], BillSettled.subject, each["payload"])
        for each in made
        if each["discharge_id"] in kept
    ]
    return set(kept), said


FLOOR = """
select (regexp_match(pg_get_expr(adbin, adrelid), '[0-9]+'))[1]::bigint from pg_attrdef
join pg_attribute on attrelid = adrelid and attnum = adnum
where adrelid = 'bills'::regclass and attname = 'settlement_revision'
"""


async def revision_floor(direct: Direct) -> int:
    """From which number the settlements of a bill not yet heard of are counted (`Bills.raise_revisions`)."""
    return int(await (await direct.prepared(FLOOR)).fetchval())


class Bills:
    """This service's copies of discharge bills."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def locked(self, discharge_id: UUID) -> Bill:
        """The row under which all work on one discharge is done; made if nothing was heard of it yet."""
        # Updating nothing takes the lock of a row that is there: one round trip instead of two.
        put = insert(Bill).values(discharge_id=discharge_id)
        put = put.on_conflict_do_update(index_elements=["discharge_id"], set_={"discharge_id": discharge_id})
        rows = await self.session.scalars(put.returning(Bill).execution_options(populate_existing=True))
        return rows.one()

    async def locked_if_free(self, discharge_id: UUID) -> Bill | None:
        """The same without waiting: None while somebody else works on this discharge."""
        mine = select(Bill).where(Bill.discharge_id == discharge_id).with_for_update(skip_locked=True)
        return await self.session.scalar(mine.execution_options(populate_existing=True))

    async def raise_revisions(self, floor: int) -> None:
        """Let every bill, also one not yet heard of, count its settlements from here on. Needs the owner's rights."""
        await self.session.execute(update(Bill).values(settlement_revision=floor))
        await self.session.execute(text(f"alter table bills alter settlement_revision set default {int(floor)}"))


class Looks:
    """What is to be looked at, and when."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    def add(self, kind: str, keys: Iterable[str], due_at: datetime) -> None:
        """Have something looked at, in this order, once this transaction has committed."""
        self.session.add_all(Look(kind=kind, key=key, due_at=due_at) for key in keys)

    async def next_due(self, moment: datetime) -> Look | None:
        """What is to be looked at first by now, locked; what others work on is left to them."""
        due = select(Look).where(Look.due_at <= moment).order_by(Look.rank, Look.due_at, Look.seq).limit(1)
        return await self.session.scalar(due.with_for_update(skip_locked=True))

    async def put_off(self, seq: int, until: datetime) -> None:
        """Not before then."""
        await self.session.execute(update(Look).where(Look.seq == seq).values(due_at=until))

    async def add_bills_of(self, kind: str, key: str, due_at: datetime) -> None:
        """Have the bills of an identity or an institution looked at, those that wait before those already judged."""
        column = Bill.identity_digest if kind == "identity" else Bill.institution_code
        rank = literal(AT_ONCE) if kind == "identity" else case((Bill.wait_until.is_(None), IN_TURN), else_=AT_ONCE)
        mine = select(literal("bill"), cast(Bill.discharge_id, Text), rank, literal(due_at))
        mine = mine.where(column == key, ~Bill.voided).order_by(Bill.discharge_id)
        await self.session.execute(insert(Look).from_select(["kind", "key", "rank", "due_at"], mine))
