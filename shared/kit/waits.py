"""Waiting for something another request or event will bring: told or woken at once, and looking again now and then.

The truth is what looking finds; a word that is lost (another process had it) costs waiting, never a wrong answer.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

Found = TypeVar("Found")
LOOK_AGAIN_SECONDS = 0.5
MOST_PAUSE_SECONDS = 4.0
MOST_WAIT_SECONDS = 30
PREFERRED = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,6})', re.IGNORECASE)


def preferred_seconds(prefer: str | None) -> int:
    """How long a caller would wait: ``Prefer: wait=5`` (RFC 7240); more than 30 counts as 30."""
    asked = PREFERRED.search(prefer or "")
    return min(int(asked.group(1)), MOST_WAIT_SECONDS) if asked else 0


class Waiter:
    """One who waits; ``told`` is what came meanwhile, if somebody said it."""

    def __init__(self) -> None:
        self.told: Any = None
        self.woken = asyncio.Event()

    async def hear(self, seconds: float, look: Callable[[], Awaitable[Found | None]]) -> Any | Found | None:
        """What is told within so many seconds, or what ``look`` finds; None if it is neither."""
        loop, pause = asyncio.get_running_loop(), LOOK_AGAIN_SECONDS
        deadline, found = loop.time() + seconds, None
        while found is None and self.told is None and (left := deadline - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, pause)):
                    await self.woken.wait()
            pause = min(pause * 2, MOST_PAUSE_SECONDS)
            self.woken.clear()
            if self.told is None:
                found = await look()
        return found if self.told is None else self.told


class Waits:
    """Who waits for which key. The number of waiters is bounded: one too many gets no wait, only an answer."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self._waiting: dict[object, set[Waiter]] = {}
        self._count = 0

    def wake(self, key: object) -> None:
        """What is waited for under this key may be there now."""
        for waiter in self._waiting.get(key, ()):
            waiter.woken.set()

    def tell(self, key: object, found: object) -> None:
        """This is what is waited for under this key, committed: whoever waits need not look."""
        for waiter in self._waiting.get(key, ()):
            waiter.told = found
            waiter.woken.set()

    @contextlib.contextmanager
    def expecting(self, key: object) -> Iterator[Waiter | None]:
        """From now on nothing that is said under this key is missed; None when too many wait already."""
        if self._count >= self.most:
            yield None
            return
        waiter = Waiter()
        self._waiting.setdefault(key, set()).add(waiter)
        self._count += 1
        try:
            yield waiter
        finally:
            self._count -= 1
            self._waiting[key].discard(waiter)
            if not self._waiting[key]:
                del self._waiting[key]

    async def until(self, key: object, seconds: float, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
        """What ``look`` finds within so many seconds, or None. Being told is only a reason to look."""
        if seconds <= 0:
            return await look()
        with self.expecting(key) as waiter:
            found = await look()
            if found is not None or waiter is None:
                return found
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds
            while found is None and (left := deadline - loop.time()) > 0:
                waiter.told = None
                heard = await waiter.hear(left, look)
                found = await look() if waiter.told is not None else heard
            return found
