"""Rows of two counties for every protected table, written by the owner of the tables."""

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from tests.services.rows.decisions import (
    FAR_HOSPITAL,
    FAR_TOWNSHIP,
    HOSPITAL,
    LUZHAI,
    OTHER_TOWNSHIP,
    PROTECTED,
    TOWNSHIP,
    URAD,
)

Row = dict[str, Any]
COUNTIES = {"a": LUZHAI, "b": URAD, "z": LUZHAI}
VILLAGES = {"a": f"{TOWNSHIP}001", "b": f"{FAR_TOWNSHIP}001", "z": f"{OTHER_TOWNSHIP}001"}
CALLERS = {"a": "clerk.a", "b": "clerk.b", "z": "his.a"}
# z was treated far away.
BILLED_AT = {"a": HOSPITAL, "b": FAR_HOSPITAL, "z": FAR_HOSPITAL}
FILLED = {
    "ARRAY": "array[]::int[]",
    "bigint": "1",
    "boolean": "true",
    "bytea": "''",
    "character varying": "'x'",
    "date": "'2018-08-11'",
    "integer": "1",
    "json": "'{}'",
    "jsonb": "'{}'",
    "smallint": "1",
    "text": "'x'",
    "timestamp with time zone": "now()",
    "uuid": "gen_random_uuid()",
}


def an_id(mark: str) -> UUID:
    """The same id in every table for one mark."""
    return UUID(int={"a": 1, "b": 2, "z": 3, "system": 4}[mark])


def rows(service: str, table: str) -> Iterator[tuple[str, Row]]:
    """The rows of a table by mark: a, b, z as `decisions` has them."""
    yield from ((mark, row) for mark in "abz" for row in [_row(service, table, mark)])
    if table == "audit":
        yield "system", {"county_code": "", "caller": "system"}


def _row(service: str, table: str, mark: str) -> Row:
    county, village, number = COUNTIES[mark], VILLAGES[mark], an_id(mark)
    code = {"a": HOSPITAL, "b": FAR_HOSPITAL, "z": f"Z-{service}"}[mark]
    known: dict[str, Row] = {
        "audit": {"county_code": county, "caller": CALLERS[mark]},
        "idempotency_keys": {"caller": {**CALLERS, "z": "somebody"}[mark], "path": mark, "key": mark},
        "dead_letters": {"event_id": number},
        "institutions": {
            "institution_code": code,
            "registered_by_county": county,
            "county_code": county,
            "township_code": {"a": TOWNSHIP, "b": FAR_TOWNSHIP, "z": None}[mark],
        },
        "institution_states": {"institution_code": code},
        "residents": {"county_code": county, "resident_id": number, "village_code": village},
        "resident_identities": {"county_code": county, "resident_id": number, "digest": mark},
        "resident_states": {"county_code": county, "resident_id": number},
        "users": {"username": CALLERS[mark], "county_code": county},
        "clients": {"client_id": mark, "county_code": URAD, "administered_by": county},
        "client_keys": {"client_id": mark},
        "refresh_tokens": {"token_hash": mark, "username": CALLERS[mark], "family": number},
        "used_assertions": {"client_id": mark, "jti_digest": mark},
        "sign_in_failures": {"kind": "account", "place": mark},
        "discharges": {
            "discharge_id": number,
            "institution_code": BILLED_AT[mark],
            "bill_no": mark,
            "county_code": county,
            "recorded_county_code": URAD if mark == "z" else county,
        },
        "bill_versions": {
            "institution_code": BILLED_AT[mark],
            "bill_no": mark,
            "discharge_id": number,
            "recorded_by": CALLERS[mark],
        },
        "bill_settlements": {"discharge_id": number, "county_code": county},
        "discharge_changes": {"institution_code": BILLED_AT[mark], "discharge_id": number, "bill_no": mark},
        "institution_copies": {"institution_code": code, "county_code": county},
        "resident_copies": {"resident_id": number, "county_code": county, "village_code": village},
        **_of_the_safety_net(mark),
    }
    row = known[table]
    return row if service == "contract" or table != "resident_identities" else {"resident_id": number, "digest": mark}


