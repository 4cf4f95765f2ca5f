"""A county of its own for requests nobody should send: what they create, void and decide disturbs no other test."""

from collections.abc import Iterator

import pytest

from tests.contract_fuzz.county import County
from tests.flow.conftest import System


@pytest.fixture(scope="session")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    """The running system, its document, everybody who may come, and what there is to ask for."""
    system = System(tmp_path_factory.mktemp("fuzzed") / "data")
    # Everybody here comes from one address, and most of what they say of themselves is wrong.
    system.start(CONTRACT_ADDRESS_FREE_FAILURES="1000000")
    try:
        found = County(system)
        yield found
        found.close()
    finally:
        system.stop()
