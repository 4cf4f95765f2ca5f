"""The statements that record bills on the path that money takes: one for those that came singly, two for a batch's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.treatment import DischargeBilled
from shared.kit.direct import arrays

CHUNK = 500

# What is written of a single bill, and its SQL type. The first two are the scope, out of the token; what the row says
# of itself comes by other parameters, or a policy would only compare the row with itself.
COLUMNS = {
    **dict.fromkeys(("of_institution", "of_subject"), "text"),
    **dict.fromkeys(("caller", "path", "key"), "text"),
    "body_hash": "bytea",
    "ids": "jsonb",
    "discharge_id": "uuid",
    **dict.fromkeys(("institution_code", "bill_no", "identity_digest", "admission_no"), "text"),
    **dict.fromkeys(("admitted_on", "discharged_on"), "date"),
    "total_fen": "bigint",
    "content": "json",
    **dict.fromkeys(("sealed_identity", "sealed_name"), "text"),
    **dict.fromkeys(("audited_county", "roles", "request_id", "address", "reason"), "text"),
    "event_id": "uuid",
    "payload": "bytea",
}
_KEY, _BILL = slice(2, 5), list(COLUMNS).index("discharge_id")
_INSTITUTION = "set_config('app.institution', of_institution, true) is not null"
_SUBJECT = "set_config('app.subject', of_subject, true) is not null"

# Bills of many hospitals that wait together, each with its key, audit row, change and event, or nothing of it at all;
# one row for each, in their order. Each part is drawn from the one before it, so that it can't run earlier: `opened` is
# the service's own look at the registry (`given`): in which county somebody is registered is not the hospital's to see,
# only what follows from it; `closed` ends it when the last row was looked at.
# Each row is inserted in the scope of its own hospital: one of its columns tells it, and PostgreSQL computes a row's
# columns right before it holds the row against the policies. A row that came under another's scope would be refused.
# No row in `k`: the institution is unknown, or the bill number or the key stands. When the number is taken by somebody
# at this very moment, `k` stands and `b` does not: the division then undoes them all, and each is tried by itself. No
# two rows may have a key or a bill in common (`apart`).
RECORD = f"""
with opened as materialized (
  select {", ".join(f"set_config('app.{name}', '', true)" for name in ("county", "township", "village"))},
    set_config('app.service', 'on', true) as service
), given as materialized (
  select bill.*, (
      select i.county_code from institution_copies i where i.institution_code = bill.institution_code
    ) as county_code, (
      select r.county_code from resident_identities d join resident_copies r on r.resident_id = d.resident_id
      where d.digest = bill.identity_digest order by r.county_code desc limit 1
    ) as resident_county_code, (
      select true from discharges d where d.discharge_id = bill.discharge_id
    ) as stands
  from opened cross join unnest({arrays(COLUMNS.values())}) with ordinality as bill ({", ".join(COLUMNS)}, place)
  where opened.service is not null
), closed as materialized (
  select set_config('app.service', case when count(*) > 0 then '' end, true) as service from given
), fresh as materialized (
  select given.* from closed cross join given
  where county_code is not null and stands is null
), k as (
  insert into idempotency_keys (caller, path, key, body_hash, status, ids)
  select case when {_SUBJECT} then caller end, path, key, body_hash, 201, ids from fresh
  on conflict do nothing
  returning caller, path, key
), b as (
  insert into discharges (discharge_id, institution_code, bill_no, version, state, county_code, recorded_county_code,
    recorded_by_window, identity_digest, admission_no, admitted_on, discharged_on, total_fen)
  select discharge_id, case when {_INSTITUTION} then institution_code end, bill_no, 1, 'recorded',
    coalesce(resident_county_code, county_code), county_code, false, identity_digest, admission_no, admitted_on,
    discharged_on, total_fen
  from fresh join k using (caller, path, key)
  on conflict do nothing
  returning discharge_id, recorded_at
), v as (
  insert into bill_versions (institution_code, bill_no, version, discharge_id, kind, content, sealed_identity,
    sealed_name, recorded_by)
  select case when {_INSTITUTION} then institution_code end, bill_no, 1, discharge_id, 'bill', content,
    sealed_identity, sealed_name, case when {_SUBJECT} then caller end
  from fresh join b using (discharge_id)
), c as (
  insert into discharge_changes (institution_code, discharge_id, bill_no, version, state)
  select case when {_INSTITUTION} then institution_code end, discharge_id, bill_no, 1, 'recorded'
  from fresh join b using (discharge_id)
), a as (
  insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address, reason)
  select audited_county, case when {_SUBJECT} then caller end, roles, 'recorded', 'discharge', discharge_id::text,
    '{{"version": 1}}', request_id, address, reason
  from fresh join b using (discharge_id)
), o as (
  insert into outbox (event_id, subject, payload)
  select event_id, '{DischargeBilled.subject}', payload from fresh join b using (discharge_id)
  returning seq, event_id
)
select recorded_at, seq, kept from given left join (
  select place, recorded_at, seq, 1 / (recorded_at is not null)::int as kept
  from fresh join k using (caller, path, key) left join b using (discharge_id) left join o using (event_id)
) as written using (place)
order by place
"""


def apart(row: Sequence[Any]) -> tuple[Any, UUID]:
    """What rows of `RECORD` may not have in common: key and bill."""
    return tuple(row[_KEY]), row[_BILL]


HEADS = """
insert into discharges (discharge_id, institution_code, bill_no, version, state, county_code, recorded_county_code,
  recorded_by_window, identity_digest, admission_no, admitted_on, discharged_on, total_fen)
