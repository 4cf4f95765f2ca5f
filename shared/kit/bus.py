"""The event channel: NATS JetStream. A carrier, never the record."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, PubAck, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from shared.kit.log import log

ACK_SECONDS = 5.0
CONNECT_SECONDS = 5.0
DUPLICATE_WINDOW_SECONDS = 600
STREAM_DAYS = 14


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
        """Make the speaker's stream if it is missing; when this incarnation of it was created."""
        info = await self.stream_info(stream)
        if info is None or info.config.num_replicas != self.replicas:
            config = StreamConfig(
                name=stream,
                subjects=[f"{stream.lower()}.>"],
                num_replicas=self.replicas,
                duplicate_window=DUPLICATE_WINDOW_SECONDS,
                max_age=STREAM_DAYS * 86400,
            )
            try:
                js = await self.jetstream()
                info = await (js.add_stream(config) if info is None else js.update_stream(config))
            except (NatsError, APIError, OSError, TimeoutError) as error:
                raise BusAway(type(error).__name__) from None
        return str(info.created)

    async def publish(self, messages: Sequence[tuple[str, bytes, str]]) -> None:
        """Publish (subject, payload, message id) and wait until the broker holds them all; else `BusAway`.

        A message id the stream has seen within ten minutes is confirmed and not stored again.
        """
        waiting: list[asyncio.Future[PubAck]] = []
        try:
            js = await self.jetstream()
            for subject, payload, message_id in messages:
                headers = {"Nats-Msg-Id": message_id}
                waiting.append(await js.publish_async(subject, payload, wait_stall=ACK_SECONDS, headers=headers))
            await asyncio.wait_for(asyncio.gather(*waiting), ACK_SECONDS)
        except (NatsError, APIError, OSError, TimeoutError) as error:
            raise BusAway(type(error).__name__) from None
        finally:
            for future in waiting:
                future.cancel()

    async def subscribe(self, stream: str, durable: str, subjects: Sequence[str]) -> JetStreamContext.PullSubscription:
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
            js = await self.jetstream()
            await js.add_consumer(stream, config)
            return await js.pull_subscribe_bind(consumer=durable, stream=stream)
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

        await (await self.client()).subscribe(subject, queue=self.name, cb=handle)

    async def close(self) -> None:
        """Leave the channel."""
        if self._client is not None and not self._client.is_closed:
            with contextlib.suppress(NatsError, OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._client.close(), 2)


async def _quiet(_: Exception) -> None:
    """Reconnecting is logged by who waits for it; the client's own tracebacks say nothing more."""
