"""On the embedded event channel a stranger hears and says nothing, and a service speaks in its own name alone."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from deploy.engines import Nats, start_nats
from deploy.settings import SERVICES
from shared.kit.bus import Bus, unpacked
from tests.deploy.conftest import wait_until

EVENT = b'{"id": "forged"}'


@pytest.fixture
def channel(folder: Path) -> Iterator[Nats]:
    """A channel with an account for each service."""
    engine = start_nats(folder / "nats", services={name: f"word-of-{name}" for name in SERVICES})
    yield engine
    engine.stop()


@contextlib.asynccontextmanager
async def entered(url: str, name: str = "x") -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection, and what the server found wrong with what it did."""
    wrong: list[str] = []

    async def note(error: Exception) -> None:
        wrong.append(str(error))

    client = await nats.connect(
        url, error_cb=note, inbox_prefix=f"_INBOX.{name}", allow_reconnect=False, max_reconnect_attempts=1
    )
    try:
        yield client, wrong
    finally:
        await client.close()


@pytest.mark.parametrize("who", ["", "stranger:word@", "treatment:word-of-contract@", "three_batches:x@"])
async def test_nobody_enters_without_his_password(channel: Nats, who: str) -> None:
    with pytest.raises(Exception, match="Authorization Violation"):
        async with entered(f"nats://{who}127.0.0.1:{channel.port}"):
            pass


async def test_a_service_says_and_hears_what_is_its_own(channel: Nats) -> None:
    speaker, listener = (
        Bus(channel.url_of("treatment"), name="treatment"),
        Bus(channel.url_of("safety_net"), name="safety_net"),
    )
    subscription = await listener.subscribe("TREATMENT", "safety_net", ["treatment.discharge_billed.v1"])
    # Alone, and many in one message.
    await speaker.publish([("treatment.discharge_billed.v1", b"{}", "one")])
    assert await speaker.backlog("TREATMENT") == 1
    await speaker.publish([("treatment.discharge_billed.v1", b"{}", f"batch-{n}") for n in range(30)])
    taken = 0
    async with asyncio.timeout(60):
        while taken < 31:
            for message in await subscription.next(50):
                await message.ack_sync(timeout=10)
                taken += len(unpacked(message.data))
    assert await speaker.backlog("TREATMENT") == 0

    async def reply(raw: bytes) -> bytes:
        return raw + raw

    await listener.answer("inbox.safety_net.missing", reply)
    assert await speaker.ask("inbox.safety_net.missing", b"?") == b"??"
    await speaker.close()
    await listener.close()


FORBIDDEN = {
    "another's event": "treatment.discharge_billed.v1",
    "deleting a stream": "$JS.API.STREAM.DELETE.TREATMENT",
    "emptying a stream": "$JS.API.STREAM.PURGE.TREATMENT",
    "removing a message": "$JS.API.STREAM.MSG.DELETE.TREATMENT",
    "turning another's stream about": "$JS.API.STREAM.UPDATE.TREATMENT",
    "hearing in another's stead": "$JS.API.CONSUMER.MSG.NEXT.TREATMENT.safety_net",
    "acknowledging in another's stead": "$JS.ACK.TREATMENT.safety_net.1.1.1.1.0",
    "answering into another's inbox": "_INBOX.treatment.abc.def",
    "the server's own subjects": "$SYS.REQ.SERVER.PING",
}


@pytest.mark.parametrize("subject", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_what_a_service_may_not_say_is_refused_and_not_kept(channel: Nats, subject: str) -> None:
    speaker = Bus(channel.url_of("treatment"), name="treatment")
    await speaker.ensure_stream("TREATMENT")
    async with entered(channel.url_of("contract"), "contract") as (client, wrong):
        await client.publish(subject, EVENT)
        await client.flush(10)
        await asyncio.to_thread(wait_until, lambda: wrong, "the refusal")
    assert "permissions violation" in wrong[0].lower(), wrong
    info = await speaker.stream_info("TREATMENT")
    assert info is not None
    assert info.state.messages == 0
    await speaker.close()


@pytest.mark.parametrize("subject", [">", "treatment.>", "_INBOX.>", "_INBOX.treatment.>", "inbox.treatment.missing"])
async def test_nobody_listens_to_what_is_sent_to_others(channel: Nats, subject: str) -> None:
    async with entered(channel.url_of("contract"), "contract") as (client, wrong):
        await client.subscribe(subject)
        await client.flush(10)
        await asyncio.to_thread(wait_until, lambda: wrong, "the refusal")
    assert "permissions violation" in wrong[0].lower(), wrong


def test_the_passwords_lie_in_a_file_of_the_owner_alone(channel: Nats) -> None:
    config = channel.folder / "nats.conf"
    assert config.stat().st_mode & 0o777 == 0o600
    users = json.loads(config.read_text(encoding="utf-8"))["authorization"]["users"]
    assert {user["user"] for user in users} == {"three_batches", *SERVICES}
