"""A bill, what belongs to it, and the scope itself in one statement, as the path that money takes writes them."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from deploy.settings import Urls
from shared.kit.scope import NOBODY, Scope, set_scope
from tests.conftest import Starter
from tests.services.rows.decisions import FAR_HOSPITAL, HOSPITAL

ONE = f"""
with s as materialized (select {set_scope()}), k as (
  insert into idempotency_keys (caller, path, key, body_hash, status, ids)
  select $7, '/x', $8::text, '', 201, '{{}}' from s on conflict do nothing returning 1
), b as (
  insert into discharges (discharge_id, institution_code, bill_no, version, state, county_code, recorded_county_code,
    recorded_by_window, admission_no, admitted_on, discharged_on, total_fen)
  select $9, $10, $8::text, 1, 'recorded', '150824', '450223', false, 'A', '2018-08-01', '2018-08-11', 1 from k
  on conflict (institution_code, bill_no) do nothing returning recorded_at
), v as (
  insert into bill_versions (institution_code, bill_no, version, discharge_id, kind, content, sealed_name, recorded_by)
  select $10, $8::text, 1, $9, 'bill', '{{}}', 'x', $7 from b returning version
), c as (
  insert into discharge_changes (institution_code, discharge_id, bill_no, version, state)
  select $10, $9, $8::text, 1, 'recorded' from b returning seq
), a as (
  insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address)
  select '450223', $7, 'hospital', 'recorded', 'discharge', $9::uuid::text, '{{}}', '', '' from b returning seq
), o as (insert into outbox (event_id, subject, payload) select $9, 'x', '' from b returning seq)
select (select count(*) from k), (select count(*) from b), (select count(*) from v), (select count(*) from c),
  (select count(*) from a), (select seq from o) is not null
"""
MINE = Scope(institution=HOSPITAL, subject="his.a")


@pytest.fixture(scope="module")
async def treatment_alone(starter: Starter) -> Urls:
    """A database of its own: what is written here stays."""
    return await starter.database("treatment")


async def told(urls: Urls, scope: Scope, caller: str, code: str, bill_no: str) -> tuple[list[int], int]:
    """What the statement wrote, and how many bills of the number then stand."""
    connection, number = await asyncpg.connect(urls.service_url), uuid4()
    try:
        row = await connection.fetchrow(ONE, *scope.values, caller, bill_no, number, code)
        return list(row), await bills(urls, number)
    finally:
        await connection.close()


async def bills(urls: Urls, number: UUID) -> int:
    owner = await asyncpg.connect(urls.owner_url)
    found = await owner.fetchval("select count(*) from discharges where discharge_id = $1", number)
    await owner.close()
    return int(found)


async def test_a_hospital_writes_its_own_bill_in_one_statement(treatment_alone: Urls) -> None:
    urls, bill_no = treatment_alone, str(uuid4())
    assert await told(urls, MINE, "his.a", HOSPITAL, bill_no) == ([1, 1, 1, 1, 1, True], 1)
    assert await told(urls, MINE, "his.a", HOSPITAL, bill_no) == ([0, 0, 0, 0, 0, False], 0), "the key stands"
    other = Scope(institution=HOSPITAL, subject="his.b")
    assert await told(urls, other, "his.b", HOSPITAL, bill_no) == ([1, 0, 0, 0, 0, False], 0), "the number stands"


@pytest.mark.parametrize(
    ("scope", "caller", "code"),
    [
        (MINE, "his.a", FAR_HOSPITAL),
        (MINE, "somebody.else", HOSPITAL),
        (Scope(institution=FAR_HOSPITAL, subject="his.a"), "his.a", HOSPITAL),
        (Scope(county="150824", subject="his.a"), "his.a", HOSPITAL),
        (NOBODY, "his.a", HOSPITAL),
    ],
)
async def test_nobody_writes_another_hospitals(treatment_alone: Urls, scope: Scope, caller: str, code: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await told(treatment_alone, scope, caller, code, str(uuid4()))


async def test_the_scope_ends_with_the_statement(treatment_alone: Urls) -> None:
    connection = await asyncpg.connect(treatment_alone.service_url)
    await connection.fetchrow(ONE, *MINE.values, "his.a", str(uuid4()), uuid4(), HOSPITAL)
    assert await connection.fetchval("select count(*) from discharges") == 0
    await connection.close()
