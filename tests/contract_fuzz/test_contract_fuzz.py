"""Whatever is sent by whomever: no 5xx, and no answer that the merged OpenAPI does not declare."""

from collections.abc import Iterator

import pytest

from shared.kit.caller import ROLES
from tests.contract_fuzz.callers import CALLERS, NOBODY
from tests.contract_fuzz.county import County
from tests.contract_fuzz.fuzz import Fuzz, public

# Each of its requests in the short form stands for this many of the long one.
STRIDE = 11
SEED = 20180811


@pytest.fixture(scope="module")
def known(county: County) -> Fuzz:
    """The county, once everybody has asked everything."""
    fuzz = Fuzz(county)
    fuzz.everybody()
    return fuzz


@pytest.fixture
def fuzz(known: Fuzz) -> Iterator[Fuzz]:
    """The same; afterwards every answer must have been declared and no process have met the unforeseen."""
    yield known
    faults, crashes = known.report(), known.crashes()
    known.found.clear()
    assert not faults, faults
    assert not crashes, "\n".join(crashes)


def test_everybody_is_answered_as_declared(fuzz: Fuzz) -> None:
    assert set(ROLES) < set(CALLERS)
    for name, spoiler in fuzz.spoilers.items():
        answered = fuzz.statuses[name]
        assert set(answered) == set(CALLERS)
        if public(spoiler.operation):
            # After some failures a name is locked: that too is the same for everybody.
            assert len(set(answered.values()) - {429}) <= 1, (name, "public means that it matters to nobody who asks")
        else:
            assert answered[NOBODY] == 401, name
            assert any(status not in (401, 403) for status in answered.values()), (name, "is for nobody")


def test_drawn_requests(fuzz: Fuzz) -> None:
    fuzz.drawn(SEED, 4)


def test_spoilt_requests(fuzz: Fuzz) -> None:
    fuzz.spoilt(STRIDE)


def test_methods_nobody_declared(fuzz: Fuzz) -> None:
    assert not list(fuzz.other_methods())


@pytest.mark.long
def test_every_spoilt_request(fuzz: Fuzz) -> None:
    fuzz.spoilt()


@pytest.mark.long
@pytest.mark.parametrize("chance", [1, 2, 3])
def test_many_drawn_requests(fuzz: Fuzz, chance: int) -> None:
    fuzz.drawn(chance, 50)