def _of_the_safety_net(mark: str) -> dict[str, Row]:
    county, village, number = COUNTIES[mark], VILLAGES[mark], an_id(mark)
    return {
        "bills": {"discharge_id": number},
        "settlements": {
            "county_code": county,
            "settlement_id": number,
            "discharge_id": number,
            "institution_code": BILLED_AT[mark],
            "township_code": village[:9],
            "state": "settled",
            "decision": "pass",
            "total_fen": 4,
        },
        "decisions": {
            "county_code": county,
            "decision_id": number,
            "settlement_id": number,
            "decision": "reject",
            "state": "proposed",
        },
        "recoveries": {
            "county_code": county,
            "recovery_id": number,
            "settlement_id": number,
            "cause": "void",
            "direction": "recovery",
            "settled_fen": 2,
            "state": "open",
        },
        "claims": {
            "county_code": county,
            "claim_id": number,
            "institution_code": BILLED_AT[mark],
            "month": date(2018, 8, 1),
            "state": "submitted",
        },
        "claim_lines": {
            "county_code": county,
            "claim_id": number,
            "discharge_id": number,
            "institution_code": BILLED_AT[mark],
        },
        "notice_prints": {"county_code": county, "settlement_id": number, "number": 1, "check_code": mark},
        "notice_signatures": {
            "county_code": county,
            "settlement_id": number,
            "number": 1,
            "signed_by": "patient",
            "image_sha256": mark,
        },
        "working_days": {"county_code": county, "day": date(2018, 4, number.int), "source": mark},
    }


MARKS = {
    "audit": "caller",
    "idempotency_keys": "path",
    "institutions": "institution_code",
    "institution_copies": "institution_code",
    "institution_states": "institution_code",
    "users": "username",
    "clients": "client_id",
    "client_keys": "client_id",
    "refresh_tokens": "token_hash",
    "used_assertions": "client_id",
    "sign_in_failures": "place",
    "dead_letters": "event_id",
    "residents": "resident_id",
    "resident_identities": "resident_id",
    "resident_states": "resident_id",
    "resident_copies": "resident_id",
    "settlements": "settlement_id",
    "decisions": "decision_id",
    "recoveries": "recovery_id",
    "working_days": "source",
    "claims": "claim_id",
    "claim_lines": "claim_id",
    "notice_prints": "check_code",
    "notice_signatures": "image_sha256",
}
"""The column by which a row of `rows` is known; a bill's id where none is named."""


def mark_column(table: str) -> str:
    """See `MARKS`."""
    return MARKS.get(table, "discharge_id")


async def insertion(connection: asyncpg.Connection, table: str, row: Row) -> tuple[str, list[Any]]:
    """The statement that adds a row, every column that must have a value filled with some."""
    columns = await connection.fetch(
        "select column_name, data_type from information_schema.columns where table_schema = 'public'"
        " and table_name = $1 and is_nullable = 'NO' and column_default is null and is_identity = 'NO'",
        table,
    )
    # An array type bears no name here: the only ones are lists of numbers.
    given = {name: f"${place}" for place, name in enumerate(row, 1)}
    filled = {column["column_name"]: FILLED[column["data_type"]] for column in columns}
    values = filled | given
    return f"insert into {table} ({', '.join(values)}) values ({', '.join(values.values())})", list(row.values())


async def fill(owner_url: str, service: str) -> None:
    """Write the rows of `rows` into every protected table, parents first."""
    parents = ("institutions", "residents", "resident_copies", "users", "clients", "discharges", "bills", "claims")
    tables = sorted(PROTECTED[service], key=lambda table: (table not in parents, table))
    owner = await asyncpg.connect(owner_url)
    for table in tables:
        for _, row in rows(service, table):
            statement, values = await insertion(owner, table, row)
            await owner.execute(statement, *values)
    await owner.close()
