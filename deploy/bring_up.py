"""Engines and databases, embedded or brought along, until the services can be started."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import nats
from nats.errors import Error as NatsError

from deploy.console import Unusable, console
from deploy.databases import check_outside, create_database, migrate
from deploy.engines import Nats, Postgres
from deploy.secrets import Secrets
from deploy.settings import SERVICES, Settings, Urls
from deploy.state import State
from deploy.supervisor import Supervisor

BROKER_SECONDS = 5


@dataclass(frozen=True)
class Engines:
    """The engines in use: addresses for programs, places for people."""

    admin_url: str | None
    nats_urls: Mapping[str, str]
    postgres_place: str
    nats_place: str


async def start_engines(settings: Settings, state: State, secrets: Secrets, supervisor: Supervisor) -> Engines:
    """Start the engines that nobody brought along, side by side, and check those that were."""
    postgres: Postgres | None = None
    broker: Nats | None = None
    if len(settings.database_urls) < len(SERVICES):
        postgres = Postgres(
            state.folder / "postgres",
            password=secrets.password("postgres"),
            port=state.port("postgres"),
            log=state.logs / "postgres.log",
        )
    if settings.nats_url is None:
        broker = Nats(
            state.folder / "nats",
            password=secrets.password("nats"),
            port=state.port("nats"),
            log=state.logs / "nats.log",
            services={name: secrets.password(f"nats_{name}") for name in SERVICES},
        )
    embedded = " and ".join(engine.title for engine in (postgres, broker) if engine is not None)
    if embedded:
        with console.step(f"starting {embedded}"):
            async with asyncio.TaskGroup() as group:
                if broker is not None:
                    group.create_task(supervisor.start_engine(broker))
                if postgres is not None:
                    group.create_task(_start_postgres(postgres, supervisor))
    if settings.nats_url is not None:
        with console.step("looking for the NATS of NATS_URL"):
            await check_nats(settings.nats_url)
    return Engines(
        admin_url=postgres.admin_url if postgres else None,
        nats_urls={name: broker.url_of(name) if broker else str(settings.nats_url) for name in SERVICES},
        postgres_place=f"127.0.0.1:{postgres.port}  (files {postgres.cluster.folder})" if postgres else "outside",
        nats_place=f"127.0.0.1:{broker.port}" if broker else _places(str(settings.nats_url)),
    )


async def _start_postgres(engine: Postgres, supervisor: Supervisor) -> None:
    # In a thread that lives as long as this process: initdb takes a second, and Ctrl-C must be heard meanwhile.
    await asyncio.to_thread(engine.prepare)
    await supervisor.start_engine(engine)


async def prepare_databases(settings: Settings, secrets: Secrets, engines: Engines) -> Mapping[str, Urls]:
    """Three databases with their roles, migrated one after another, with rights granted."""
    urls: dict[str, Urls] = {}
    with console.step("databases and roles"):
        for name in SERVICES:
            if name in settings.database_urls:
                urls[name] = await check_outside(name, settings.database_urls[name])
            elif engines.admin_url is not None:
                urls[name] = await create_database(engines.admin_url, name, password=secrets.password)
    for name, service in SERVICES.items():
        if urls[name].owner_url == urls[name].service_url:
            console.say(
                f"· {service.label} works with one role for everything: nothing keeps it from changing its audit trail "
                f"({service.prefix}_OWNER_DATABASE_URL names a role of its own for the tables)"
            )
        with console.step(f"migrating {service.label}"):
            await migrate(name, urls[name].owner_url, urls[name].service_role)
    return urls


async def check_nats(url: str) -> None:
    """See that the broker answers and keeps streams; the address itself is not repeated, as it may hold a password."""
    said: list[str] = []

    async def note(error: Exception) -> None:
        said.append(str(error))

    try:
        client = await nats.connect(
            servers=[part.strip() for part in url.split(",")],
            connect_timeout=BROKER_SECONDS,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            error_cb=note,
        )
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        why = (said or [str(error) or type(error).__name__])[0]
        raise Unusable(f"NATS_URL: no server at {_places(url)} lets us in: {why}") from None
    try:
        await client.jetstream(timeout=BROKER_SECONDS).account_info()
    except (NatsError, TimeoutError):
        raise Unusable(f"NATS_URL: the server at {_places(url)} keeps no streams (JetStream is not enabled)") from None
    finally:
        await client.close()


def _places(url: str) -> str:
    return ", ".join(urlsplit(part.strip()).netloc.rpartition("@")[2] for part in url.split(","))
