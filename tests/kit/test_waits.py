"""Waiting at a window: told, woken, or looking again by oneself."""

import asyncio

import pytest

from shared.kit import waits as kit
from shared.kit.waits import Waits, preferred_seconds


class Looks:
    """Finds something once it is there, and counts."""

    def __init__(self) -> None:
        self.there: str | None = None
        self.count = 0
        self.looked = asyncio.Event()

    async def __call__(self) -> str | None:
        self.count += 1
        self.looked.set()
        return self.there

    async def next(self) -> None:
        """Until somebody looks."""
        await self.looked.wait()
        self.looked.clear()


@pytest.fixture
def looks() -> Looks:
    return Looks()


async def test_what_is_told_needs_no_looking(looks: Looks) -> None:
    waits = Waits()
    with waits.expecting("a") as waiter:
        assert waiter is not None
        hearing = asyncio.create_task(waiter.hear(60, looks))
        await asyncio.sleep(0)
        waits.tell("b", "another's")
        waits.tell("a", "this")
        assert await hearing == "this"
        assert looks.count == 0


async def test_what_was_told_before_one_listened_is_not_missed(looks: Looks) -> None:
    waits = Waits()
    with waits.expecting("a") as waiter:
        assert waiter is not None
        waits.tell("a", "this")
        assert (await waiter.hear(60, looks), looks.count) == ("this", 0)


async def test_who_is_woken_looks_and_goes_on_waiting_when_nothing_is_there(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "LOOK_AGAIN_SECONDS", 60)
    waits = Waits()
    waiting = asyncio.create_task(waits.until("a", 60, looks))
    await looks.next()
    waits.wake("a")
    await looks.next()
    looks.there = "found"
    waits.wake("a")
    assert await waiting == "found"
    assert looks.count == 3


async def test_being_told_is_a_reason_to_look_for_who_wants_to_see_himself(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "LOOK_AGAIN_SECONDS", 60)
    waits = Waits()
    waiting = asyncio.create_task(waits.until("a", 60, looks))
    await looks.next()
    looks.there = "seen"
    waits.tell("a", "told")
    assert await waiting == "seen"


async def test_who_nobody_wakes_looks_by_himself_and_ends_in_time(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "LOOK_AGAIN_SECONDS", 0.01)
    waits = Waits()
    assert await waits.until("a", 0.2, looks) is None
    assert looks.count > 2
    looks.there = "found"
    assert await waits.until("a", 60, looks) == "found"
    assert await waits.until("a", 0, looks) == "found"


async def test_one_waiter_too_many_is_answered_at_once(looks: Looks) -> None:
    waits = Waits(most=1)
    with waits.expecting("a"), waits.expecting("a") as second:
        assert second is None
        assert await waits.until("a", 60, looks) is None
    with waits.expecting("a") as third:
        assert third is not None


def test_how_long_a_caller_would_wait() -> None:
    known = {None: 0, "": 0, "wait=5": 5, "WAIT = 5": 5, 'respond-async, wait="7"': 7, "wait=999999": 30, "await=5": 0}
    assert {prefer: preferred_seconds(prefer) for prefer in known} == known
