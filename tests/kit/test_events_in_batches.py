"""Events heard and said many at a time, on a real PostgreSQL and a real NATS: one bad event, one lost answer, one large
batch hold up nobody else, and nothing is doubled.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from shared.kit.bus import Bus
from shared.kit.database import DeadLetterRow, InboxRow, OutboxRow, Said
from shared.kit.direct import Direct
from shared.kit.events import Envelope, Heard, Reader
from shared.kit.inbox import Consumer, Done, Many
from shared.kit.outbox import BATCH, Relay, say
from shared.kit.scope import SERVICE
from shared.kit.worker import Wiring, Worker
from tests.conftest import Starter
from tests.kit.test_event_channel import Channel, Rang, eventually, stored


class ManyEars:
    """Hears batches in a table of its own, so that what was rolled back was not heard; may be told to fail or leave."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.fails: set[int] = set()
        self.leaves: set[int] = set()
        self.told: list[int] = []

    async def hear(self, session: Any, event: Rang) -> None:
        if event.number in self.fails:
            raise ValueError("not today")
        await session.execute(text("insert into heard values (:number, 'alone')"), {"number": event.number})

    async def hear_many(self, direct: Direct, events: Sequence[Heard]) -> Done:
        numbers = [heard.data.number for heard in events]
        self.batches.append(len(numbers))
        insert = await direct.prepared("insert into heard select number, 'together' from unnest($1::int[]) number")
        await insert.fetch([number for number in numbers if number not in self.leaves])
        if self.fails.intersection(numbers):
            raise ValueError("not today")
        left = {heard.event_id for heard in events if heard.data.number in self.leaves}
        return Done(after_commit=lambda: self.told.extend(numbers), left=left)


class ManyChannel(Channel):
    """A channel whose listener hears in batches."""

    def __init__(self, starter: Starter, speaker_url: str, listener_url: str) -> None:
        super().__init__(starter, speaker_url, listener_url)
        self.many = ManyEars()
        hears = [Consumer(Rang, self.many.hear, Many(Reader(Rang), self.many.hear_many))]
        self.listener = Worker(self.ear_base, self.ear_bus, Wiring("ears", [], hears))

    async def heard(self) -> list[tuple[int, str]]:
        """What stands as heard, in the order of its numbers."""
        async with self.ear_base.transaction(SERVICE) as session:
            return [(row[0], row[1]) for row in await session.execute(text("select * from heard order by 1, 2"))]

    async def has_heard(self, *numbers: int) -> bool:
        """Whether exactly these were heard, each once."""
        return [number for number, _ in await self.heard()] == sorted(numbers)


@pytest.fixture
async def channel(starter: Starter) -> AsyncIterator[ManyChannel]:
    speaker, listener = await starter.database("treatment"), await starter.database("treatment")
    channel = ManyChannel(starter, speaker.service_url, listener.service_url)
    owner = Direct(listener.owner_url)
    await (await owner.connection()).execute(
        f"create table heard (number int, way text); grant all on heard to {listener.service_role}"
    )
    await owner.close()
    await channel.forget_stream()
    yield channel
    await channel.close()


async def test_a_large_commit_is_heard_in_batches_and_a_lone_event_at_once(channel: ManyChannel) -> None:
    async with channel.running():
        await channel.ring(*range(1000))
        await eventually(lambda: channel.has_heard(*range(1000)), 60)
        assert {way for _, way in await channel.heard()} == {"together"}
        assert max(channel.many.batches) <= BATCH
        assert len(channel.many.batches) <= 200
        await channel.ring(1000)
        await eventually(lambda: channel.has_heard(*range(1001)), 60)
        assert channel.many.batches[-1] == 1
    assert sorted(channel.many.told) == list(range(1001))
    assert await channel.count(channel.bell_base, OutboxRow, OutboxRow.published_at.is_(None)) == 0


