"""`make run`: the whole house on this machine, from nothing to a settled bill, until Ctrl-C.

Everything is started from the main thread of this one process and ends with it, however it ends.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from deploy.bring_up import Engines, aside, prepare_databases, start_engines
from deploy.console import AlreadySaid, Unusable, console, explain
from deploy.processes import PR_SET_PDEATHSIG, sweep
from deploy.secrets import Secrets
from deploy.services import service_children
from deploy.settings import SERVICES, Settings, check_services, read_settings
from deploy.state import State, why_taken
from deploy.supervisor import Supervisor

DEMO = "deploy.demo"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class House:
    """One run: what was read, where it is kept, what is up."""

    def __init__(self, settings: Settings, state: State) -> None:
        self.settings, self.state = settings, state
        self.supervisor = Supervisor(state)
        self.secrets = Secrets(state)
        self.began = time.monotonic()

    async def live(self) -> None:
        """Come up, load what is not loaded, and stay until cancelled; raises `Unusable` when it can't go on."""
        if left := await asyncio.to_thread(sweep, self.state):
            console.say(f"· waited for the end of what an earlier run left behind: {', '.join(left)}")
        check_gateway_port(self.settings)
        with console.step("keys, passwords and accounts"):
            self.secrets.ensure()
        engines = await start_engines(self.settings, self.state, self.secrets, self.supervisor)
        urls = await prepare_databases(self.settings, self.state, self.secrets, engines)
        files = {
            "data_keys": self.secrets.data_keys,
            "signing_keys": self.secrets.signing_keys,
            "accounts": self.secrets.accounts,
        }
        services, door = service_children(self.state, self.settings, urls, engines.nats_urls, files)
        with console.step("starting the services and the gateway"):
            await self.supervisor.start_services(services, door)
        self.secrets.write_credentials(self.settings.gateway_url)
        console.say(f"· ready after {time.monotonic() - self.began:.1f} s")
        async with asyncio.TaskGroup() as group:
            group.create_task(self.supervisor.keep())
            group.create_task(self.supervisor.show_logs())
            group.create_task(self._welcome(engines))

    async def _welcome(self, engines: Engines) -> None:
        """The demo county, its settlements, and where everything is."""
        if self.settings.demo:
            with contextlib.suppress(AlreadySaid):
                await aside(DEMO)
        self.supervisor.pump()
        self.supervisor.quiet = False
        console.say(self._addresses(engines))

    def _addresses(self, engines: Engines) -> str:
        gateway_url = self.settings.gateway_url
        lines = [
            ("gateway", f"{gateway_url}  (API pages /docs, health /readyz)"),
            *(
                (service.label, f"127.0.0.1:{self.state.read('ports.json')[service.name]}")
                for service in SERVICES.values()
            ),
            ("PostgreSQL", engines.postgres_place),
            ("NATS", engines.nats_place),
            ("credentials", str(self.state.credentials)),
            ("logs", str(self.state.logs)),
        ]
        body = "\n".join(f"  {name:<12} {where}" for name, where in lines)
        return f"\n三个一批 · Three Batches is up. Ctrl-C stops it.\n{body}\n"


async def supervise(settings: Settings, state: State) -> int:
    """Live until told to stop or unable to go on, then stop everything in order; the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        # Explicitly: a background job inherits SIGINT as ignored.
        loop.add_signal_handler(number, stop.set)
    _follow_make()
    house = House(settings, state)
    life = asyncio.create_task(house.live())
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({life, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if life.done():
        await house.supervisor.stop()
        explain(life.exception(), state.logs / "run.log")
        return 1
    console.say("")
    life.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await life
    await house.supervisor.stop()
    return 0


def _follow_make() -> None:
    """Started by make, end with make even when it is killed."""
    with contextlib.suppress(OSError):
        if sys.platform == "linux" and Path(f"/proc/{os.getppid()}/comm").read_text().strip() in ("make", "gmake"):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def check_gateway_port(settings: Settings) -> None:
    """See that the gateway can listen, before anything is started and after an earlier run has wholly ended."""
    error = why_taken(settings.gateway_host, settings.gateway_port)
    if error is None:
        return
    place = f"{settings.gateway_host}:{settings.gateway_port}"
    if isinstance(error, PermissionError):
        raise Unusable(f"this user may not listen on {place}; choose a port from 1024 up: GATEWAY_PORT=8000 make run")
    if error.errno in (98, 48):
        other = 8001 if settings.gateway_port == 8000 else 8000
        raise Unusable(
            f"port {settings.gateway_port} is taken ({place}); choose another: GATEWAY_PORT={other} make run"
        )
    raise Unusable(f"GATEWAY_HOST {settings.gateway_host} is no address of this machine ({error.strerror or error})")


def main() -> int:
    """Exit code 0 after an orderly stop, 1 when it could not run."""
    try:
        settings = read_settings()
        check_services(settings)
        state = State(settings.data)
        state.take()
        try:
            return asyncio.run(supervise(settings, state))
        finally:
            state.leave()
    except Unusable as error:
        console.say(f"make run: {error}")
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
