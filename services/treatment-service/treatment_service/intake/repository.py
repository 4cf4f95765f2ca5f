"""The statements that record bills on the path that money takes: one for a single bill, two for a chunk of a batch."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.scope import set_scope

CHUNK = 500

# One bill with its key, audit row, change and event, or nothing of it at all. `$1`-`$6` are the scope, out of the
# token; what the row says of itself comes by other parameters, or a policy would only compare the row with itself.
# Each part is drawn from the one before it, so that it can't run earlier: `s` sets the scope; `l` opens it to the
# service's own look at the registry (`i`): in which county somebody is registered is not the hospital's to see, only
# what follows from it; `w` closes it again, and everything is inserted from `w`.
# No row in `k`: the institution is unknown, or the bill number or the key stands. When the number is taken by somebody
# at this very moment, `k` stands and `b` does not: the division then undoes the key too.
RECORD = f"""
with s (county, institution, township, village, subject, service) as materialized (
  select {set_scope()}
), l as materialized (
  select set_config('app.service', 'on', true) as service from s where s.service is not null
), i as materialized (
  select (
      select county_code from institution_copies where institution_code = $12 and l.service is not null
    ) as county_code, (
      select r.county_code from resident_identities d join resident_copies r on r.resident_id = d.resident_id
      where d.digest = $15 and l.service is not null order by r.county_code desc limit 1
    ) as resident_county_code, (
      select true from discharges where institution_code = $12 and bill_no = $13 and l.service is not null
    ) as stands
  from l
), w as materialized (
  select i.*, set_config('app.service', $6, true) as service from i
), k as (
  insert into idempotency_keys (caller, path, key, body_hash, status, ids)
  select $7, $8, $9, $10, 201, $11 from w where county_code is not null and stands is null and service is not null
  on conflict do nothing
  returning 1
), b as (
  insert into discharges (discharge_id, institution_code, bill_no, version, state, county_code, recorded_county_code,
    recorded_by_window, identity_digest, admission_no, admitted_on, discharged_on, total_fen)
  select $14, $12, $13, 1, 'recorded', coalesce(w.resident_county_code, w.county_code), w.county_code,
    false, $15, $16, $17, $18, $19
  from k cross join w
  on conflict do nothing
  returning recorded_at
), v as (
  insert into bill_versions (institution_code, bill_no, version, discharge_id, kind, content, sealed_identity,
    sealed_name, recorded_by)
  select $12, $13, 1, $14, 'bill', $20, $21, $22, $7 from b
), c as (
  insert into discharge_changes (institution_code, discharge_id, bill_no, version, state)
  select $12, $14, $13, 1, 'recorded' from b
), a as (
  insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address, reason)
  select $23, $7, $24, 'recorded', 'discharge', $14::uuid::text, '{{"version": 1}}', $25, $26, $27 from b
), o as (
  insert into outbox (event_id, subject, payload) select $28, $29, $30 from b returning seq
)
select (select recorded_at from b) as recorded_at, (select seq from o) as seq,
  case when (select count(*) from k) = 1 then 1 / (select count(*) from b) end as kept
"""

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
