"""The event channel on a real PostgreSQL and a real NATS: nothing lost, nothing doubled, nothing dropped."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from nats.aio.client import DEFAULT_MAX_PAYLOAD_SIZE
from sqlalchemy import delete, func, select

from shared.kit.bus import Bus, BusAway, unpacked
from shared.kit.database import Database, DeadLetterRow, InboxRow, OutboxRow, StreamRow
from shared.kit.events import MOST_BYTES, Envelope, Event, TooLargeToSay
from shared.kit.inbox import Consumer, hear_once
from shared.kit.outbox import say
from shared.kit.scope import SERVICE, Scope
from shared.kit.worker import Wiring, Worker
from tests.conftest import Starter


class Rang(Event):
    """A bell rang."""

    subject: ClassVar[str] = "bells.rang.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("ears",)

    number: int


class Ears:
    """A listener that remembers what it heard, and may be told to fail."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.fails: set[int] = set()

    async def hear(self, session: Any, event: Rang) -> None:
        await session.execute(select(1))
        if event.number in self.fails:
            raise ValueError("not today")
        self.heard.append(event.number)


async def eventually(true: Callable[[], Awaitable[bool] | bool], seconds: float = 20) -> None:
    """Wait until something is so; fail when it is not within the time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        so = true()
        if so if isinstance(so, bool) else await so:
            return
        assert loop.time() < deadline, "it never became so"
        await asyncio.sleep(0.02)


class Channel:
    """A speaker and a listener, each with a database and a connection of its own."""

    def __init__(self, starter: Starter, speaker_url: str, listener_url: str) -> None:
        self.ears = Ears()
        self.bell_base, self.ear_base = Database(speaker_url), Database(listener_url)
        self.bell_bus, self.ear_bus = Bus(starter.nats.url, name="bells"), Bus(starter.nats.url, name="ears")
        self.bells = Worker(self.bell_base, self.bell_bus, Wiring("bells", [Rang], []))
        self.listener = Worker(self.ear_base, self.ear_bus, Wiring("ears", [], [Consumer(Rang, self.ears.hear)]))

    async def ring(self, *numbers: int) -> None:
        async with self.bell_base.transaction(SERVICE) as session:
            say(session, *(Rang(number=number) for number in numbers))

    async def count(self, database: Database, table: Any, *where: Any) -> int:
        async with database.transaction(SERVICE) as session:
            return int(await session.scalar(select(func.count()).select_from(table).where(*where)) or 0)

    async def forget_stream(self) -> None:
        js = await self.bell_bus.jetstream()
        if await self.bell_bus.stream_info("BELLS"):
            await js.delete_stream("BELLS")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.bells.start()
        self.listener.start()
        try:
            yield
        finally:
            await self.bells.stop()
            await self.listener.stop()

    async def close(self) -> None:
        await self.forget_stream()
        for part in (self.bell_bus, self.ear_bus, self.bell_base, self.ear_base):
            await part.close()


@pytest.fixture
async def channel(starter: Starter) -> AsyncIterator[Channel]:
    speaker, listener = await starter.database("treatment"), await starter.database("treatment")
    channel = Channel(starter, speaker.service_url, listener.service_url)
    await channel.forget_stream()
    yield channel
    await channel.close()


async def test_what_commits_is_heard_once_and_in_order(channel: Channel) -> None:
    async with channel.running():
        for start in range(0, 300, 3):
            await channel.ring(start, start + 1, start + 2)
        await eventually(lambda: len(channel.ears.heard) >= 300)
    assert channel.ears.heard == list(range(300))
    assert await channel.count(channel.bell_base, OutboxRow, OutboxRow.published_at.is_(None)) == 0


async def test_what_the_channel_would_not_take_is_refused_and_holds_nobody_up(channel: Channel) -> None:
    class Sang(Event):
        subject: ClassVar[str] = "bells.rang.v1"
        heard_by: ClassVar[tuple[str, ...]] = ("ears",)

        number: int
        song: str

    async def sings(number: int, notes: int) -> None:
        async with channel.bell_base.transaction(SERVICE) as session:
            say(session, Rang(number=number), Sang(number=number, song="la" * notes))

    around = len(Envelope.around(Sang(number=1, song="")).to_bytes())
    assert MOST_BYTES + 1024 == DEFAULT_MAX_PAYLOAD_SIZE
    async with channel.running():
        with pytest.raises(TooLargeToSay):
            await sings(1, (MOST_BYTES - around) // 2 + 1)
        await sings(2, (MOST_BYTES - around) // 2)
        await eventually(lambda: len(channel.ears.heard) >= 2)
    assert channel.ears.heard == [2, 2]
    assert await channel.count(channel.bell_base, OutboxRow) == 2


async def test_what_does_not_commit_is_never_said(channel: Channel) -> None:
    async def changes_its_mind() -> None:
        async with channel.bell_base.transaction(SERVICE) as session:
            say(session, Rang(number=1))
            await session.flush()
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await changes_its_mind()
    async with channel.running():
        await channel.ring(2)
        await eventually(lambda: channel.ears.heard == [2])


async def test_a_message_delivered_again_changes_nothing(channel: Channel) -> None:
    await channel.ring(7)
    async with channel.bell_base.transaction(SERVICE) as session:
        payload = (await session.scalars(select(OutboxRow.payload))).one()
    async with channel.running():
        await eventually(lambda: channel.ears.heard == [7])
        for _ in range(5):
            await channel.bell_bus.publish([(Rang.subject, payload, str(uuid4()))])
        await channel.ring(8)
        await eventually(lambda: 8 in channel.ears.heard)
    assert channel.ears.heard == [7, 8]


async def test_an_acknowledgement_follows_the_commit(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener's commit fails after all was done: the event comes again and is acted on then."""
    failures = 0
    transaction = channel.ear_base.transaction

    @asynccontextmanager
    async def breaks_at_commit(scope: Scope) -> AsyncIterator[Any]:
        nonlocal failures
        async with transaction(scope) as session:
            yield session
            # Only the listener's own transaction sees what it has not yet committed; the worker's jobs have others.
            if channel.ears.heard and failures < 2 and await session.scalar(select(InboxRow.event_id)):
                failures += 1
                channel.ears.heard.clear()
                raise ConnectionResetError

    monkeypatch.setattr(channel.ear_base, "transaction", breaks_at_commit)
    async with channel.running():
        await channel.ring(1)
        await eventually(lambda: failures == 2 and channel.ears.heard == [1])
        await eventually(lambda: _is(channel, InboxRow, 1))


