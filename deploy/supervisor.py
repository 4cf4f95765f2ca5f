"""Keeping children alive, showing what they log, and stopping them in order."""

import asyncio
import contextlib
import errno
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from deploy.console import Unusable, console, is_ordinary
from deploy.engines import Engine, EngineEnded
from deploy.processes import Child, Tail, record
from deploy.services import address_of
from deploy.state import State

DEATHS, WITHIN_SECONDS = 5, 60.0
READY_SECONDS = 90.0
LOOK_SECONDS = 0.1
# More ordinary lines of one child in one look than a person can read stay in the file: a busy hour brings hundreds.
AT_ONCE = 20
# A full disk is waited for, not counted. Less than six times a minute, so that it alone never ends everything.
FULL_SECONDS, STUCK_SECONDS = 5.0, 13.0
# Of the engines' logs only what a person must act on; the rest stays in the file.
GRAVE = ("PANIC:", "[FTL]", "[ERR]")


class Supervisor:
    """The running house: engines below, services above them, the gateway on top."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.engines: list[Engine] = []
        self.services: list[Child] = []
        self.gateway: Child | None = None
        # While the demo county loads, thousands of orderly requests would bury what a person wants to see.
        self.quiet = True
        self._tails: list[tuple[str, Tail, bool]] = []

    # -- starting

    async def start_engine(self, engine: Engine) -> None:
        """Start an engine and wait for it, on another port if a stranger took this one meanwhile."""
        for attempt in range(3):
            engine.spawn()
            if engine not in self.engines:
                self.engines.append(engine)
                self._tails.append((engine.child.name, Tail(engine.child.log), True))
            self.remember()
            try:
                await self._engine_ready(engine)
            except EngineEnded:
                if attempt == 2 or not engine.port_was_taken:
                    raise
                engine.port = self.state.another_port(engine.child.name)
                continue
            return

    async def _engine_ready(self, engine: Engine) -> None:
        until = time.monotonic() + engine.patience
        while not engine.ready():
            if time.monotonic() > until:
                raise Unusable(f"{engine.title} was not ready within {engine.patience:.0f} s: {engine.last_words()}")
            await asyncio.sleep(0.02)

    async def start_services(self, services: Sequence[Child], gateway: Child) -> None:
        """Start the services and the gateway side by side and wait until each says it is ready, the gateway last."""
        self.services, self.gateway = list(services), gateway
        for child in (*services, gateway):
            self._tails.append((child.name, Tail(child.log), False))
            child.spawn()
        self.remember()
        await asyncio.gather(*(wait_ready(child) for child in services))
        await wait_ready(gateway)

    def remember(self) -> None:
        """Write down which processes are ours; on a full disk the kernel alone sees to it that they end with us."""
        with contextlib.suppress(OSError):
            record(self.state, self._children())

    # -- running

    async def keep(self) -> None:
        """Watch every child: one that ends is started again; one that keeps ending ends everything."""
        gateway = [self.gateway] if self.gateway else []
        async with asyncio.TaskGroup() as group:
            for engine in self.engines:
                group.create_task(self._keep_one(engine.child.name, partial(self._engine_again, engine)))
                group.create_task(self._free_when_stuck(engine))
            for child in (*self.services, *gateway):
                group.create_task(self._keep_one(child.name, partial(self._child_again, child)))

    async def _engine_again(self, engine: Engine) -> None:
        """On the same port: the services know no other."""
        engine.spawn()
        self.remember()
        await self._engine_ready(engine)

    async def _child_again(self, child: Child) -> None:
        child.spawn()
        self.remember()

    async def _keep_one(self, name: str, again: Callable[[], Awaitable[None]]) -> None:
        deaths: deque[float] = deque(maxlen=DEATHS)
        full = False
        while True:
            child = self._named(name)
            code = child.exit_code
            if code is None:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            if full or any(engine.out_of_space for engine in self.engines if engine.child is child):
                # No fault of its own, and nothing is lost: whoever makes room must not have to come here too.
                console.say(f"· {name} ended because its disk is full; trying again in {FULL_SECONDS:.0f} s")
                await asyncio.sleep(FULL_SECONDS)
            else:
                await self._wait_after_death(child, code, deaths)
            full = False
            try:
                with contextlib.suppress(EngineEnded):
                    await again()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                full = True

    async def _wait_after_death(self, child: Child, code: int, deaths: deque[float]) -> None:
        now = time.monotonic()
        if len(deaths) == DEATHS and now - deaths[0] < WITHIN_SECONDS:
            raise Unusable(f"{child.name} ended {DEATHS + 1} times within a minute; its log: {child.log}")
        deaths.append(now)
        recent = sum(1 for at in deaths if now - at < WITHIN_SECONDS)
        pause = min(0.2 * 2 ** (recent - 1), 5.0)
        console.say(f"· {child.name} ended ({_how(code)}); starting it again in {pause:.1f} s")
        await asyncio.sleep(pause)

    async def _free_when_stuck(self, engine: Engine) -> None:
        """End an engine that runs and does nothing any more; `_keep_one` starts it again."""
        while True:
            await asyncio.sleep(STUCK_SECONDS)
            if engine.child.running and engine.stuck():
                console.say(f"· {engine.title} found its disk full and does not go on by itself; starting it again")
                await asyncio.to_thread(engine.stop)

    async def show_logs(self) -> None:
        """Show what the children log until cancelled."""
        while True:
            self.pump()
            await asyncio.sleep(LOOK_SECONDS)

    def pump(self) -> None:
        """Show what was logged since the last time: of an engine what is grave, of a service what can be read."""
        console.log(
            (name, line)
            for name, tail, only_grave in self._tails
            for line in (grave_in(tail) if only_grave else legible_in(tail, 0 if self.quiet else AT_ONCE))
        )

    # -- stopping

    async def stop(self) -> None:
        """Stop in order: gateway, services, event channel, database. What does not stop in time is ended."""
        if self.gateway is not None and self.gateway.process is not None:
            with console.step("stopping the gateway"):
                await asyncio.to_thread(self.gateway.stop)
        started = [child for child in self.services if child.process is not None]
        if started:
            with console.step("stopping the services"):
                await asyncio.gather(*(asyncio.to_thread(child.stop) for child in started))
        for engine in sorted(self.engines, key=lambda engine: engine.title == "PostgreSQL"):
            with console.step(f"stopping {engine.title}"):
                await asyncio.to_thread(engine.stop)
        if not self.quiet:  # a start that failed says why in one line; the rest is in the files
            self.pump()
        with contextlib.suppress(OSError):  # the folder may have been deleted under us
            self.state.write("processes.json", {})

    def _children(self) -> list[Child]:
        gateway = [self.gateway] if self.gateway else []
        return [*(engine.child for engine in self.engines), *self.services, *gateway]

    def _named(self, name: str) -> Child:
        return next(child for child in self._children() if child.name == name)


def grave_in(tail: Tail) -> list[str]:
    """Of an engine's new lines those a person must act on."""
    return [line for line in tail.lines() if any(word in line for word in GRAVE)]


