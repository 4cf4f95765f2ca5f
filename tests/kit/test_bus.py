"""Publishing many at once on a real NATS: neighbours travel together, and what is repeated costs nothing but time."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from shared.kit.bus import PACK, PACK_BYTES, Bus, packed, unpacked
from shared.kit.events import Envelope
from tests.conftest import Starter
from tests.kit.test_event_channel import Rang


@pytest.fixture
async def bus(starter: Starter) -> AsyncIterator[Bus]:
    bus = Bus(starter.nats.url, name="bells")
    if await bus.stream_info("BELLS"):
        await (await bus.jetstream()).delete_stream("BELLS")
    await bus.ensure_stream("BELLS")
    yield bus
    await (await bus.jetstream()).delete_stream("BELLS")
    await bus.close()


def rings(number: int) -> list[tuple[str, bytes, str]]:
    return [(Rang.subject, Envelope.around(Rang(number=n)).to_bytes(), str(uuid4())) for n in range(number)]


async def stored(bus: Bus) -> list[list[bytes]]:
    """The messages of the stream, each as the events that it carries."""
    pull = await bus.subscribe("BELLS", f"ears-{uuid4().hex}", [Rang.subject])
    info = await bus.stream_info("BELLS")
    assert info is not None
    found: list[list[bytes]] = []
    while len(found) < info.state.messages:
        found += [unpacked(message.data) for message in await pull.next(10_000)]
    await pull.close()
    return found


async def test_neighbours_travel_together_and_arrive_in_order(bus: Bus) -> None:
    events = rings(2 * PACK + 7)
    await bus.publish(events)
    await bus.publish(events[:1])  # a lone event is a message as it is
    found = await stored(bus)
    assert [len(each) for each in found] == [PACK, PACK, 7, 1]
    assert [event for each in found for event in each] == [payload for _, payload, _ in (*events, events[0])]


async def test_a_message_that_is_repeated_is_kept_once(bus: Bus) -> None:
    events = rings(10)
    for some in (events, events, events[:1], events[:1]):
        await bus.publish(some)
    assert [len(each) for each in await stored(bus)] == [10, 1]


async def test_events_that_come_again_beside_others_take_none_of_them_along(bus: Bus) -> None:
    """The broker drops a message it knows: an event that was not in it must not be dropped with it."""
    events = rings(12)
    await bus.publish(events[:10])
    await bus.publish(events)
    await bus.publish([events[0], events[11]])
    assert {event for each in await stored(bus) for event in each} == {payload for _, payload, _ in events}
    assert [len(each) for each in await stored(bus)] == [10, 12, 2]


def sizes(events: Sequence[tuple[str, bytes, str]]) -> list[int]:
    return [int(headers.get("Events", "1")) for _, _, headers in packed(events)]


def test_a_message_is_bounded_and_of_one_subject() -> None:
    small, large, huge = (("bells.a.v1", b"x" * size, "i") for size in (10, PACK_BYTES // 2, PACK_BYTES * 2))
    other = ("bells.b.v1", b"x", "i")
    assert sizes([]) == []
    assert sizes([small] * (PACK + 1)) == [PACK, 1]
    assert sizes([large, large, large, small]) == [2, 2]
    assert sizes([small, huge, small, small]) == [1, 1, 2]
    assert sizes([small, small, other, small]) == [2, 1, 1]


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b"[]", b"[{},", b"[1,"])
def test_what_is_no_list_of_events_is_one_event_and_never_none(content: bytes) -> None:
    assert unpacked(content) == [content]


async def test_a_listener_takes_no_more_events_than_it_asks_for_but_always_one_message(bus: Bus) -> None:
    for number in (60, 30, 30, 1):
        await bus.publish(rings(number))
    pull = await bus.subscribe("BELLS", "ears", [Rang.subject])
    taken: list[int] = []
    while sum(taken) < 121:
        taken.append(sum(len(unpacked(message.data)) for message in await pull.next(50)))
    await pull.close()
    assert (taken[0], max(taken)) == (60, 60)


async def test_a_stream_made_by_an_older_version_gets_the_settings_of_this_one(bus: Bus) -> None:
    js = await bus.jetstream()
    await js.delete_stream("BELLS")
    await js.add_stream(name="BELLS", subjects=["bells.>"], duplicate_window=600, max_age=86400)
    created = await bus.ensure_stream("BELLS")
    info = await bus.stream_info("BELLS")
    assert info is not None
    assert (info.config.duplicate_window, info.config.max_age) == (120, 14 * 86400)
    assert await bus.ensure_stream("BELLS") == created
