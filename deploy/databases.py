"""The three databases: an owner role that migrates, a service role that works, and no way into another's.

The same steps serve `make run`, the tests and an outside PostgreSQL: `create_database` (embedded only), `migrate`,
which also grants.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from deploy.console import Unusable
from deploy.order import embedded_urls
from deploy.settings import ROOT, SERVICES, Service, Urls

# What PostgreSQL 15 brought (unique nulls not distinct, no CREATE for everyone in `public`) is taken for granted.
OLDEST_SERVER = 150000
CONNECT_SECONDS = 10.0
# Advisory locks: one at a time makes databases of a server, one at a time migrates a database.
CREATING, MIGRATING = 4502230001, 4502230002
# What was done, its seals, and histories: added to and never changed. An epoch is begun by whoever restores.
APPEND_ONLY = (
    "audit",
    "audit_seals",
    "institution_states",
    "resident_states",
    "working_days",
    "notice_prints",
    "notice_signatures",
)
READ_ONLY = "audit_epochs"
# DETAIL quotes rows, STATEMENT what was sent in its text, and the rest statements with their parameters.
QUOTES = """
    select current_setting('log_error_verbosity') <> 'terse'
        or current_setting('log_min_error_statement') not in ('fatal', 'panic')
        or current_setting('log_statement') not in ('none', 'ddl')
        or current_setting('log_parameter_max_length_on_error') <> '0'
        or (current_setting('log_min_duration_statement') <> '-1'
            and current_setting('log_parameter_max_length') <> '0')
"""
# Number, moment and transaction of an audit row are the database's own words: nobody dates a row but the clock.
KEPT = """
    select root, tree.relid::regclass::text as name, string_agg(quote_ident(attname), ', ' order by attnum) as columns
    from unnest($1::text[]) root
    cross join lateral (
        select relid from pg_partition_tree(to_regclass(root)) union select to_regclass(root)
    ) tree
    join pg_attribute on attrelid = tree.relid and attnum > 0 and not attisdropped
    where tree.relid is not null and not (root = 'audit' and attname in ('seq', 'at', 'xid'))
    group by root, tree.relid
"""


async def create_database(
    admin_url: str,
    service: str,
    *,
    name: str | None = None,
    roles: str | None = None,
    password: Callable[[str], str] | None = None,
) -> Urls:
    """Make a service's database and its two roles where they are missing, and set the roles' passwords.

    ``name`` gives the database (and its roles, unless ``roles`` names them) another name than the service's;
    ``password`` gives the password kept for a role, and without it each role gets a new one.
    """
    database = name or service
    owner, worker = f"{roles or database}_owner", f"{roles or database}_service"
    words = {role: password(role) if password else secrets.token_urlsafe(24) for role in (owner, worker)}
    async with connected(admin_url, "the embedded PostgreSQL") as admin:
        await admin.execute("select pg_advisory_lock($1)", CREATING)
        for role, said in words.items():
            exists = await admin.fetchval("select 1 from pg_roles where rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            await admin.execute(
                await admin.fetchval(
                    f"select format('{verb} ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", role, said
                )
            )
        if not await admin.fetchval("select 1 from pg_database where datname = $1", database):
            await admin.execute(f'CREATE DATABASE "{database}" OWNER "{owner}"')
        # By default everyone may connect everywhere, also to the administrator's own database.
        await admin.execute(f'REVOKE ALL ON DATABASE "{database}", postgres, template1 FROM PUBLIC')
        await admin.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{worker}"')
    return embedded_urls(admin_url, database, words.__getitem__, roles=roles)


async def check_outside(service: str, urls: Urls) -> Urls:
    """See that an outside database can be reached with both roles and that the owner may migrate."""
    prefix = SERVICES[service].prefix
    async with connected(urls.service_url, f"{prefix}_DATABASE_URL") as worker:
        if worker.get_server_version() < (OLDEST_SERVER // 10000,):
            raise Unusable(f"{prefix}_DATABASE_URL: PostgreSQL 15 or newer is needed")
        role = str(await worker.fetchval("select current_user"))
        if await worker.fetchval("select rolsuper or rolbypassrls from pg_roles where rolname = current_user"):
            raise Unusable(
                f"{prefix}_DATABASE_URL: row-level security does not bind the role {role} (superuser or BYPASSRLS):"
                " give the service a role of its own"
            )
    owner_name = f"{prefix}_OWNER_DATABASE_URL" if urls.owner_url != urls.service_url else f"{prefix}_DATABASE_URL"
    async with connected(urls.owner_url, owner_name) as owner:
        may = await owner.fetchval("select has_schema_privilege(current_schema(), 'CREATE')")
        if not may:
            who = await owner.fetchval("select current_user")
            raise Unusable(f"{owner_name}: the role {who} may not create tables there (GRANT CREATE ON SCHEMA public)")
    return Urls(owner_url=urls.owner_url, service_url=urls.service_url, service_role=role)


async def may_quote_rows(url: str) -> bool:
    """Whether the server may write patients' data into its own log, when it refuses a statement or finds it slow."""
    async with connected(url, "the database") as connection:
        return bool(await connection.fetchval(QUOTES))


