"""The three services' databases, with rows of two counties in every table."""

import pytest

from deploy.settings import Urls
from tests.conftest import Starter
from tests.services.rows.county import fill
from tests.services.rows.decisions import SERVICES


@pytest.fixture(scope="session")
async def filled(starter: Starter) -> dict[str, Urls]:
    """A database of each service."""
    made = {service: await starter.database(service) for service in SERVICES}
    for service, urls in made.items():
        await fill(urls.owner_url, service)
    return made