def legible_in(tail: Tail, ordinary: int) -> Iterator[str]:
    """Of a service's new lines so many ordinary ones and all others, in their order, and how many were left out.

    Where no ordinary line is asked for, nobody misses any.
    """
    seen = 0
    for line in tail.lines():
        seen += (usual := is_ordinary(line))
        if not usual or seen <= ordinary:
            yield line
    if 0 < ordinary < seen:
        yield f"… and {seen - ordinary} more in {tail.path}"


async def wait_ready(child: Child) -> None:
    """Wait until a process of ours answers 200 on /readyz."""
    until, said = time.monotonic() + READY_SECONDS, "it does not answer"
    while time.monotonic() < until:
        if child.exit_code is not None:
            raise Unusable(f"{child.name} ended at start ({_how(child.exit_code)}): {_last_line(child)}")
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(10):
                status = await _status_of(*address_of(child), "/readyz")
            if status == 200:
                return
            said = f"/readyz answers {status}"
        await asyncio.sleep(0.05)
    raise Unusable(f"{child.name} was not ready within {READY_SECONDS:.0f} s: {said} (log: {child.log})")


async def _status_of(host: str, port: int, path: str) -> int:
    """The status of an answer: all that is asked, and no reason to keep an HTTP client in memory."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.readline()).split()[1])
    except IndexError:
        raise ValueError("no status line") from None
    finally:
        writer.close()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_line(child: Child) -> str:
    try:
        lines = child.log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{lines[-1].strip() if lines else 'it said nothing'} (log: {child.log})"
