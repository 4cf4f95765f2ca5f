"""Whose rows a transaction may see: which words it tells the database, and when they are over."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.caller import EVERYONE, Caller, allowed
from shared.kit.database import Database, ServiceSession, Session, as_service
from shared.kit.scope import NOBODY, SERVICE, SETTINGS, Scope
from shared.kit.strict_json import StrictRoute
from tests.clients import client_of
from tests.conftest import Starter

ASKED = text("select " + ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in SETTINGS))
HOSPITALS, ADMINISTRATORS = allowed("hospital"), allowed("administrator")
HOSPITAL = Caller("his", frozenset({"hospital"}), "450223", "H45022300001", "450223100")


async def told(session: AsyncSession) -> Scope:
    """What the database was told."""
    return Scope(*(await session.execute(ASKED)).one())


@pytest.fixture(scope="module")
async def database(starter: Starter) -> AsyncIterator[Database]:
    database = Database((await starter.database("treatment")).service_url, pool=1)
    yield database
    await database.close()


async def test_a_transaction_works_in_its_scope_and_the_next_one_in_its_own(database: Database) -> None:
    """One connection for all: nothing of a scope stays behind on it."""
    mine = Scope("450223", "H1", "450223100", "450223100001", "somebody")
    async with database.transaction(mine) as session:
        assert await told(session) == mine
    async with database.engine.connect() as connection:
        assert Scope(*(await connection.execute(ASKED)).one()) == NOBODY
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction(SERVICE) as session:
            assert await told(session) == SERVICE
            raise ZeroDivisionError
    async with database.transaction(Scope(county="150824")) as session:
        assert await told(session) == Scope(county="150824")


async def test_the_service_looks_beyond_a_scope_and_comes_back_to_it(database: Database) -> None:
    mine = Scope.of(HOSPITAL)
    async with database.transaction(mine) as session:
        async with as_service(session):
            assert (await told(session)).service == "on"
            async with as_service(session):
                assert (await told(session)).service == "on"
            assert (await told(session)).service == "on"
        assert await told(session) == mine
        with pytest.raises(ZeroDivisionError):
            async with session.begin_nested(), as_service(session):
                raise ZeroDivisionError
        assert await told(session) == mine


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["hospital"], Scope(institution="H1", subject="x")),
        (["township_centre"], Scope(institution="H1", subject="x")),
        (["township_government"], Scope(township="450223100", subject="x")),
        (["poverty_workstation"], Scope(township="450223100", subject="x")),
        (["village_committee"], Scope(village="450223100001", subject="x")),
        (["family_doctor"], Scope(subject="x")),
        (["hrss"], Scope(county="450223", subject="x")),
        (["auditor", "hospital"], Scope(county="450223", institution="H1", subject="x")),
        (["hospital", "village_committee"], Scope(institution="H1", village="450223100001", subject="x")),
        ([], Scope(subject="x")),
    ],
)
def test_a_role_bounds_its_bearer(roles: list[str], expected: Scope) -> None:
    assert Scope.of(Caller("x", frozenset(roles), "450223", "H1", "450223100", "450223100001")) == expected


def test_a_place_in_another_county_is_no_place() -> None:
    roles = frozenset({"township_government", "village_committee"})
    assert Scope.of(Caller("x", roles, "450223", None, "150824100", "150824100001")) == Scope(subject="x")
    assert Scope.of(Caller("x", roles, "450223")) == Scope(subject="x")


async def test_only_the_roles_a_route_is_for_open_anything(starter: Starter) -> None:
    """Who is a hospital's and of an office besides sees, where hospitals are let in, the hospital's rows alone."""
    app = FastAPI()
    app.router.route_class = StrictRoute
    app.state.database = Database((await starter.database("treatment")).service_url, pool=1)

    class Verifier:
        async def claims(self, token: str) -> dict[str, Any]:
            return {"sub": "x", "roles": token.split("+"), "county_code": "450223", "institution_code": "H1"}

    app.state.verifier = Verifier()

    @app.get("/hospitals")
    async def for_hospitals(session: Session, _: Any = Depends(EVERYONE), __: Any = HOSPITALS) -> Any:
        return (await told(session)).values

    @app.get("/everyone")
    async def for_everyone(session: Session, _: Any = Depends(EVERYONE)) -> Any:
        return (await told(session)).values

    @app.get("/service")
    async def of_the_service(session: ServiceSession, _: Any = ADMINISTRATORS) -> Any:
        return (await told(session)).values

    @app.get("/nobody")
    async def for_nobody(session: Session, request: Request) -> Any:
        assert not hasattr(request.state, "caller")
        return (await told(session)).values

    async with client_of(app, "hospital+poverty_office+administrator") as client:
        found = {path: (await client.get(f"/{path}")).json() for path in ("hospitals", "everyone", "service", "nobody")}
    await app.state.database.close()
    assert Scope(*found["hospitals"]) == Scope(institution="H1", subject="x")
    assert Scope(*found["everyone"]) == Scope(county="450223", institution="H1", subject="x")
    assert Scope(*found["service"]) == SERVICE
    assert Scope(*found["nobody"]) == NOBODY
