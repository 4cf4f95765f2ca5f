"""Publishing many at once on a real NATS: all or nothing, a repeated id costs nothing but time, an older server too."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from shared.kit.bus import Bus
from shared.kit.events import Envelope
from tests.conftest import Starter
from tests.kit.test_event_channel import Rang


@pytest.fixture
async def bus(starter: Starter) -> AsyncIterator[Bus]:
    bus = Bus(starter.nats.url, name="bells")
    if await bus.stream_info("BELLS"):
        await (await bus.jetstream()).delete_stream("BELLS")
    yield bus
    await (await bus.jetstream()).delete_stream("BELLS")
    await bus.close()


async def test_a_batch_with_a_repeated_id_is_published_one_by_one(bus: Bus) -> None:
    await bus.ensure_stream("BELLS")
    messages = [(Rang.subject, Envelope.around(Rang(number=n)).to_bytes(), str(uuid4())) for n in range(20)]
    await bus.publish(messages[:10])
    assert await _stored(bus) == 10
    await bus.publish(messages[5:])  # five of them once more
    assert await _stored(bus) == 20
    await bus.publish([*messages[:3], *messages[:3], *messages[:3]])
    assert await _stored(bus) == 20


async def test_a_batch_reaches_the_broker_whole(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    await bus.ensure_stream("BELLS")
    singly: list[int] = []
    each = Bus._publish_each

    async def counted(self: Bus, messages: Any) -> None:
        singly.append(len(messages))
        await each(self, messages)

    monkeypatch.setattr(Bus, "_publish_each", counted)
    messages = [(Rang.subject, b"{}", str(uuid4())) for _ in range(250)]
    await bus.publish(messages)
    assert (await _stored(bus), singly) == (250, [])
    await bus.publish([(Rang.subject, b"{}", str(uuid4())) for _ in range(3)])
    assert (await _stored(bus), singly) == (253, [3])


async def _stored(bus: Bus) -> int:
    info = await bus.stream_info("BELLS")
    assert info is not None
    return info.state.messages


async def test_a_broker_that_takes_no_batches_is_served_singly_and_said_so_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older server passes over what it does not know in a stream's settings."""
    js = await bus.jetstream()
    add, update = js.add_stream, js.update_stream
    for name, call in (("add_stream", add), ("update_stream", update)):

        async def older(config: Any, call: Any = call) -> Any:
            return await call(config.evolve(allow_atomic=None))

        monkeypatch.setattr(js, name, older)
    for _ in range(3):
        await bus.ensure_stream("BELLS")
        await bus.publish([(Rang.subject, b"{}", str(uuid4())) for _ in range(20)])
    assert await _stored(bus) == 60
    assert capsys.readouterr().err.count("broker_takes_no_batches") == 1


async def test_a_stream_made_by_an_older_version_gets_the_settings_of_this_one(bus: Bus) -> None:
    js = await bus.jetstream()
    await js.add_stream(name="BELLS", subjects=["bells.>"], duplicate_window=600, max_age=86400)
    created = await bus.ensure_stream("BELLS")
    info = await bus.stream_info("BELLS")
    assert info is not None
    assert (info.config.allow_atomic, info.config.duplicate_window, info.config.max_age) == (True, 120, 14 * 86400)
    assert await bus.ensure_stream("BELLS") == created
