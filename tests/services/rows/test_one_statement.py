"""Bills of several hospitals in one statement, each row in its own hospital's scope: the path that money takes."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from deploy.settings import Urls
from shared.kit.combiner import SETTINGS
from shared.kit.direct import Direct
from tests.conftest import Starter
from tests.services.rows.decisions import FAR_HOSPITAL, HOSPITAL
from treatment_service.intake.repository import COLUMNS, RECORD, apart

TABLES = ("idempotency_keys", "discharges", "bill_versions", "discharge_changes", "audit", "outbox")


@pytest.fixture(scope="module")
async def treatment_alone(starter: Starter) -> Urls:
    """A database of its own: what is written here stays."""
    urls = await starter.database("treatment")
    owner = await asyncpg.connect(urls.owner_url)
    await owner.executemany(
        "insert into institution_copies (institution_code, county_code, name, kind, has_client, revision, facts)"
        " values ($1::text, substr($1::text, 2, 6), '', 'hospital', true, 1, '{}')",
        [(HOSPITAL,), (FAR_HOSPITAL,)],
    )
    await owner.close()
    return urls


@pytest.fixture
async def direct(treatment_alone: Urls) -> AsyncIterator[Direct]:
    """A connection as the combiner has it."""
    direct = Direct(treatment_alone.service_url, settings=SETTINGS)
    yield direct
    await direct.close()


def a_row(code: str = HOSPITAL, subject: str = "his.a", **known: Any) -> dict[str, Any]:
    """A bill as a hospital's own system sends it."""
    given = {
        "of_institution": code,
        "of_subject": subject,
        "caller": subject,
        "path": "/x",
        "key": str(uuid4()),
        "body_hash": b"",
        "ids": b"{}",
        "discharge_id": uuid4(),
        "institution_code": code,
        "bill_no": str(uuid4()),
        "identity_digest": None,
        "admission_no": "A",
        "admitted_on": date(2018, 8, 1),
        "discharged_on": date(2018, 8, 11),
        "total_fen": 1,
        "content": b"{}",
        "sealed_identity": None,
        "sealed_name": "x",
        "audited_county": "450223",
        "roles": "hospital",
        "request_id": "",
        "address": "",
        "reason": "",
        "event_id": uuid4(),
        "payload": b"",
    }
    return {**given, **known}


async def write(direct: Direct, *rows: dict[str, Any]) -> list[bool]:
    """Which of these were written."""
    statement = await direct.prepared(RECORD)
    return [row["kept"] == 1 for row in await statement.fetch(*([row[name] for row in rows] for name in COLUMNS))]


async def counted(urls: Urls, *discharge_ids: UUID) -> int:
    """How many of these bills stand."""
    owner = await asyncpg.connect(urls.owner_url)
    found = await owner.fetchval("select count(*) from discharges where discharge_id = any($1)", discharge_ids)
    await owner.close()
    return int(found)


async def test_hospitals_write_their_own_bills_in_one_statement(treatment_alone: Urls, direct: Direct) -> None:
    owner = await asyncpg.connect(treatment_alone.owner_url)
    before = [await owner.fetchval(f"select count(*) from {table}") for table in TABLES]
    rows = [a_row(), a_row(FAR_HOSPITAL, "his.b"), a_row(), a_row("H45022399999", "his.c")]
    again = a_row(**{name: rows[0][name] for name in ("discharge_id", "bill_no")})
    same_key = a_row(key=rows[2]["key"])
    assert await write(direct, *rows) == [True, True, True, False]
    after = [await owner.fetchval(f"select count(*) from {table}") for table in TABLES]
    assert [now - then for now, then in zip(after, before, strict=True)] == [3] * len(TABLES)
    by = await owner.fetch("select institution_code, recorded_by from bill_versions order by 2")
    assert {tuple(row) for row in by} == {(HOSPITAL, "his.a"), (FAR_HOSPITAL, "his.b")}
    await owner.close()
    assert await write(direct, again, same_key, a_row()) == [False, False, True], "the number stands; the key stands"


@pytest.mark.parametrize(
    "foreign",
    [
        {"institution_code": FAR_HOSPITAL},
        {"caller": "somebody.else"},
        {"of_institution": FAR_HOSPITAL},
        {"of_institution": ""},
        {"of_subject": "somebody.else"},
        {"of_subject": ""},
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_nobody_writes_another_hospitals(
    treatment_alone: Urls, direct: Direct, foreign: dict[str, str], place: int
) -> None:
    rows = [a_row(), a_row(FAR_HOSPITAL, "his.b")]
    rows.insert(place, a_row(**foreign))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await write(direct, *rows)
    assert await counted(treatment_alone, *(row["discharge_id"] for row in rows)) == 0


def test_rows_with_a_key_or_a_bill_in_common_are_kept_apart() -> None:
    def things(**known: Any) -> set[Any]:
        return set(apart([a_row(**known)[name] for name in COLUMNS]))

    key, number = str(uuid4()), uuid4()
    assert things(key=key) & things(key=key)
    assert things(discharge_id=number) & things(discharge_id=number)
    assert not things(key=key) & things(key=key, subject="his.b")
    assert not things() & things()


async def test_the_scope_ends_with_the_statement(direct: Direct) -> None:
    assert await write(direct, a_row()) == [True]
    connection = await direct.connection()
    assert await connection.fetchval("select count(*) from discharges") == 0
    settings = [f"coalesce(current_setting('app.{name}', true), '')" for name in ("service", "institution", "subject")]
    assert list(await connection.fetchrow(f"select {', '.join(settings)}")) == ["", "", ""]