async def test_one_poisoned_event_in_the_middle_ends_with_a_person_while_its_batch_is_heard(
    channel: ManyChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.inbox.MAX_FAILURES", 2)
    channel.many.fails = {25}
    async with channel.running():
        await channel.ring(*range(50))
        await eventually(lambda: channel.has_heard(*(set(range(50)) - {25})), 60)
        await eventually(lambda: _is(channel, DeadLetterRow, 1), 60)
        await channel.ring(50)
        await eventually(lambda: channel.has_heard(*(set(range(51)) - {25})), 60)


async def _is(channel: Channel, table: Any, number: int) -> bool:
    return await channel.count(channel.ear_base, table) == number


async def test_what_a_batch_leaves_is_heard_alone(channel: ManyChannel) -> None:
    channel.many.leaves = {3, 7}
    async with channel.running():
        await channel.ring(*range(10))
        await eventually(lambda: channel.has_heard(*range(10)), 60)
    assert {number for number, way in await channel.heard() if way == "alone"} == {3, 7}
    assert await _is(channel, InboxRow, 10)


async def test_a_batch_that_comes_again_changes_nothing(channel: ManyChannel) -> None:
    async with channel.running():
        await channel.ring(*range(20))
        await eventually(lambda: channel.has_heard(*range(20)), 60)
        async with channel.bell_base.transaction(SERVICE) as session:
            payloads = list(await session.scalars(select(OutboxRow.payload).order_by(OutboxRow.seq)))
        await channel.bell_bus.publish([(Rang.subject, payload, str(uuid4())) for payload in payloads])
        await channel.ring(20)
        await eventually(lambda: channel.has_heard(*range(21)), 60)
        await eventually(lambda: _all_acknowledged(channel), 60)
    assert sorted(channel.many.told) == list(range(21))


async def _all_acknowledged(channel: Channel) -> bool:
    return await channel.bell_bus.backlog("BELLS") == 0


def kill(starter: Starter) -> None:
    process = starter.nats.child.process
    assert process is not None
    process.kill()
    process.wait()


async def test_the_broker_dies_between_commit_and_acknowledgement(starter: Starter, channel: ManyChannel) -> None:
    hear, died = channel.many.hear_many, asyncio.Event()

    async def dies(direct: Direct, events: Sequence[Heard]) -> Done:
        done = await hear(direct, events)
        if not died.is_set():
            kill(starter)
            died.set()
        return done

    channel.listener.inboxes[0].consumers[Rang.subject] = Consumer(Rang, channel.many.hear, Many(Reader(Rang), dies))
    try:
        async with channel.running():
            await channel.ring(*range(30))
            await asyncio.wait_for(died.wait(), 60)
            starter.nats.start()
            await channel.ring(30)
            await eventually(lambda: channel.has_heard(*range(31)), 60)
            await eventually(lambda: _all_acknowledged(channel), 90)
            assert await channel.has_heard(*range(31))
    finally:
        if starter.nats.child.exit_code is not None:
            starter.nats.start()


async def test_a_stop_gives_back_at_once_what_was_in_work(channel: ManyChannel) -> None:
    """Whoever listens next need not wait until the broker misses the answers of who went."""
    reached = asyncio.Event()
    hear = channel.many.hear_many

    async def never_ends(direct: Direct, events: Sequence[Heard]) -> Done:
        await hear(direct, events)
        reached.set()
        await asyncio.sleep(3600)
        raise AssertionError

    consumer = Consumer(Rang, channel.many.hear, Many(Reader(Rang), never_ends))
    channel.listener.inboxes[0].consumers[Rang.subject] = consumer
    async with channel.running():
        await channel.ring(*range(10))
        await asyncio.wait_for(reached.wait(), 60)
    assert await channel.heard() == []
    hears = [Consumer(Rang, channel.many.hear, Many(Reader(Rang), hear))]
    channel.listener = Worker(channel.ear_base, channel.ear_bus, Wiring("ears", [], hears))
    loop = asyncio.get_running_loop()
    async with channel.running():
        began = loop.time()
        await eventually(lambda: channel.has_heard(*range(10)), 60)
        assert loop.time() - began < 20, "the broker gives back what is not answered after 30 s"


async def test_a_deleted_stream_is_made_anew_for_batches_too(
    channel: ManyChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.outbox.STREAM_CHECK_SECONDS", 0.2)
    monkeypatch.setattr("shared.kit.reconciliation.GRACE_SECONDS", 0)
    async with channel.running():
        await channel.ring(*range(200))
        await channel.forget_stream()
        await channel.ring(*range(200, 210))
        await eventually(lambda: channel.has_heard(*range(210)), 60)


async def test_a_bulk_lets_single_events_go_before_it(channel: ManyChannel) -> None:
    """Behind a batch of three thousand, one event more is heard long before the last of them."""
    async with channel.running():
        await channel.ring(0)
        await eventually(lambda: channel.has_heard(0), 60)
        await channel.ring(*range(1, 3001))
        await channel.ring(3001)
        await eventually(lambda: 3001 in channel.many.told, 60)
        before = len(channel.many.told)
        assert before < 1500, f"{before} were heard before it"
        await eventually(lambda: channel.has_heard(*range(3002)), 60)


async def test_two_relays_of_one_service_do_not_double_a_bulk(channel: ManyChannel) -> None:
    twin = Worker(channel.bell_base, channel.bell_bus, Wiring("bells", [Rang], []))
    await channel.ring(*range(500))  # in nobody's hand: both find it in the outbox
    twin.start()
    async with channel.running():
        await eventually(lambda: channel.has_heard(*range(500)), 60)
        await asyncio.gather(*(channel.ring(number) for number in range(500, 600)))
        await eventually(lambda: channel.has_heard(*range(600)), 60)
        assert len(await stored(channel.bell_bus)) == 600
    await twin.stop()


async def test_more_than_the_memory_holds_is_found_in_the_outbox(
    channel: ManyChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.outbox.MOST_IN_HAND", 10)
    async with channel.running():
        await channel.ring(*range(300))
        for number in range(300, 340):
            await channel.ring(number)
        await eventually(lambda: channel.has_heard(*range(340)), 60)


async def test_a_lost_mark_is_only_a_repeat(channel: ManyChannel) -> None:
    async with channel.running():
        await channel.ring(*range(20))
        await eventually(lambda: channel.has_heard(*range(20)), 60)
    async with channel.bell_base.transaction(SERVICE) as session:
        await session.execute(text("update outbox set published_at = null"))
    async with channel.running():
        await eventually(lambda: _nothing_waits(channel), 60)
        assert await channel.has_heard(*range(20))


async def _nothing_waits(channel: Channel) -> bool:
    return await channel.count(channel.bell_base, OutboxRow, OutboxRow.published_at.is_(None)) == 0


async def test_what_was_said_under_a_savepoint_that_failed_is_never_published(channel: ManyChannel) -> None:
    async def fails(session: Any) -> None:
        async with session.begin_nested():
            say(session, Rang(number=1))
            await session.flush()
            raise ValueError("not after all")

    handed: list[Said] = []
    channel.bell_base.said = handed.extend
    async with channel.bell_base.transaction(SERVICE) as session:
        say(session, Rang(number=0))
        with pytest.raises(ValueError, match="not after all"):
            await fails(session)
        say(session, Rang(number=2))
    assert [Envelope.from_bytes(said.payload).data["number"] for said in handed] == [0, 2]
    async with channel.bell_base.transaction(SERVICE) as session:
        rows = (await session.execute(select(OutboxRow).order_by(OutboxRow.seq))).scalars().all()
    assert [(row.seq, row.event_id, row.subject, row.payload) for row in rows] == [tuple(said) for said in handed]


async def test_a_relay_told_of_nothing_in_particular_looks_at_once(
    channel: ManyChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.outbox.LEFT_SECONDS", 3600)
    monkeypatch.setattr("shared.kit.outbox.POLL_SECONDS", 3600)
    relay = Relay(channel.bell_base, channel.bell_bus, "BELLS")
    running = asyncio.create_task(relay.run())
    try:
        await eventually(lambda: _stored_is(channel.bell_bus, 0), 60)
        channel.bell_base.said = lambda _: relay.hand(())
        await channel.ring(1)
        await eventually(lambda: _stored_is(channel.bell_bus, 1), 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _stored_is(bus: Bus, number: int) -> bool:
    return len(await stored(bus)) == number


@asynccontextmanager
async def a_lone_relay(channel: Channel) -> AsyncIterator[Relay]:
    relay = Relay(channel.bell_base, channel.bell_bus, "BELLS")
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_lost_broker_keeps_what_is_in_hand_and_in_order(starter: Starter, channel: ManyChannel) -> None:
    async with a_lone_relay(channel):
        await channel.ring(0)
        await eventually(lambda: _stored_is(channel.bell_bus, 1), 60)
        starter.nats.stop()
        try:
            for number in range(1, 40):
                await channel.ring(number)
        finally:
            starter.nats.start()
        await eventually(lambda: _stored_is(channel.bell_bus, 40), 60)
        order = [json.loads(event)["data"]["number"] for event in await stored(channel.bell_bus)]
    assert order == list(range(40))