select discharge_id, $2, bill_no, 1, 'recorded', coalesce((
    select r.county_code from resident_identities d join resident_copies r on r.resident_id = d.resident_id
    where d.digest = identity_digest order by r.county_code desc limit 1
  ), $3), $3, false, identity_digest, admission_no, admitted_on, discharged_on, total_fen
from unnest($1::uuid[], $4::text[], $5::text[], $6::text[], $7::date[], $8::date[], $9::bigint[])
  with ordinality
  as bill (discharge_id, bill_no, identity_digest, admission_no, admitted_on, discharged_on, total_fen, place)
order by place
on conflict do nothing
returning discharge_id, recorded_at
"""

REST = """
with v as (
  insert into bill_versions (institution_code, bill_no, version, discharge_id, kind, content, sealed_identity,
    sealed_name, recorded_by)
  select $2, bill_no, 1, discharge_id, 'bill', content::json, sealed_identity, sealed_name, $3
  from unnest($1::uuid[], $4::text[], $5::text[], $6::text[], $7::text[])
    as bill (discharge_id, bill_no, content, sealed_identity, sealed_name)
), c as (
  insert into discharge_changes (institution_code, discharge_id, bill_no, version, state)
  select $2, discharge_id, bill_no, 1, 'recorded'
  from unnest($1::uuid[], $4::text[]) with ordinality as bill (discharge_id, bill_no, place) order by place
), a as (
  insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address, reason)
  select $8, $3, $9, 'recorded', 'discharge', discharge_id::text, '{"version": 1}', $10, $11, $12
  from unnest($1::uuid[]) with ordinality as bill (discharge_id, place) order by place
)
insert into outbox (event_id, subject, payload)
select event_id, $13, payload
from unnest($14::uuid[], $15::bytea[]) with ordinality as event (event_id, payload, place) order by place
returning seq, event_id
"""


class Intake:
    """Bills on their way in, many at a time, inside the transaction of a session."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add_heads(
        self, institution_code: str, county_code: str, columns: Sequence[Sequence[Any]]
    ) -> Mapping[UUID, datetime]:
        """Add first versions of one institution, in this order; which of them are new, and since when.

        ``columns``: discharge_id, bill_no, identity_digest, admission_no, admitted_on, discharged_on, total_fen.
        """
        connection = await self._connection()
        rows = await connection.fetch(HEADS, columns[0], institution_code, county_code, *columns[1:])
        return {row["discharge_id"]: row["recorded_at"] for row in rows}

    async def add_rest(self, *values: Any) -> Mapping[UUID, int]:
        """Add what belongs to new bills: version, change, audit row, event; the events' places in the outbox."""
        rows = await (await self._connection()).fetch(REST, *values)
        return {row["event_id"]: row["seq"] for row in rows}

    async def _connection(self) -> Any:
        """The driver's own connection, in the session's transaction."""
        pooled = await (await self.session.connection()).get_raw_connection()
        return pooled.driver_connection
