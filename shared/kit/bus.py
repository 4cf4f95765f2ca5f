"""The event channel: NATS JetStream. A carrier, never the record."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import sha256

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, PubAck, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from shared.kit.log import log

ACK_SECONDS = 5.0
CONNECT_SECONDS = 5.0
# What is repeated later than this is the inbox's to know; the broker keeps the ids of the window in memory.
DUPLICATE_WINDOW_SECONDS = 120
STREAM_DAYS = 14
# How many events one message holds, and how many bytes of them; a larger event is a message of its own.
PACK, PACK_BYTES = 100, 512 * 1024
AHEAD = 40
PULL_SECONDS, LOOK_SECONDS = 10.0, 1.0
# How many events a message holds, where it is more than one.
HOW_MANY = "Events"


class BusAway(Exception):
    """The broker did not confirm; what was to be said is still in the outbox."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Bus:
    """A connection to the event channel that comes back by itself."""

    def __init__(self, url: str, *, name: str, replicas: int = 1) -> None:
        self.servers = [part.strip() for part in url.split(",") if part.strip()]
        self.name, self.replicas = name, replicas
        self._client: Client | None = None
        self._jetstream: tuple[Client, JetStreamContext] | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> Client:
        """The connection, made at first use and kept; raises `BusAway` while the broker can't be reached."""
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                try:
                    connecting = nats.connect(
                        servers=self.servers,
                        name=self.name,
                        max_reconnect_attempts=-1,
                        reconnect_time_wait=0.2,
                        ping_interval=5,
                        max_outstanding_pings=2,
                        connect_timeout=2,
                        allow_reconnect=True,
                        # Where answers come to: with rights on the channel, nobody else may listen there.
                        inbox_prefix=f"_INBOX.{self.name}",
                        error_cb=_quiet,
                    )
                    # With endless attempts the client would never say that there is no broker at all.
                    self._client = await asyncio.wait_for(connecting, CONNECT_SECONDS)
                except (NatsError, OSError, TimeoutError) as error:
                    raise BusAway(type(error).__name__) from None
        return self._client

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._client is not None and self._client.is_connected

    async def jetstream(self) -> JetStreamContext:
        """The JetStream side of the connection."""
        client = await self.client()
        if self._jetstream is None or self._jetstream[0] is not client:
            self._jetstream = (client, client.jetstream(timeout=ACK_SECONDS, publish_async_max_pending=1000))
        return self._jetstream[1]

    async def stream_info(self, stream: str) -> StreamInfo | None:
        """What the broker knows of a stream; None when it has none of this name."""
        try:
            return await (await self.jetstream()).stream_info(stream)
        except NotFoundError:
            return None
        except (NatsError, APIError, OSError, TimeoutError) as error:
            raise BusAway(type(error).__name__) from None

    async def ensure_stream(self, stream: str) -> str:
        """Make the speaker's stream if it is missing, put its settings right; when it was created."""
        info = await self.stream_info(stream)
        config = StreamConfig(
            name=stream,
            subjects=[f"{stream.lower()}.>"],
            num_replicas=self.replicas,
            duplicate_window=DUPLICATE_WINDOW_SECONDS,
            max_age=STREAM_DAYS * 86400,
        )
        if info is None or _differs(info.config, config):
            try:
                js = await self.jetstream()
                info = await (js.add_stream(config) if info is None else js.update_stream(config))
            except (NatsError, APIError, OSError, TimeoutError) as error:
                raise BusAway(type(error).__name__) from None
        return str(info.created)

    async def publish(self, events: Sequence[tuple[str, bytes, str]]) -> None:
        """Publish (subject, payload, id) and wait until the broker holds them all; else `BusAway`.

        Neighbours of one subject travel in one message (`packed`). A message that the stream has seen within two
        minutes is confirmed and not stored again; events that come again beside others are stored again, and the inbox
        knows them.
        """
        waiting: list[asyncio.Future[PubAck]] = []
        try:
            if not (await self.client()).is_connected:
                # The client would keep the messages and send them once it is connected again, beside our own retry.
                raise BusAway("disconnected")
            js = await self.jetstream()
            for subject, payload, headers in packed(events):
                waiting.append(await js.publish_async(subject, payload, wait_stall=ACK_SECONDS, headers=headers))
            await asyncio.wait_for(asyncio.gather(*waiting), ACK_SECONDS)
        except (NatsError, APIError, OSError, TimeoutError) as error:
            raise BusAway(type(error).__name__) from None
        finally:
            for future in waiting:
                future.cancel()

    async def backlog(self, stream: str) -> int:
        """How many messages the slowest listener of a stream still has before it."""
        try:
            listeners = await (await self.jetstream()).consumers_info(stream)
        except NotFoundError:
            return 0
        except (NatsError, APIError, OSError, TimeoutError) as error:
            raise BusAway(type(error).__name__) from None
        return max(((each.num_pending or 0) + (each.num_ack_pending or 0) for each in listeners), default=0)

    async def subscribe(self, stream: str, durable: str, subjects: Sequence[str]) -> "Pull":
        """A durable pull subscription: explicit acknowledgement, from the beginning of the stream."""
        await self.ensure_stream(stream)
        config = ConsumerConfig(
            durable_name=durable,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=30,
            max_ack_pending=2000,
            filter_subjects=list(subjects),
            num_replicas=self.replicas,
        )
        try:
            await (await self.jetstream()).add_consumer(stream, config)
            return await Pull.open(await self.client(), stream, durable)
        except (NatsError, APIError, OSError, TimeoutError) as error:
            raise BusAway(type(error).__name__) from None

    async def ask(self, subject: str, payload: bytes, seconds: float = 5.0) -> bytes | None:
        """Ask another service directly; None when nobody answers."""
        try:
            return (await (await self.client()).request(subject, payload, timeout=seconds)).data
        except (NatsError, OSError, TimeoutError):
            return None

    async def answer(self, subject: str, reply: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer what others ask on a subject; several instances share the questions."""

        async def handle(message: Msg) -> None:
            try:
                await message.respond(await reply(message.data))
            except Exception as error:
                log("warning", "question_not_answered", subject=subject, error_type=type(error).__name__)

        client = await self.client()
        await client.subscribe(subject, queue=self.name, cb=handle)
        # Until the broker has it, whoever asks is told that nobody answers.
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await client.flush(int(ACK_SECONDS))

    async def close(self) -> None:
        """Leave the channel."""
        if self._client is not None and not self._client.is_closed:
            with contextlib.suppress(NatsError, OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._client.close(), 2)


def packed(events: Sequence[tuple[str, bytes, str]]) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """The messages that carry these events, in their order: subject, payload, headers.

    Several are a batch of CloudEvents in its JSON form: a list. A message costs the broker's disk and every listener
    the same whatever it holds.
    """
    pack: list[tuple[str, bytes, str]] = []
    size = 0
    for event in events:
        if pack and (event[0] != pack[0][0] or len(pack) == PACK or size + len(event[1]) > PACK_BYTES):
            yield _message(pack)
            pack, size = [], 0
        pack.append(event)
        size += len(event[1])
    if pack:
        yield _message(pack)


def _message(pack: Sequence[tuple[str, bytes, str]]) -> tuple[str, bytes, dict[str, str]]:
    subject, payload, event_id = pack[0]
    if len(pack) == 1:
        return subject, payload, {"Nats-Msg-Id": event_id}
    # Of all that is in it: were it the first one's, others that come beside it the next time would be dropped with it.
    whole = sha256(" ".join(each[2] for each in pack).encode()).hexdigest()
    payload = b"[%s]" % b",".join([each[1] for each in pack])
    return subject, payload, {"Nats-Msg-Id": whole, HOW_MANY: str(len(pack))}


def unpacked(content: bytes) -> list[bytes]:
    """The events that a message's content is, at least one; what can't be taken apart is taken for one event."""
    if content[:1] == b"[":
        with contextlib.suppress(msgspec.MsgspecError):
            # An empty list is nobody's word: taken for an event it fails, and comes to a person instead of for ever.
            return [bytes(each) for each in _pack.decode(content)] or [content]
    return [content]


_pack = msgspec.json.Decoder(list[msgspec.Raw])


def _differs(stands: StreamConfig, wanted: StreamConfig) -> bool:
    names = ("num_replicas", "duplicate_window", "max_age")
    return any(getattr(stands, name) != getattr(wanted, name) for name in names)


class Pull:
    """What a durable consumer brings. Messages are asked for ahead, so none waits for a round trip, nor for another."""

    def __init__(self, client: Client, stream: str, durable: str) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: deque[Msg] = deque()
        self._some = asyncio.Event()
        self._ended = ""
        # How many the broker still owes us, since when, and by which connection.
        self._asked, self._asked_at, self._reconnects = 0, 0.0, client.stats["reconnects"]

    @classmethod
    async def open(cls, client: Client, stream: str, durable: str) -> "Pull":
        """Begin to listen; messages come once they are asked for."""
        pull = cls(client, stream, durable)
        pull._subscription = await client.subscribe(pull._inbox, cb=pull._arrive)
        return pull

    async def next(self, most: int) -> list[Msg]:
        """The next message as soon as it is there, with those that wait behind it, up to so many events.

        Raises `BusAway` when the broker no longer knows this consumer.
        """
        while not self._arrived:
            if self._ended or self._client.is_closed:
                raise BusAway(self._ended or "closed")
            await self._ask()
            self._some.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._some.wait()
            if not self._arrived:
                self._forget_lost()
        messages = [self._arrived.popleft()]
        room = most - _count(messages[0])
        while self._arrived and (room := room - _count(self._arrived[0])) >= 0:
            messages.append(self._arrived.popleft())
        await self._ask()
        return messages

    def put_back(self, messages: Sequence[Msg]) -> None:
        """These were taken and not acted on."""
        self._arrived.extendleft(reversed(messages))

    async def close(self) -> None:
        """Listen no more, and give back what was not taken."""
        # In this order: what is given back while we still ask for more comes straight to us again, and is lost.
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            while self._arrived:
                await self._arrived.popleft().nak()

    async def _ask(self) -> None:
        wanted = AHEAD - self._asked - len(self._arrived)
        if wanted < AHEAD // 2:
            return
        asked = {"batch": wanted, "expires": int(PULL_SECONDS * 1e9)}
        await self._client.publish(self._next, json.dumps(asked).encode(), reply=self._inbox)
        self._asked, self._asked_at = self._asked + wanted, asyncio.get_running_loop().time()

    async def _arrive(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status") if not message.data else None
        if status is None:
            self._asked -= 1
            self._arrived.append(message)
        elif status in ("404", "408"):  # the time of a question is over
            self._asked = max(self._asked - int(headers.get("Nats-Pending-Messages", self._asked)), 0)
        elif status != "100":
            self._ended = f"consumer_{status}"
        self._some.set()

    def _forget_lost(self) -> None:
        """Ask anew when the broker can no longer know what it was asked for."""
        reconnects = self._client.stats["reconnects"]
        overdue = asyncio.get_running_loop().time() - self._asked_at > PULL_SECONDS + 2
        if reconnects != self._reconnects or overdue:
            self._asked, self._reconnects = 0, reconnects


def _count(message: Msg) -> int:
    return int((message.headers or {}).get(HOW_MANY, "1"))


async def _quiet(_: Exception) -> None:
    """Reconnecting is logged by who waits for it; the client's own tracebacks say nothing more."""
