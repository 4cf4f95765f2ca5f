"""Many small writes, one commit: what waits is written together, and each is answered only after the commit.

One task with one connection takes what waits and sends it as one round trip and one transaction, so that the price of a
commit is shared. A write that fails takes none of its neighbours along: they are then written one by one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from asyncpg import Record

from shared.kit.direct import BY_KEY, Direct
from shared.kit.log import log

TOGETHER = 32
MOST_WAITING = 2000
WRITE_SECONDS = 15.0
GATHER_SECONDS, MOST_GATHERED = 0.0001, 0.002
"""How long is waited for each that came along with others, and at most: where many come, more will come."""
# On the server's side. A row that somebody else is writing at this moment is not waited for where others wait too.
SETTINGS = {"lock_timeout": "100ms", "statement_timeout": "5s", **BY_KEY}

Arguments = tuple[Any, ...]
Pair = tuple[Arguments, Record]


class NotWritten(Exception):
    """It is not known to be committed. Whoever asked finds out what stands before saying anything."""


class TooMuchWaiting(Exception):
    """The queue is full: the database can't keep up, and more waiting would only make every answer late."""


class Combiner:
    """Runs one statement for many askers. It is given an array for each argument, and must give one row for each asker
    in their order.

    ``committed`` is told what was committed, with its arguments, before the askers go on; also of askers who left.
    ``apart``: what no two askers of one writing may have in common; the second waits for the next.
    """

    def __init__(
        self,
        direct: Direct,
        statement: str,
        committed: Callable[[Sequence[Pair]], None],
        *,
        apart: Callable[[Arguments], Collection[Hashable]] = lambda _: (),
        most_waiting: int = MOST_WAITING,
        seconds: float = WRITE_SECONDS,
    ) -> None:
        self.direct, self.statement, self.committed = direct, statement, committed
        self.apart, self.most_waiting, self.seconds = apart, most_waiting, seconds
        self._waiting: deque[tuple[Arguments, asyncio.Future[Record]]] = deque()
        self._arrived = asyncio.Event()

    async def write(self, arguments: Arguments) -> Record:
        """The row the statement gave, after its commit. Raises `NotWritten` or `TooMuchWaiting`.

        Who is cancelled while waiting takes the write along, unless it is under way: then it stands or falls unheard.
        """
        if len(self._waiting) >= self.most_waiting:
            raise TooMuchWaiting
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting.append((arguments, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Write for ever. What still waits at the end was not written."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while taken := self._take():
                    await self._write(taken)
                    if len(taken) > 1:
                        await asyncio.sleep(min(len(taken) * GATHER_SECONDS, MOST_GATHERED))
        finally:
            _refuse(list(self._waiting))
            self._waiting.clear()
            await self.direct.close()

    def _take(self) -> list[tuple[Arguments, asyncio.Future[Record]]]:
        taken: list[tuple[Arguments, asyncio.Future[Record]]] = []
        known: set[Hashable] = set()
        while self._waiting and len(taken) < TOGETHER:
            if self._waiting[0][1].done():
                self._waiting.popleft()
                continue
            own = self.apart(self._waiting[0][0])
            if not known.isdisjoint(own):
                break
            known.update(own)
            taken.append(self._waiting.popleft())
        return taken

    async def _write(self, taken: list[tuple[Arguments, asyncio.Future[Record]]]) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                statement = await self.direct.prepared(self.statement)
                rows = await statement.fetch(*zip(*(arguments for arguments, _ in taken), strict=True))
        except Exception as error:
            if isinstance(error, TimeoutError):
                # What a connection is at when it is given up on is decided without us.
                await self.direct.close()
            if len(taken) > 1 and not self.direct.lost:
                for each in taken:
                    await self._write([each])
                return
            log("warning", "not_written", count=len(taken), error_type=type(error).__name__)
            _refuse(taken)
        except BaseException:
            _refuse(taken)
            raise
        else:
            self._answer(taken, rows)

    def _answer(self, taken: list[tuple[Arguments, asyncio.Future[Record]]], rows: list[Record]) -> None:
        try:
            self.committed([(arguments, row) for (arguments, _), row in zip(taken, rows, strict=True)])
        except Exception as error:
            # The rows stand whatever happens to those who are told of them.
            log("error", "committed_but_not_told", error_type=type(error).__name__)
        for (_, future), row in zip(taken, rows, strict=False):
            if not future.done():
                future.set_result(row)
        _refuse(taken[len(rows) :])


def _refuse(taken: list[tuple[Arguments, asyncio.Future[Record]]]) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(NotWritten())
