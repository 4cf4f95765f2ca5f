"""Who may do what in which database, and what is said when somebody may not."""

import asyncio
import subprocess
import sys
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.console import Unusable
from deploy.databases import check_outside, connected, create_database, may_quote_rows, migrate, sqlalchemy_url
from deploy.engines import Postgres
from deploy.settings import ROOT, SERVICES, Urls, plain_url
from deploy.state import free_port
from tests.conftest import Starter


@pytest.fixture(scope="module")
async def urls(postgres: Postgres) -> dict[str, Urls]:
    """The three services' databases, migrated."""
    made = {}
    for service in SERVICES:
        made[service] = await create_database(postgres.admin_url, service, name=f"{service}_deploy")
        await migrate(service, made[service].owner_url, made[service].service_role)
    return made


async def test_no_role_can_log_in_to_another_services_database(urls: dict[str, Urls]) -> None:
    for service, own in urls.items():
        for url in (own.owner_url, own.service_url):
            for database in (*(f"{other}_deploy" for other in SERVICES if other != service), "postgres", "template1"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await asyncpg.connect(urlsplit(url)._replace(path=f"/{database}").geturl())


@pytest.mark.parametrize("service", SERVICES)
async def test_the_audit_trail_can_be_added_to_and_read_but_never_changed(urls: dict[str, Urls], service: str) -> None:
    worker = await asyncpg.connect(urls[service].service_url, server_settings={"app.subject": "somebody"})
    await worker.execute(
        "insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address) "
        "values ('450223', 'somebody', 'auditor', 'read', 'audit', '*', '{}', '-', '')"
    )
    assert await worker.fetchval("select count(*) from audit") == 1
    for statement in (
        "update audit set caller = 'nobody'",
        "delete from audit",
        "truncate audit",
        "drop table audit",
        "alter table audit disable trigger all",
        "update alembic_version set version_num = 'x'",
        "create table mine (n int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)
    await worker.execute("delete from outbox")
    await worker.close()


async def test_the_migrations_make_what_the_models_say(urls: dict[str, Urls]) -> None:
    for service, own in urls.items():
        code = "import sys; from alembic import command; from deploy.databases import alembic_config; "
        code += (
            "from deploy.settings import SERVICES; command.check(alembic_config(SERVICES[sys.argv[1]], sys.argv[2]))"
        )
        check = [sys.executable, "-c", code, service, own.owner_url]
        done = await asyncio.to_thread(subprocess.run, check, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


async def test_migrating_again_changes_nothing(urls: dict[str, Urls]) -> None:
    for service, own in urls.items():
        assert await migrate(service, own.owner_url, own.service_role) is False


async def test_tables_newer_than_the_code_are_not_touched(postgres: Postgres) -> None:
    urls = await create_database(postgres.admin_url, "contract", name="from_the_future")
    owner = await asyncpg.connect(urls.owner_url)
    await owner.execute("create table alembic_version (version_num varchar(32) primary key)")
    await owner.execute("insert into alembic_version values ('ffffffffffff')")
    await owner.close()
    with pytest.raises(Unusable, match="at revision ffffffffffff, which is newer than this code"):
        await migrate("contract", urls.owner_url, urls.service_role)


async def test_making_a_database_again_keeps_what_is_in_it(postgres: Postgres) -> None:
    first = await create_database(postgres.admin_url, "contract", name="made_twice")
    owner = await asyncpg.connect(first.owner_url)
    await owner.execute("create table kept as select 1 as n")
    await owner.close()
    second = await create_database(postgres.admin_url, "contract", name="made_twice", password=lambda _: "new'word")
    owner = await asyncpg.connect(second.owner_url)
    assert await owner.fetchval("select n from kept") == 1
    await owner.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(first.owner_url)


async def test_an_outside_database_that_can_be_used(urls: dict[str, Urls]) -> None:
    own = urls["treatment"]
    found = await check_outside("treatment", Urls(own.owner_url, own.service_url, ""))
    assert found.service_role == own.service_role


async def test_an_outside_database_that_cannot_be_used_is_one_line_without_the_password(urls: dict[str, Urls]) -> None:
    good = urls["treatment"]
    parts = urlsplit(good.service_url)
    word = str(parts.password)
    nobody = parts._replace(netloc=f"{parts.username}:{word}@127.0.0.1:{free_port()}").geturl()
    for url, expected in (
        (good.service_url.replace(word, "wrong-word"), "password authentication failed"),
        (good.service_url.replace("/treatment_deploy", "/no_such_database"), "no_such_database"),
        (nobody, "nobody listens at"),
        (parts._replace(netloc=f"{parts.username}:{word}@no-such-host.invalid:5432").geturl(), "no such host"),
        (parts._replace(netloc=f"{parts.username}:wor/d-1@host").geturl(), "can't be read as an address"),
    ):
        with pytest.raises(Unusable) as refused:
            await check_outside("treatment", Urls(url, url, ""))
        said = str(refused.value)
        assert said.startswith("TREATMENT_DATABASE_URL")
        assert expected in said
        assert "\n" not in said
        assert word not in said
        assert "wrong-word" not in said
        assert "d-1" not in said


async def test_a_role_that_may_not_make_tables_is_named(urls: dict[str, Urls]) -> None:
    own = urls["treatment"]
    with pytest.raises(Unusable, match="treatment_deploy_service may not create tables there"):
        await check_outside("treatment", Urls(own.service_url, own.service_url, ""))


def test_addresses_in_every_usual_form() -> None:
    assert plain_url("postgresql+asyncpg://a:b@c/d", "X") == "postgresql://a:b@c/d"
    assert plain_url("postgres://a:b@c:1,e:2/d", "X") == "postgresql://a:b@c:1,e:2/d"
    assert sqlalchemy_url("postgresql://a:p%40w@h:5/d") == "postgresql+asyncpg://a:p%40w@h:5/d"
    several = sqlalchemy_url("postgresql://a:b@h1:1,h2/d?sslmode=require")
    assert several == (
        "postgresql+asyncpg://a:b@/d?ssl=require&host=h1%3A1&host=h2%3A5432&target_session_attrs=read-write"
    )


BY_PLACE = "insert into idempotency_keys (caller, path, key, body_hash, status, ids) values ('x', $1, '', '', 0, '{}')"


async def seen(url: str, subject: str) -> int:
    """How many idempotency keys somebody sees."""
    connection = await asyncpg.connect(url, server_settings={"app.subject": subject})
    found = int(await connection.fetchval("select count(*) from idempotency_keys"))
    await connection.close()
    return found


async def test_row_level_security_binds_the_service_also_where_it_owns_its_tables(postgres: Postgres) -> None:
    """With two roles the owner is not bound (it migrates, backs up and restores); with one it is."""
    urls = await create_database(postgres.admin_url, "contract", name="contract_owned")
    await migrate("contract", urls.owner_url, urls.service_role)
    owner = await asyncpg.connect(urls.owner_url)
    await owner.execute(BY_PLACE, "1")
    assert await seen(urls.owner_url, "y") == 1
    assert [await seen(urls.service_url, "x"), await seen(urls.service_url, "y")] == [1, 0]
    role = await owner.fetchval("select current_user")
    for alone in (role, ""):
        await migrate("contract", urls.owner_url, alone)
        assert [await seen(urls.owner_url, "x"), await seen(urls.owner_url, "y")] == [1, 0]
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await owner.execute(BY_PLACE, "2")
    await migrate("contract", urls.owner_url, urls.service_role)
    assert await seen(urls.owner_url, "y") == 1
    # A service that may act as the owner is as good as the owner.
    admin = await asyncpg.connect(postgres.admin_url)
    await admin.execute(f'GRANT "{role}" TO "{urls.service_role}"')
    await admin.close()
    assert await seen(urls.service_url, "y") == 1
    await migrate("contract", urls.owner_url, urls.service_role)
    assert await seen(urls.service_url, "y") == 0
    await owner.close()


async def test_a_role_that_row_level_security_does_not_bind_is_refused(
    postgres: Postgres, urls: dict[str, Urls]
) -> None:
    with pytest.raises(Unusable, match="row-level security does not bind the role"):
        await check_outside("treatment", Urls(postgres.admin_url, postgres.admin_url, ""))
    admin = await asyncpg.connect(postgres.admin_url)
    role = urls["treatment"].service_role
    await admin.execute(f'ALTER ROLE "{role}" BYPASSRLS')
    try:
        with pytest.raises(Unusable, match=f"does not bind the role {role}"):
            await check_outside("treatment", Urls(urls["treatment"].owner_url, urls["treatment"].service_url, ""))
    finally:
        await admin.execute(f'ALTER ROLE "{role}" NOBYPASSRLS')
        await admin.close()


async def test_a_server_whose_log_may_quote_patients_is_noticed(starter: Starter) -> None:
    urls = await starter.database("contract")
    assert not await may_quote_rows(urls.service_url), "the embedded server is told not to"
    database = urls.service_url.rpartition("/")[2]
    for setting, said in (
        ("log_error_verbosity", "default"),
        ("log_min_error_statement", "error"),
        ("log_statement", "mod"),
        ("log_parameter_max_length_on_error", "64"),
    ):
        async with connected(starter.postgres.admin_url, "the server") as admin:
            await admin.execute(f"alter database {database} set {setting} = '{said}'")
        assert await may_quote_rows(urls.service_url), setting
        async with connected(starter.postgres.admin_url, "the server") as admin:
            await admin.execute(f"alter database {database} reset {setting}")
    assert not await may_quote_rows(urls.service_url)