async def migrate(service: str, owner_url: str, service_role: str) -> bool:
    """Bring a service's tables to the newest revision as their owner, then grant; whether anything was migrated.

    With ``service_role`` empty, or the same role as the owner's, there is nobody to grant to.
    """
    config = alembic_config(SERVICES[service], owner_url)
    async with connected(owner_url, f"the owner of {service}") as owner:
        await owner.execute("select pg_advisory_lock($1)", MIGRATING)
        stands, wanted = await _revisions(owner), _heads(service, config)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if unknown := stands - known:
            raise Unusable(
                f"the {service} database is at revision {', '.join(sorted(unknown))}, which is newer than this code"
            )
        if stands != wanted:
            await _upgrade(service, config)
        if service_role and service_role != await owner.fetchval("select current_user"):
            await _grant(owner, service_role)
        await _bind_to_scope(owner, service_role)
        return stands != wanted


async def _bind_to_scope(owner: asyncpg.Connection, role: str) -> None:
    """Row-level security binds everyone but a table's owner: where the service works with the owner's rights, him too.

    Otherwise not: the owner migrates, backs up and restores whole tables.
    """
    owns = not role or await owner.fetchval("select pg_has_role($1, current_user, 'USAGE')", role)
    for table, forced in await owner.fetch(
        "select oid::regclass::text, relforcerowsecurity from pg_class"
        " where relrowsecurity and relnamespace = current_schema()::regnamespace"
    ):
        if forced != bool(owns):
            await owner.execute(f"ALTER TABLE {table} {'' if owns else 'NO '}FORCE ROW LEVEL SECURITY")


async def _upgrade(service: str, config: Config) -> None:
    try:
        # In a thread: a service's env.py runs an event loop of its own.
        await asyncio.to_thread(command.upgrade, config, "head")
    except Exception as error:
        first = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise Unusable(f"the {service} database could not be migrated: {first}") from error


def alembic_config(service: Service, owner_url: str) -> Config:
    """The service's Alembic, pointed at a database."""
    file = ROOT / "services" / service.folder / "alembic.ini"
    if not file.exists():
        raise Unusable(f"{file.relative_to(ROOT)} is missing: is the checkout whole?")
    config = Config(str(file))
    config.set_main_option("sqlalchemy.url", sqlalchemy_url(owner_url).replace("%", "%%"))
    return config


def sqlalchemy_url(url: str) -> str:
    """The same address as SQLAlchemy reads it: several hosts and the kind of TLS stand in its query."""
    parts = urlsplit(url)
    account, _, place = parts.netloc.rpartition("@")
    query = [("ssl" if name == "sslmode" else name, said) for name, said in parse_qsl(parts.query)]
    if "," in place:
        query += [("host", host if ":" in host else f"{host}:5432") for host in place.split(",")]
        query.append(("target_session_attrs", "read-write"))
        place = ""
    netloc = f"{account}@{place}" if account else place
    return urlunsplit(("postgresql+asyncpg", netloc, parts.path, urlencode(query), ""))


def _heads(service: str, config: Config) -> set[str]:
    try:
        return set(ScriptDirectory.from_config(config).get_heads())
    except CommandError as error:
        raise Unusable(f"the migrations of {service} can't be read: {error}") from None


async def _revisions(owner: asyncpg.Connection) -> set[str]:
    if await owner.fetchval("select to_regclass('alembic_version')") is None:
        return set()
    return {row["version_num"] for row in await owner.fetch("select version_num from alembic_version")}


async def _grant(owner: asyncpg.Connection, role: str) -> None:
    """The service role works on the tables; what was done is written down by it and never changed again."""
    quoted = str(await owner.fetchval("select quote_ident($1)", role))
    schema = str(await owner.fetchval("select quote_ident(current_schema())"))
    statements = [
        f"GRANT USAGE ON SCHEMA {schema} TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {quoted}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {quoted}",
    ]
    # With their partitions, should they be partitioned.
    for root, table, columns in await owner.fetch(KEPT, [*APPEND_ONLY, READ_ONLY]):
        statements += [f"REVOKE ALL ON {table} FROM {quoted}", f"GRANT SELECT ON {table} TO {quoted}"]
        if root != READ_ONLY:
            statements.append(f"GRANT INSERT ({columns}) ON {table} TO {quoted}")
    async with owner.transaction():
        for statement in statements:
            await owner.execute(statement)


async def count_rows(connection: asyncpg.Connection) -> dict[str, int]:
    """How many rows each table of a database has."""
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
    return {table: int(await connection.fetchval(f'select count(*) from public."{table}"')) for (table,) in tables}


@asynccontextmanager
async def connected(url: str, what: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection, or one clear line about why there is none. ``what`` names the setting; the address is not shown."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, target_session_attrs="read-write")
    except (TimeoutError, socket.gaierror) as error:
        found = "does not answer" if isinstance(error, TimeoutError) else "has no such host"
        raise Unusable(f"{what}: {_place(url)} {found}") from None
    except OSError as error:
        raise Unusable(f"{what}: nobody listens at {_place(url)} ({error.strerror or 'connection refused'})") from None
    except asyncpg.PostgresError as error:
        raise Unusable(f"{what}: {_place(url)} refuses: {error}") from None
    except (asyncpg.InterfaceError, ValueError):
        # What it says may quote a part of the password.
        example = "postgresql://role:password@host:5432/database"
        raise Unusable(f"{what} can't be read as an address ({example}; signs in a password as %40)") from None
    try:
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unusable(f"{what}: a right is missing: {error}") from None
    finally:
        await connection.close()


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "the server"
