"""The client that speaks to the services, before services that say what a test wants, byte for byte."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway import upstream
from gateway.upstream import BrokenOff, Connection, Connections, NotReached
from tests.gateway.houses import eventually

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
MIB = 1024 * 1024

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Spoken:
    """A service on a port, the connections it has had and those that are open."""

    def __init__(self) -> None:
        self.connections: Connections
        self.had = self.open = 0


@asynccontextmanager
async def service(talk: Talk, connect_seconds: float = 5.0) -> AsyncIterator[Spoken]:
    """A service that talks so on each connection, and our connections to it."""
    spoken = Spoken()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        spoken.had += 1
        spoken.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(reader, writer)
        finally:
            spoken.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    spoken.connections = Connections(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connect_seconds)
    try:
        yield spoken
    finally:
        spoken.connections.close()
        server.close()
        for task in tasks:
            task.cancel()


def saying(*answers: bytes, then: str = "close") -> Talk:
    """For each request these bytes, one after the other, and then the end (or silence)."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
        if then == "silence":
            await reader.read()

    return talk


async def asked(connections: Connections, seconds: float = 60.0) -> tuple[int, bytes, Connection]:
    """Ask once and read to the end."""
    answer = await connections.take()
    await answer.ask(GET, b"", seconds)
    try:
        pieces = []
        while piece := await answer.piece(seconds):
            pieces.append(piece)
        return answer.status, b"".join(pieces), answer
    finally:
        answer.leave()


async def test_a_connection_is_used_again_and_not_after_it_has_been_idle_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with service(saying(OK, OK, OK, then="silence")) as spoken:
        for _ in range(2):
            assert (await asked(spoken.connections))[:2] == (200, b"{}")
        assert spoken.had == 1
        monkeypatch.setattr(upstream, "KEEP_SECONDS", 0.0)
        await asked(spoken.connections)
        await asked(spoken.connections)
        assert spoken.had == 2, "one that may be closed under our hands is not taken"
        assert await eventually(lambda: spoken.open == 1)


async def test_a_connection_that_the_service_has_closed_is_forgotten() -> None:
    async with service(saying(OK)) as spoken:
        await asked(spoken.connections)
        assert await eventually(lambda: not spoken.connections.open)
        await asked(spoken.connections)
        assert spoken.had == 2


@pytest.mark.parametrize("rest", [b"", b"garbage", b"\x00", OK, b"HTTP/1.1 200 OK\r\nx-half:", b"HTTP"])
async def test_who_says_more_than_an_answer_is_not_listened_to_any_more(rest: bytes) -> None:
    """What is left over would be taken for the next caller's answer."""
    for together in (True, False):

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, together: bool = together) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + rest if together else OK)
            if not together:
                await asyncio.sleep(0.02)
                writer.write(rest)
            await saying(OK, then="silence")(reader, writer)

        async with service(talk) as spoken:
            assert (await asked(spoken.connections))[:2] == (200, b"{}")
            if rest:
                assert await eventually(lambda: not spoken.connections.open)
            assert (await asked(spoken.connections))[:2] == (200, b"{}")
            assert spoken.had == (2 if rest else 1)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\ncontent-length: 9\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\nx-trailer: 7\r\n\r\n", b"{}"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b""),
    ],
)
async def test_every_way_to_end_an_answer(said: bytes, body: bytes) -> None:
    async with service(saying(said)) as spoken:
        status, got, answer = await asked(spoken.connections)
        assert got == body
        assert status in (200, 204, 304)
        if status != 200:
            assert b"content-length" not in dict(answer.headers)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n"
BROKEN = [
    b"",
    b"HTTP/1.1 200 OK\r\ncontent-le",
    HEAD + b"content-length: 3\r\n\r\n{}",
    CHUNKED + b"\r\n2\r\n{}\r\n",
    b"nonsense\r\n\r\n",
    b"\x15\x03\x01\x00\x02",
    HEAD + b"transfer-encoding: gzip\r\n\r\nxx",
    b"HTTP/1.1 101 Up\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    CHUNKED + b"content-length: 2\r\n\r\n0\r\n\r\n",
    HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n",
    CHUNKED + b"\r\nzz\r\n{}",
    b"HTTP/1.1 100 Continue\r\n\r\n",
]


@pytest.mark.parametrize("said", BROKEN)
async def test_half_an_answer_and_nonsense_break_off_and_leave_nothing_open(said: bytes) -> None:
    async with service(saying(said)) as spoken:
        with pytest.raises(ConnectionError):
            await asked(spoken.connections)
        assert not spoken.connections.open


