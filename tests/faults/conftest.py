"""Treatment and safety-net over a real channel, each on a database of its own, with bills that are said by hand."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import nats
import pytest
from nats.js.errors import NotFoundError

from deploy.settings import ROOT, SERVICES, Urls
from safety_net_service.main import app as safety_net_app
from shared.events.treatment import DischargeBilled
from shared.kit.events import Envelope
from tests.conftest import Starter
from treatment_service.main import app as treatment_app

APPS = {"treatment": treatment_app, "safety_net": safety_net_app}
# No registration ever comes here: a bill is judged as it is, which is all that counting needs.
SETTINGS = {"SAFETY_NET_PATIENT_WAIT_SECONDS": "0"}


class Pair:
    """A speaker of bills and a listener that settles them; each may run here, or in a process that is killed."""

    def __init__(self, starter: Starter, urls: Mapping[str, Urls], sample: Mapping[str, Any]) -> None:
        self.starter, self.urls = starter, urls
        self._sample = DischargeBilled.model_validate(sample["data"])
        self.said: list[UUID] = []

    def a_bill(self) -> Envelope:
        """An invented bill in its envelope."""
        facts = {"discharge_id": uuid4(), "bill_no": f"F-{uuid4()}"}
        return Envelope.around(self._sample.model_copy(update=facts))

    async def say(self, number: int, *, apart: bool = False) -> list[Envelope]:
        """Commit bills to treatment's outbox, together or each in a transaction of its own."""
        envelopes = [self.a_bill() for _ in range(number)]
        rows = [(each.event_id, each.subject, each.to_bytes()) for each in envelopes]
        owner = await asyncpg.connect(self.urls["treatment"].owner_url)
        put = "insert into outbox (event_id, subject, payload) values ($1, $2, $3)"
        for some in [[row] for row in rows] if apart else [rows]:
            async with owner.transaction():
                await owner.executemany(put, some)
        await owner.close()
        self.said += [UUID(each.data["discharge_id"]) for each in envelopes]
        return envelopes

    async def ask(self, service: str, query: str) -> list[Any]:
        """The first column of an answer out of a service's database, seen by its administrator."""
        url = self.starter.postgres.admin_url.rpartition("/")[0]
        database = self.urls[service].owner_url.rpartition("/")[2]
        admin = await asyncpg.connect(f"{url}/{database}")
        try:
            return [row[0] for row in await admin.fetch(query)]
        finally:
            await admin.close()

    @asynccontextmanager
    async def running(self, *services: str, **settings: str) -> AsyncIterator[None]:
        """These services in the test process."""
        async with AsyncExitStack() as stack:
            for name in services:
                await stack.enter_async_context(
                    self.starter.running(APPS[name], name, self.urls[name], **{**SETTINGS, **settings})
                )
            yield

    async def killed(self, service: str, point: str, times: int = 1) -> None:
        """A process of its own with the service's worker, which dies at a stopping point; returns when it is dead."""
        environment = {
            **os.environ,
            **SETTINGS,
            f"{service.upper()}_DATABASE_URL": self.urls[service].service_url,
            "NATS_URL": self.starter.nats.url,
            "DATA_KEYS": self.starter.issuer.data_keys,
            "TOKEN_JWKS_URL": self.starter.issuer.url,
        }
        command = [sys.executable, "-m", "tests.faults.killed", point, str(times), SERVICES[service].package]
        child = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await asyncio.wait_for(child.communicate(), 90)
        except TimeoutError:
            child.kill()
            await child.wait()
            raise AssertionError(f"{service} never came to {point}") from None
        assert child.returncode == -signal.SIGKILL, said.decode(errors="replace")[-2000:]

    async def settled_once(self) -> None:
        """Every bill that was said has one settlement, said once and heard once; nothing waits, nothing is dead."""
        number = len(self.said)
        for service, query, wanted in (
            ("treatment", "select count(*) from outbox where published_at is null", 0),
            ("safety_net", "select count(*) from settlements", number),
            ("safety_net", "select count(*) from outbox where published_at is null", 0),
            ("treatment", "select count(*) from bill_settlements", number),
        ):
            await eventually(lambda s=service, q=query, w=wanted: self._is(s, q, w))  # type: ignore[misc]
        assert set(await self.ask("safety_net", "select discharge_id from settlements")) == set(self.said)
        assert await self.ask("safety_net", "select count(*) from outbox") == [number]
        assert await self.ask("safety_net", "select count(*) from inbox") == [number]
        assert await self.ask("treatment", "select count(*) from inbox") == [number]
        assert await self.ask("treatment", "select max(revision) from bill_settlements") == [1]
        for service in APPS:
            assert await self.ask(service, "select count(*) from dead_letters") == [0]

    async def _is(self, service: str, query: str, wanted: int) -> bool:
        return await self.ask(service, query) == [wanted]


async def eventually(true: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Wait until something is so; fail when it is not within the time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await true():
        assert loop.time() < deadline, "it never became so"
        await asyncio.sleep(0.05)


async def forget_streams(url: str) -> None:
    """A broker that knows nothing of earlier tests."""
    client = await nats.connect(url)
    for service in SERVICES:
        try:
            await client.jetstream().delete_stream(service.upper())
        except NotFoundError:
            continue
    await client.close()


@pytest.fixture
async def pair(starter: Starter, samples: dict[str, Any]) -> AsyncIterator[Pair]:
    """See `Pair`; on fresh databases and an empty broker."""
    await forget_streams(starter.nats.url)
    urls = {name: await starter.database(name) for name in APPS}
    yield Pair(starter, urls, samples["treatment.discharge_billed.v1"])
    await forget_streams(starter.nats.url)
