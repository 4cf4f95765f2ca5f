"""Waiting for something another request or event will bring: woken at once, and looking again from time to time.

The truth is what looking finds; a wake that is lost (another process had it) costs waiting, never a wrong answer.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")
LOOK_AGAIN_SECONDS = 0.5
MOST_PAUSE_SECONDS = 4.0


class Waits:
    """Who waits for which key. The number of waiters is bounded: one too many gets no wait, only an answer."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self._waiting: dict[object, set[asyncio.Event]] = {}
        self._count = 0

    def wake(self, key: object) -> None:
        """What is waited for under this key may be there now."""
        for event in self._waiting.get(key, ()):
            event.set()

    async def until(self, key: object, seconds: float, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
        """What ``look`` finds within so many seconds, or None."""
        if seconds <= 0 or self._count >= self.most:
            return await look()
        loop = asyncio.get_running_loop()
        deadline, event, pause = loop.time() + seconds, asyncio.Event(), LOOK_AGAIN_SECONDS
        self._waiting.setdefault(key, set()).add(event)
        self._count += 1
        try:
            while (found := await look()) is None and (left := deadline - loop.time()) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, pause))
                pause = min(pause * 2, MOST_PAUSE_SECONDS)
                event.clear()
            return found
        finally:
            self._count -= 1
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]
