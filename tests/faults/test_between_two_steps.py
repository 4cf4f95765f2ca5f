"""Relay and consumer stop between each two of their steps: whatever was said is acted on exactly once.

First the process is killed by SIGKILL and another goes on; then only the connection in hand is cut and the same
process goes on by itself.
"""

import asyncio
from typing import Any

import asyncpg
import pytest

from shared.kit.reconciliation import Reconciliation
from tests.faults.conftest import Pair
from tests.faults.seams import CONSUMER, RELAY, Seams

BILLS = 7


@pytest.fixture(autouse=True)
def _no_reconciliation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps stand for themselves: the comparison, which would find what they lost, is not made."""

    async def never(_: Reconciliation) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Reconciliation, "run", never)


@pytest.mark.parametrize("point", RELAY)
async def test_a_speaker_killed_between_two_steps_says_everything_once_in_effect(pair: Pair, point: str) -> None:
    await pair.say(BILLS)
    await pair.killed("treatment", point)
    await pair.say(BILLS)
    with Seams(lambda *_: None).watched():
        async with pair.running("treatment", "safety_net"):
            await pair.settled_once()


@pytest.mark.parametrize("point", CONSUMER)
async def test_a_listener_killed_between_two_steps_acts_on_everything_once(pair: Pair, point: str) -> None:
    await pair.say(BILLS)
    with Seams(lambda *_: None).watched():
        async with pair.running("treatment"):
            await pair.killed("safety_net", point)
            await pair.say(BILLS)
            async with pair.running("safety_net"):
                await pair.settled_once()


@pytest.mark.parametrize(
    "point",
    [
        "acted",
        "committed",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("marking", "marked", "fetched", "begun")),
    ],
)
async def test_a_connection_cut_between_two_steps_costs_only_a_repeat(pair: Pair, point: str) -> None:
    cut: list[str] = []

    def at(passed: str, connection: Any) -> None:
        if passed == point and len(cut) < 3:
            cut.append(passed)
            connection.terminate()
            if passed in ("marked", "begun", "committed"):
                # The server did it, and the answer was lost on the way.
                raise asyncpg.ConnectionDoesNotExistError("cut by the test")

    with Seams(at).watched():
        async with pair.running("treatment", "safety_net"):
            await pair.say(BILLS, apart=True)
            await pair.settled_once()
    assert cut
