"""A caller's body on its way to a service: small ones are collected, large ones flow through."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.errors import BodyTooLarge, ClientGone, ClientTooSlow
from gateway.exchange import Exchange
from shared.kit.problems import Problem

# The server holds this much of a body anyway; what is not larger reaches the service in one piece, can be sent a
# second time, and keeps no connection to the service waiting for a slow client.
COLLECTED = 64 * 1024
# How long a refused sender may go on before we hang up: many read the answer only when they have sent everything.
LINGER_SECONDS = 2.0


async def next_chunk(exchange: Exchange, seconds: float) -> bytes:
    """The next piece of the body; notes on the exchange when it was the last."""
    if exchange.scope.get("body_is_here"):
        message = await exchange.receive()
    else:
        try:
            async with asyncio.timeout(seconds):
                message = await exchange.receive()
        except TimeoutError:
            raise ClientTooSlow from None
    if message["type"] != "http.request":
        raise ClientGone
    exchange.body_read = not message.get("more_body", False)
    chunk: bytes = message.get("body", b"")
    return chunk


class Upload:
    """A large body, handed on as it comes."""

    def __init__(self, exchange: Exchange, begun: bytes, limit: int, seconds: float) -> None:
        self.exchange, self.begun, self.limit, self.seconds = exchange, begun, limit, seconds

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces. Raises when the body breaks off or grows too large: the service must not take it for whole."""
        size = len(self.begun)
        if self.begun:
            yield self.begun
        while not self.exchange.body_read:
            chunk = await next_chunk(self.exchange, self.seconds)
            size += len(chunk)
            if size > self.limit:
                raise BodyTooLarge
            if chunk:
                yield chunk


async def take_body(exchange: Exchange, limit: int, seconds: float) -> bytes | Upload:
    """The whole body if it is small, else the beginning of it with the means to go on."""
    if not exchange.has_body:
        return b""
    if exchange.length > limit:
        raise BodyTooLarge
    if exchange.length > COLLECTED:
        return Upload(exchange, b"", limit, seconds)
    collected = await next_chunk(exchange, seconds)
    while not exchange.body_read:
        if len(collected) > COLLECTED:
            return Upload(exchange, collected, limit, seconds)
        collected += await next_chunk(exchange, seconds)
    return collected


async def refuse_sender(exchange: Exchange, problem: Problem) -> None:
    """Answer at once, let the sender finish for a moment so that it reads the answer, then hang up."""
    if exchange.body_read or (not exchange.chunked and exchange.length <= COLLECTED):
        await exchange.refuse(problem)
        return
    headers, body = exchange.problem_document(problem)
    await exchange.begin(problem.status, [*headers, (b"connection", b"close")])
    await exchange.send({"type": "http.response.body", "body": body, "more_body": True})
    await let_finish(exchange)
    await exchange.send({"type": "http.response.body", "body": b""})


async def let_finish(exchange: Exchange) -> None:
    """Read the rest of a body nobody wants, for two seconds at most."""
    with contextlib.suppress(TimeoutError, ClientGone, ClientTooSlow):
        async with asyncio.timeout(LINGER_SECONDS):
            while not exchange.body_read:
                await next_chunk(exchange, LINGER_SECONDS)
