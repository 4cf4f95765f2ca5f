"""The event channel: NATS JetStream. A carrier, never the record."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

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
BATCH_FROM, BATCH_UPTO = 6, 100
AHEAD = 200
PULL_SECONDS, LOOK_SECONDS = 10.0, 1.0


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
        # Which streams take a batch as a whole, as far as the broker was asked.
        self._batches: dict[str, bool] = {}

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
            allow_atomic=True,
        )
        if info is None or self._differs(info.config, config):
            try:
                js = await self.jetstream()
                info = await (js.add_stream(config) if info is None else js.update_stream(config))
            except (NatsError, APIError, OSError, TimeoutError) as error:
                raise BusAway(type(error).__name__) from None
        able = bool(info.config.allow_atomic)
        if not able and self._batches.get(stream) is not False:
            log("warning", "broker_takes_no_batches", subject=stream)
        self._batches[stream] = able
        return str(info.created)

    def _differs(self, stands: StreamConfig, wanted: StreamConfig) -> bool:
        """Whether a stream's settings are to be changed. An older server goes on saying nothing of batches."""
        names = ("num_replicas", "duplicate_window", "max_age")
        batches = not stands.allow_atomic and self._batches.get(str(wanted.name)) is not False
        return batches or any(getattr(stands, name) != getattr(wanted, name) for name in names)

    async def publish(self, messages: Sequence[tuple[str, bytes, str]]) -> None:
        """Publish (subject, payload, message id) and wait until the broker holds them all; else `BusAway`.

        A message id the stream has seen within two minutes is confirmed and not stored again.
        """
        for start in range(0, len(messages), BATCH_UPTO):
            some = messages[start : start + BATCH_UPTO]
            try:
                if not (await self.client()).is_connected:
                    # The client would keep the messages and send them once it is connected again, beside our own retry.
                    raise BusAway("disconnected")
                if not (len(some) >= BATCH_FROM and await self._publish_together(some)):
                    await self._publish_each(some)
            except (NatsError, APIError, OSError, TimeoutError) as error:
                raise BusAway(type(error).__name__) from None

    async def _publish_together(self, messages: Sequence[tuple[str, bytes, str]]) -> bool:
        """Publish all or nothing, for the price of a few writes to the broker's disk; False when it took nothing.

        It refuses a batch in which an id is repeated: published one by one, the repeated are confirmed.
        """
        stream = messages[0][0].split(".", 1)[0].upper()
        if not self._batches.get(stream):
            return False
        client, batch_id, last = await self.client(), uuid4().hex, len(messages)
        for place, (subject, payload, message_id) in enumerate(messages, 1):
            headers = {"Nats-Msg-Id": message_id, "Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(place)}
            if place < last:
                await client.publish(subject, payload, headers=headers)
                continue
            headers["Nats-Batch-Commit"] = "1"
            answer = msgspec.json.decode((await client.request(subject, payload, ACK_SECONDS, headers=headers)).data)
        return "error" not in answer and answer.get("count") == last

    async def _publish_each(self, messages: Sequence[tuple[str, bytes, str]]) -> None:
        waiting: list[asyncio.Future[PubAck]] = []
        try:
            js = await self.jetstream()
            for subject, payload, message_id in messages:
                headers = {"Nats-Msg-Id": message_id}
                waiting.append(await js.publish_async(subject, payload, wait_stall=ACK_SECONDS, headers=headers))
            await asyncio.wait_for(asyncio.gather(*waiting), ACK_SECONDS)
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
        """The next message as soon as it is there, with those that wait behind it.

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
        messages = [self._arrived.popleft() for _ in range(min(len(self._arrived), most))]
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


async def _quiet(_: Exception) -> None:
    """Reconnecting is logged by who waits for it; the client's own tracebacks say nothing more."""
