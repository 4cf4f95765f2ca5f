"""What tests stand on: real PostgreSQL and NATS from the wheels, and tokens as the county would issue them."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from deploy.databases import create_database, migrate
from deploy.engines import Nats, Postgres, start_nats, start_postgres
from deploy.settings import Urls
from tests.clients import Issuer
from tests.gateway.houses import serving
from tests.long_runs import PAGE, noted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the long runs have to say for the record."""
    if noted:
        terminalreporter.section(f"to be recorded in {PAGE}")
        for line in noted:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of this test run's own."""
    engine = start_postgres(tmp_path_factory.mktemp("postgres") / "data")
    yield engine
    engine.discard()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS with JetStream of this test run's own."""
    engine = start_nats(tmp_path_factory.mktemp("nats"))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
async def issuer() -> AsyncIterator[Issuer]:
    """Signs tokens, and publishes the key that verifies them where the services look."""
    issuer = Issuer()
    app = FastAPI()
    app.get("/jwks")(issuer.jwks)
    async with serving(app) as server:
        issuer.url = f"http://127.0.0.1:{server.port}/jwks"
        yield issuer


class Starter:
    """Makes migrated databases, and starts services on them inside the test process."""

    def __init__(self, postgres: Postgres, nats_server: Nats, issuer: Issuer) -> None:
        self.postgres, self.nats, self.issuer = postgres, nats_server, issuer
        self._count = 0

    async def database(self, service: str) -> Urls:
        """A fresh, migrated database of a service."""
        self._count += 1
        urls = await create_database(self.postgres.admin_url, service, name=f"{service}_{self._count}")
        await migrate(service, urls.owner_url, urls.service_role)
        return urls

    def environment(self, service: str, urls: Urls, **more: str) -> dict[str, str]:
        """What a service on this database reads at its start."""
        return {
            f"{service.upper()}_DATABASE_URL": urls.service_url,
            "NATS_URL": self.nats.url,
            "DATA_KEYS": self.issuer.data_keys,
            "TOKEN_JWKS_URL": self.issuer.url,
            **more,
        }

    @asynccontextmanager
    async def running(self, app: FastAPI, service: str, urls: Urls, **more: str) -> AsyncIterator[FastAPI]:
        """A service's app with its lifespan, on this database."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment(service, urls, **more).items():
                patch.setenv(name, value)
            async with app.router.lifespan_context(app):
                yield app


@pytest.fixture(scope="session")
def starter(postgres: Postgres, nats_server: Nats, issuer: Issuer) -> Starter:
    """See `Starter`."""
    return Starter(postgres, nats_server, issuer)


@pytest.fixture(scope="session")
def samples() -> dict[str, Any]:
    """One complete envelope of every event, by subject."""
    folder = Path(__file__).parent / "events" / "samples"
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
