"""Every table of every service, as its own role sees it in every scope: what is foreign is not there."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

import asyncpg
import pytest

from deploy.databases import APPEND_ONLY
from deploy.settings import Urls
from shared.kit.scope import SET, Scope
from tests.services.rows.county import insertion, mark_column, rows
from tests.services.rows.decisions import OPEN, PROTECTED, SCOPES, SERVICES, URAD

EACH = [(service, table) for service in SERVICES for table in sorted(PROTECTED[service])]
CALLERS = [name for name in SCOPES if name != "service"]
# Which of its three rows a caller may add again (under another key); what is not named is not for callers to add.
ADDED = {
    "audit": {"office": "a system", "far_office": "b system", "hospital": "z"},
    "idempotency_keys": {"office": "a", "far_office": "b"},
    "institutions": {"office": "a z", "far_office": "b"},
    "institution_states": {"office": "a z", "far_office": "b"},
    "working_days": {"office": "a z", "far_office": "b"},
    **{table: {"hospital": "a", "far_hospital": "b z"} for table in ("notice_prints", "notice_signatures")},
    **{
        table: {"office": "a z", "far_office": "b"}
        for table in (
            *("residents", "resident_identities", "resident_states", "users", "clients", "client_keys"),
            *("settlements", "decisions", "recoveries"),
        )
    },
    "discharges": {"office": "a", "far_office": "b z", "hospital": "a", "far_hospital": "b z"},
    # Only under one's own name.
    "bill_versions": {"office": "a", "far_office": "b"},
    "discharge_changes": {"office": "a z", "far_office": "b z", "hospital": "a", "far_hospital": "b z"},
}
CHANGED = {
    **{table: {"office": "a z", "far_office": "b"} for table in ("claims", "claim_lines")},
    "idempotency_keys": {"office": "a", "far_office": "b"},
    **{
        table: {"office": "a z", "far_office": "b"}
        for table in (
            *("institutions", "residents", "resident_identities", "users", "clients", "client_keys"),
            *("settlements", "decisions", "recoveries", "bills"),
        )
    },
    "discharges": {"office": "a z", "far_office": "b z", "hospital": "a", "far_hospital": "b z"},
}


GIVEN_AWAY = {
    "institutions": f"registered_by_county = '{URAD}'",
    "clients": f"administered_by = '{URAD}'",
    "idempotency_keys": "caller = 'clerk.b'",
    "discharges": f"county_code = '{URAD}', recorded_county_code = '{URAD}'",
    **dict.fromkeys(
        ("residents", "resident_identities", "users", "settlements", "decisions", "recoveries", "claims"),
        f"county_code = '{URAD}'",
    ),
}
Connections = dict[str, asyncpg.Connection]


@pytest.fixture(scope="module")
async def connections(filled: dict[str, Urls]) -> AsyncIterator[Connections]:
    """One connection to each database, as the service's role."""
    opened = {service: await asyncpg.connect(urls.service_url) for service, urls in filled.items()}
    yield opened
    for connection in opened.values():
        await connection.close()


@asynccontextmanager
async def working(connection: asyncpg.Connection, scope: Scope) -> AsyncIterator[asyncpg.Connection]:
    """A transaction of the service's role in a scope, rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(SET, *scope.values)
    try:
        yield connection
    finally:
        await transaction.rollback()


@contextmanager
def refused(table: str, why: str) -> Iterator[None]:
    """The database refuses to add a row, by its policy and for no other reason."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        if f'row-level security policy for table "{table}"' in str(error):
            return
        raise
    pytest.fail(why)


def said(decisions: dict[str, dict[str, str]], service: str, table: str, scope: str) -> set[str]:
    """The rows a decision names. Only the register itself is kept by callers: copies of it bear some of its names."""
    if table == "resident_identities" and service != "contract":
        return set()
    return set(decisions.get(table, {}).get(scope, "").split())


def test_the_decisions_name_every_table_once() -> None:
    for service in SERVICES:
        assert not set(PROTECTED[service]) & set(OPEN[service])
        assert all(OPEN[service].values())


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_is_decided_on(connections: Connections, service: str) -> None:
    """A new table is put under a policy, or named with the reason why not (decision 0018)."""
    async with working(connections[service], SCOPES["nobody"]) as connection:
        found = await connection.fetch(
            "select relname, relrowsecurity from pg_class where relkind in ('r', 'p', 'v', 'm')"
            " and relnamespace = 'public'::regnamespace"
        )
    assert {row["relname"] for row in found if row["relrowsecurity"]} == set(PROTECTED[service])
    assert {row["relname"] for row in found if not row["relrowsecurity"]} == set(OPEN[service])


@pytest.mark.parametrize(("service", "table"), EACH)
async def test_a_scope_sees_its_own_rows(connections: Connections, service: str, table: str) -> None:
    marks = {str(row[mark_column(table)]): mark for mark, row in rows(service, table)}
    for name, scope in SCOPES.items():
        async with working(connections[service], scope) as connection:
            found = await connection.fetch(f"select {mark_column(table)}::text as mark from {table}")
            counted = await connection.fetchval(f"select count(*) from {table}")
        expected = " ".join(marks.values()) if name == "service" else PROTECTED[service][table].get(name, "")
        assert {marks[row["mark"]] for row in found} == set(expected.split()), f"{table} in the scope of {name}"
        assert counted == len(expected.split())


@pytest.mark.parametrize(("service", "table"), EACH)
async def test_nobody_adds_a_foreign_row(connections: Connections, service: str, table: str) -> None:
    for name in CALLERS:
        for mark, row in rows(service, table):
            allowed = mark in said(ADDED, service, table, name)
            async with working(connections[service], SCOPES[name]) as connection:
                statement, values = await insertion(connection, table, row)
                with nullcontext() if allowed else refused(table, f"{mark} in {table} by {name}"):
                    # The row itself stands: what a policy lets through does nothing.
                    await connection.execute(f"{statement} on conflict do nothing", *values)


@pytest.mark.parametrize(("service", "table"), EACH)
async def test_nobody_changes_or_removes_a_foreign_row(connections: Connections, service: str, table: str) -> None:
    if table in APPEND_ONLY:
        pytest.skip("the role may not change it at all")
    column = mark_column(table)
    marks = {str(row[column]): mark for mark, row in rows(service, table)}
    for name in CALLERS:
        async with working(connections[service], SCOPES[name]) as connection:
            done = await connection.fetch(f"update {table} set {column} = {column} returning {column}::text as mark")
            changed = {marks[row["mark"]] for row in done}
            assert changed == said(CHANGED, service, table, name), f"{table} in the scope of {name}"
            assert await connection.execute(f"delete from {table}") == "DELETE 0"


@pytest.mark.parametrize(
    ("service", "table"),
    [(service, table) for service, table in EACH if said(CHANGED, service, table, "office") and table in GIVEN_AWAY],
)
async def test_a_row_is_not_given_away(connections: Connections, service: str, table: str) -> None:
    """Who may change a row may not make it another county's, nor another caller's."""
    given = GIVEN_AWAY[table]
    async with working(connections[service], SCOPES["office"]) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute(f"update {table} set {given}")
