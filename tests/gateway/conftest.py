"""One gateway for the tests that leave it as it is; those that don't make their own (`houses.house`)."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.clients import Issuer
from tests.gateway.houses import House, Service, house


@pytest.fixture(scope="session")
async def shared_house(issuer: Issuer) -> AsyncIterator[House]:
    """The house that lasts for all of these tests."""
    async with house(issuer.url) as made:
        yield made


@pytest.fixture
def home(shared_house: House) -> House:
    """The house, its services having forgotten what they were asked and told."""
    for service in (shared_house.contract, shared_house.treatment, shared_house.safety_net):
        fresh = Service()
        service.does, service.asked, service.broken_off = fresh.does, fresh.asked, 0
        service.document, service.ready = fresh.document, fresh.ready
    return shared_house


@pytest.fixture
async def client(home: House, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """A hospital's client of the gateway."""
    token = issuer.token("hospital", institution_code="H45022300001")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=home.url, headers=headers, timeout=20, trust_env=False) as made:
        yield made


@pytest.fixture
async def stranger(home: House) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(base_url=home.url, timeout=20, trust_env=False) as made:
        yield made
