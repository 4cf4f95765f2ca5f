"""Engines and databases, embedded or brought along, until the services can be started."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from deploy.console import AlreadySaid, console
from deploy.engines import Nats, Postgres
from deploy.order import Order, embedded_urls
from deploy.processes import die_with_parent
from deploy.secrets import Secrets
from deploy.services import inherited
from deploy.settings import ROOT, SERVICES, Settings, Urls
from deploy.state import State
from deploy.supervisor import Supervisor

PREPARE = "deploy.prepare"


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


async def prepare_databases(settings: Settings, state: State, secrets: Secrets, engines: Engines) -> Mapping[str, Urls]:
    """Three databases with their roles, migrated and granted, by a process of its own; how to reach them."""
    order = Order(
        folder=str(state.folder),
        nats_url=settings.nats_url,
        admin_url=engines.admin_url,
        outside=dict(settings.database_urls),
    )
    await aside(PREPARE, json.dumps(asdict(order)))
    urls = dict(settings.database_urls)
    for name in SERVICES:
        if name not in urls and engines.admin_url is not None:
            urls[name] = embedded_urls(engines.admin_url, name, secrets.password)
    return urls


async def aside(module: str, said: str = "") -> None:
    """Run a module of ours on this console until it ends; it is told ``said``. Raises `AlreadySaid` when it failed.

    What only the start needs goes with that process when it ends, and weighs nothing while the house runs.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=inherited(os.environ),
        process_group=0,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    try:
        await process.communicate(said.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise AlreadySaid


def _places(url: str) -> str:
    return ", ".join(urlsplit(part.strip()).netloc.rpartition("@")[2] for part in url.split(","))
