"""The channel drops, doubles, delays and mixes up what it is given: the end is the same as if it had not."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.events.treatment import DischargeCorrected, DischargeVoided
from shared.kit.bus import Bus
from shared.kit.events import Envelope, Event
from tests.faults.conftest import APPS, Pair, eventually

SEED = 20180720
BILLS = 40


async def tell(pair: Pair, events: Sequence[Event]) -> None:
    """Commit events to treatment's outbox, each by itself."""
    owner = await asyncpg.connect(pair.urls["treatment"].owner_url)
    for event in events:
        envelope = Envelope.around(event)
        put = "insert into outbox (event_id, subject, payload) values ($1, $2, $3)"
        await owner.execute(put, envelope.event_id, envelope.subject, envelope.to_bytes())
    await owner.close()


class Disorder:
    """What a bad day does to a batch, by a seeded die."""

    def __init__(self) -> None:
        self.dice = random.Random(SEED)
        self.counts = dict.fromkeys(("dropped", "doubled", "delayed"), 0)
        self.late: list[asyncio.Task[None]] = []

    def over(self, publish: Any) -> Any:
        """Publishing as this channel does it."""

        async def disordered(bus: Bus, messages: Sequence[tuple[str, bytes, str]]) -> None:
            now = []
            for subject, payload, message_id in messages:
                thrown = self.dice.random()
                if thrown < 0.15:
                    # Confirmed and lost, as brokers have done.
                    self.counts["dropped"] += 1
                elif thrown < 0.35:
                    self.counts["delayed"] += 1
                    self.late.append(asyncio.create_task(self._later(publish, bus, (subject, payload, message_id))))
                else:
                    now.append((subject, payload, message_id))
                if thrown > 0.8:
                    self.counts["doubled"] += 1
                    now += [(subject, payload, str(uuid4())) for _ in range(2)]
            self.dice.shuffle(now)
            await publish(bus, now)

        return disordered

    async def _later(self, publish: Any, bus: Bus, message: tuple[str, bytes, str]) -> None:
        await asyncio.sleep(self.dice.uniform(0.05, 1.5))
        await publish(bus, [message])


async def test_a_channel_that_drops_doubles_delays_and_mixes_up_changes_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    disorder, dice = Disorder(), random.Random(SEED)
    monkeypatch.setattr(Bus, "publish", disorder.over(Bus.publish))
    expected: dict[UUID, int] = {}
    async with pair.running("treatment", "safety_net"):
        for envelope in await pair.say(BILLS, apart=True):
            discharge_id, version, events = UUID(envelope.data["discharge_id"]), 1, list[Event]()
            for _ in range(dice.randrange(3)):
                version += 1
                facts = {**envelope.data, "version": version, "other_fen": version}
                events.append(DischargeCorrected.model_validate(facts))
            expected[discharge_id] = version
            if dice.random() < 0.25:
                events.append(DischargeVoided(discharge_id=discharge_id, version=version + 1))
                del expected[discharge_id]
            await tell(pair, events)
        await eventually(lambda: compared(pair, disorder))
        rows = "select concat(discharge_id, ' ', bill_version) from settlements where ended_at is null"
        live = {UUID(one): int(version) for one, version in map(str.split, await pair.ask("safety_net", rows))}
        assert live == expected
        standing = "select concat(discharge_id, ' ', settlement_id) from {} where state not in ('superseded', 'voided')"
        assert set(await pair.ask("treatment", standing.format("bill_settlements"))) == set(
            await pair.ask("safety_net", standing.format("settlements"))
        )
        for service in APPS:
            assert await pair.ask(service, "select count(*) from dead_letters") == [0]
    assert min(disorder.counts.values()) >= 10, disorder.counts


async def compared(pair: Pair, disorder: Disorder) -> bool:
    """Whether everything is said and heard, after a comparison on both sides."""
    await asyncio.gather(*disorder.late)
    missing = 0
    for app in APPS.values():
        report = await app.state.worker.reconciliation.compare()
        missing += sum(event["missing"] for event in report["events"])
    waiting = "select count(*) from outbox where published_at is null"
    return missing == 0 and [await pair.ask(service, waiting) for service in APPS] == [[0], [0]]