@pytest.mark.parametrize("endless", [b"x" * 65536, b"x: y\r\n" * 1000, b"\r\n\r\nHTTP/1.1 103 E\r\nx: y\r\n"])
async def test_a_head_without_end_is_not_kept(endless: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 E\r\nx: ")
        while True:
            writer.write(endless)
            await writer.drain()

    async with service(talk) as spoken:
        with pytest.raises(BrokenOff):
            async with asyncio.timeout(60):
                await asked(spoken.connections)
    async with service(saying(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n")) as spoken:
        with pytest.raises(BrokenOff):
            await asked(spoken.connections)


async def test_a_body_in_many_pieces_cut_anywhere_arrives_whole() -> None:
    dice = random.Random(7)
    body = dice.randbytes(300_000)
    chunks = [body[at : at + 97] for at in range(0, len(body), 97)]
    said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    said += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            at = 0
            while at < len(said):
                size = dice.choice((1, 2, 3, 50, 5000, 70_000))
                writer.write(said[at : at + size])
                at += size
                await asyncio.sleep(0)

    async with service(talk) as spoken:
        for _ in range(2):
            assert (await asked(spoken.connections))[1] == body
        assert spoken.had == 1


async def test_a_slow_reader_stops_the_service() -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(1024):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with service(talk) as spoken:
        answer = await spoken.connections.take()
        await answer.ask(GET, b"", 60)
        last = -1
        while last != sent:
            last = sent
            await asyncio.sleep(0.3)
        assert sent < 32 * MIB, "what the systems between us hold, and no more"
        got = 0
        while piece := await answer.piece(60):
            assert len(piece) < MIB
            got += len(piece)
        assert got == 64 * MIB
        answer.leave()


async def test_a_slow_service_stops_the_sender_and_is_not_waited_for_without_end() -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            assert taken < 256 * MIB, "nobody takes this"
            yield b"x" * 65536

    async def talk(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with service(talk) as spoken:
        answer = await spoken.connections.take()
        with pytest.raises(TimeoutError):
            await answer.ask(POST + b"transfer-encoding: chunked\r\n\r\n", body(), 0.5, chunked=True)
        assert taken < 32 * MIB
        assert not spoken.connections.open


async def test_a_body_that_breaks_off_is_not_taken_for_whole_and_says_why() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        raise LookupError

    async with service(talk) as spoken:
        answer = await spoken.connections.take()
        with pytest.raises(LookupError):
            await answer.ask(POST + b"transfer-encoding: chunked\r\n\r\n", body(), 60, chunked=True)
        assert await eventually(lambda: spoken.open == 0)
    assert not heard or not heard[0].endswith(b"0\r\n\r\n")


async def test_the_services_time_runs_only_from_the_end_of_the_body() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.6)
        yield b"b"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(OK)
        await reader.read()

    async with service(talk) as spoken:
        answer = await spoken.connections.take()
        await answer.ask(POST + b"transfer-encoding: chunked\r\n\r\n", body(), 0.3, chunked=True)
        assert await answer.rest(0.3) == b"{}"
        answer.leave()
        assert len(spoken.connections.open) == 1, "it is good for another request"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"])
async def test_a_service_that_falls_silent_is_not_waited_for(said: bytes) -> None:
    async with service(saying(said, then="silence")) as spoken:
        with pytest.raises(TimeoutError):
            await asked(spoken.connections, 0.2)
        assert not spoken.connections.open
        assert await eventually(lambda: spoken.open == 0)


async def test_who_gives_up_waiting_leaves_no_connection_behind() -> None:
    for said in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"):
        async with service(saying(said, then="silence")) as spoken:
            waiting = asyncio.create_task(asked(spoken.connections))
            assert await eventually(lambda: spoken.open == 1)
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not spoken.connections.open
            assert await eventually(lambda: spoken.open == 0)


async def test_no_connection_is_no_hearing() -> None:
    nowhere = Connections("http://127.0.0.1:9", 5)
    with pytest.raises(ConnectionRefusedError):
        await nowhere.take()
    assert not nowhere.open
    with pytest.raises(NotReached):
        await Connections("http://127.0.0.1:9", 0).take()


async def test_hundreds_at_once_get_each_its_own_answer_and_no_connection_leaks() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            said = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
            await asyncio.sleep(random.Random(said).random() / 50)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))

    async with service(talk) as spoken:

        async def one(number: int) -> None:
            answer = await spoken.connections.take()
            try:
                await answer.ask(b"GET /%d HTTP/1.1\r\n\r\n" % number, b"", 60)
                assert await answer.rest(60) == b"/%d" % number
            finally:
                answer.leave()

        for _ in range(3):
            await asyncio.gather(*(one(number) for number in range(400)))
        assert spoken.had <= 400
        assert len(spoken.connections.open) == spoken.had
        spoken.connections.close()
        assert await eventually(lambda: spoken.open == 0)
        assert not spoken.connections.open
