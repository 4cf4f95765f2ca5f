"""safety-net-service in the test process."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from deploy.settings import Urls
from safety_net_service.main import app
from tests.clients import Issuer
from tests.conftest import Starter
from tests.services.safety_net.world import World


@pytest.fixture(scope="session")
async def safety_net_urls(starter: Starter) -> Urls:
    return await starter.database("safety_net")


@pytest.fixture(scope="session")
async def safety_net(starter: Starter, safety_net_urls: Urls) -> AsyncIterator[FastAPI]:
    # The worker stands still: tests say what is heard and when the clock strikes.
    async with starter.running(app, "safety_net", safety_net_urls, SAFETY_NET_RUN_WORKER="false"):
        yield app


@pytest.fixture
def world(safety_net: FastAPI, issuer: Issuer) -> World:
    return World(safety_net, issuer)