async def _is(channel: Channel, table: Any, number: int) -> bool:
    return await channel.count(channel.ear_base, table) == number


async def test_a_poisoned_event_ends_with_a_person_while_the_rest_flows(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.inbox.MAX_FAILURES", 3)
    channel.ears.fails = {13}
    async with channel.running():
        await channel.ring(12, 13, 14)
        await eventually(lambda: _is(channel, DeadLetterRow, 1))
        await channel.ring(15)
        await eventually(lambda: 15 in channel.ears.heard)
        assert channel.ears.heard == [12, 14, 15]
        report = await channel.bells.reconciliation.compare()
    assert [(e["said"], e["heard"], e["missing"]) for e in report["events"]] == [(4, 4, 0)]
    async with channel.ear_base.transaction(SERVICE) as session:
        letter = (await session.scalars(select(DeadLetterRow))).one()
        channel.ears.fails.clear()
        consumers = {Rang.subject: Consumer(Rang, channel.ears.hear)}
        assert await hear_once(session, Envelope.from_bytes(letter.payload), consumers)
    assert channel.ears.heard[-1] == 13


async def test_what_is_no_event_at_all_is_buried_too(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.kit.inbox.MAX_FAILURES", 2)
    async with channel.running():
        await channel.ring(1)
        await eventually(lambda: channel.ears.heard == [1])
        for number, nonsense in enumerate((b"\xff not json", b"[]", b"[1]"), 1):
            await channel.bell_bus.publish([(Rang.subject, nonsense, str(uuid4()))])
            await eventually(lambda wanted=number: _is(channel, DeadLetterRow, wanted))  # type: ignore[misc]
        await eventually(lambda: _all_done_with(channel))


async def _all_done_with(channel: Channel) -> bool:
    return await channel.bell_bus.backlog("BELLS") == 0


async def test_a_deleted_stream_is_made_anew_and_nothing_is_lost(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.outbox.STREAM_CHECK_SECONDS", 0.2)
    monkeypatch.setattr("shared.kit.reconciliation.GRACE_SECONDS", 0)
    channel.bells.start()
    await channel.ring(1, 2, 3)
    await eventually(lambda: _published(channel, 3))
    await channel.forget_stream()  # published, heard by nobody, and forgotten by the broker
    channel.listener.start()
    await channel.ring(4)
    await eventually(lambda: sorted(channel.ears.heard) == [1, 2, 3, 4])
    await channel.forget_stream()  # while both sides run
    await channel.ring(5)
    await eventually(lambda: sorted(channel.ears.heard) == [1, 2, 3, 4, 5])
    report = await channel.bells.reconciliation.compare()
    assert [(e["said"], e["heard"], e["missing"]) for e in report["events"]] == [(5, 5, 0)]
    await channel.bells.stop()
    await channel.listener.stop()


async def _published(channel: Channel, number: int) -> bool:
    return await channel.count(channel.bell_base, OutboxRow, OutboxRow.published_at.is_not(None)) == number


async def test_the_reconciliation_finds_and_says_again_what_a_listener_lost(channel: Channel) -> None:
    """The listener's database came back from yesterday's backup: the broker thinks all was heard."""
    async with channel.running():
        await channel.ring(*range(20))
        await eventually(lambda: _is(channel, InboxRow, 20))
        async with channel.ear_base.transaction(SERVICE) as session:
            ids = list(await session.scalars(select(InboxRow.event_id).limit(8)))
            await session.execute(delete(InboxRow).where(InboxRow.event_id.in_(ids)))
        channel.ears.heard.clear()
        report = await channel.bells.reconciliation.compare()
        (row,) = report["events"]
        assert (row["said"], row["messages"], row["heard"], row["missing"], row["replayed"]) == (20, 1, 12, 8, 8)
        await eventually(lambda: len(channel.ears.heard) == 8)
        (row,) = (await channel.bells.reconciliation.compare())["events"]
        assert (row["heard"], row["missing"]) == (20, 0)


async def test_a_lost_broker_only_delays(starter: Starter, channel: Channel) -> None:
    async with channel.running():
        await channel.ring(1)
        await eventually(lambda: channel.ears.heard == [1])
        starter.nats.stop()
        await channel.ring(2)  # commits while nobody can be told
        await channel.ring(3)
        await asyncio.sleep(1)
        starter.nats.start()
        await eventually(lambda: channel.ears.heard == [1, 2, 3], seconds=40)


async def stored(bus: Bus) -> list[bytes]:
    """The events of the stream in their order, whichever messages carry them."""
    info = await bus.stream_info("BELLS")
    if info is None or info.state.messages == 0:
        return []
    js = await bus.jetstream()
    found: list[bytes] = []
    for seq in range(info.state.first_seq, info.state.last_seq + 1):
        message = await js.get_msg("BELLS", seq)
        found += unpacked(message.data or b"")
    return found


async def test_two_relays_of_one_service_do_not_double(channel: Channel) -> None:
    twin = Worker(channel.bell_base, channel.bell_bus, Wiring("bells", [Rang], []))
    twin.start()
    async with channel.running():
        await asyncio.gather(*(channel.ring(number) for number in range(100)))
        await eventually(lambda: len(channel.ears.heard) == 100)
        assert len(await stored(channel.bell_bus)) == 100
    await twin.stop()


def test_an_envelope_is_a_cloud_event() -> None:
    said = json.loads(Envelope.around(Rang(number=1)).to_bytes())
    assert UUID(said.pop("id"))
    assert said.pop("time").endswith("+08:00")
    assert said == {
        "specversion": "1.0",
        "source": "/bells",
        "type": "bells.rang.v1",
        "datacontenttype": "application/json",
        "requestid": "-",
        "data": {"number": 1},
    }


async def test_streams_remember_their_incarnation(channel: Channel) -> None:
    await channel.bells.relay.check_stream()
    assert not channel.bells.relay.forgotten.is_set()
    async with channel.bell_base.transaction(SERVICE) as session:
        (await session.scalars(select(StreamRow))).one().created = "another time"
    await channel.bells.relay.check_stream()
    assert channel.bells.relay.forgotten.is_set()


async def test_a_lost_database_does_not_count_against_a_message(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's own count rises with each batch given back; only a message's own failures bury it."""
    monkeypatch.setattr("shared.kit.inbox.MAX_FAILURES", 2)
    transaction, away = channel.ear_base.transaction, 0

    @asynccontextmanager
    async def often_away(scope: Scope) -> AsyncIterator[Any]:
        nonlocal away
        async with transaction(scope) as session:
            yield session
            if away < 3:
                away += 1
                raise ConnectionResetError

    channel.ears.fails = {1}
    monkeypatch.setattr(channel.ear_base, "transaction", often_away)
    async with channel.running():
        await channel.ring(1)
        await eventually(lambda: away >= 3)
        channel.ears.fails.clear()
        await eventually(lambda: channel.ears.heard == [1], seconds=40)
        assert await _is(channel, DeadLetterRow, 0)


async def test_a_broker_that_is_not_there_is_said_so() -> None:
    bus = Bus("nats://127.0.0.1:1", name="nobody")
    with pytest.raises(BusAway):
        await bus.stream_info("BELLS")
