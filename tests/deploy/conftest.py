"""A folder that PostgreSQL can reach whoever runs the tests, and `make run` as a process of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.console import Unusable
from deploy.databases import create_database
from deploy.engines import start_postgres
from deploy.prepare import check_nats
from deploy.processes import Child
from deploy.settings import ROOT, SERVICES
from deploy.state import State, free_port

PATIENCE = 60.0


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Look again and again until it is so; what it gave."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


def alive(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be buried."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """See `empty_folder`."""
    with empty_folder() as place:
        yield place


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder; pytest's own are closed to the user `nobody`, as whom PostgreSQL runs under root."""
    place = Path(tempfile.mkdtemp(prefix="three-batches-"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place, ignore_errors=True)


class Run:
    """One `make run`: its process, its output so far, and its children."""

    def __init__(self, argv: list[str], data: Path, environment: Mapping[str, str]) -> None:
        self.state = State(data)
        self.port = int(environment["GATEWAY_PORT"]) if environment["GATEWAY_PORT"].isdigit() else 0
        self.output = data.with_name(f"{data.name}.{time.time_ns()}.out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, "THREE_BATCHES_DATA": str(data), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # As a background job of a shell: the group is its own and SIGINT arrives ignored.
                process_group=0,
                preexec_fn=_ignore_interrupts,
            )

    def said(self) -> str:
        """Everything on its console so far."""
        return self.output.read_text(encoding="utf-8")

    def until_said(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait for a word on its console."""
        try:
            wait_until(lambda: text in self.said() or self.process.poll() is not None, f"{text!r}", seconds)
        finally:
            assert text in self.said(), f"the console does not say {text!r}:\n{self.said()}"
        return self.said()

    def children(self) -> dict[str, int]:
        """The process number of each child by its name."""
        return {name: child["pid"] for name, child in self.state.read("processes.json").items()}

    def end(self, number: int = signal.SIGINT, seconds: float = PATIENCE) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def end_code(self, seconds: float = PATIENCE) -> int:
        """Wait for it to end by itself."""
        return self.process.wait(seconds)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


Starts = Callable[..., Run]


@pytest.fixture
def start(folder: Path) -> Iterator[Starts]:
    """Start houses on one state folder; whatever still runs at the end of the test is stopped."""
    runs: list[Run] = []
    port = free_port()

    def go(*, argv: list[str] | None = None, **environment: str) -> Run:
        known = {"THREE_BATCHES_DEMO": "no", "GATEWAY_PORT": str(port), **environment}
        run = Run(argv or [sys.executable, "-m", "tests.deploy.stub_house"], folder / "data", known)
        runs.append(run)
        return run

    yield go
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


@pytest.fixture
def outside(folder: Path) -> Iterator[dict[str, str]]:
    """A separately started PostgreSQL with six roles, and a NATS cluster of three: settings that name them."""
    postgres = start_postgres(folder / "outside-postgres")
    settings = asyncio.run(_six_roles(postgres.admin_url))
    with _cluster(folder) as urls:
        yield {**settings, "NATS_URL": ",".join(urls), "NATS_STREAM_REPLICAS": "3"}
    postgres.stop()


async def _six_roles(admin_url: str) -> dict[str, str]:
    settings = {}
    for name, service in SERVICES.items():
        urls = await create_database(admin_url, name, name=f"outside_{name}")
        settings[f"{service.prefix}_DATABASE_URL"] = urls.service_url
        settings[f"{service.prefix}_OWNER_DATABASE_URL"] = urls.owner_url
    return settings


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[list[str]]:
    ports, routes = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
    nodes = []
    for number in range(3):
        config = {
            "server_name": f"node-{number}",
            "host": "127.0.0.1",
            "port": ports[number],
            "authorization": {"user": "county", "password": "a-word"},
            "jetstream": {"store_dir": str(folder / f"node-{number}"), "sync_interval": "always"},
            "cluster": {
                "name": "three",
                "host": "127.0.0.1",
                "port": routes[number],
                "routes": [f"nats-route://127.0.0.1:{port}" for port in routes],
            },
        }
        file = folder / f"node-{number}.conf"
        file.write_text(json.dumps(config))
        program = str(Path(sysconfig.get_path("scripts")) / "nats-server")
        log = folder / f"node-{number}.log"
        nodes.append(Child(f"node-{number}", [program, "-c", str(file)], log, environment={}))
    for node in nodes:
        node.spawn()
    urls = [f"nats://county:a-word@127.0.0.1:{port}" for port in ports]
    try:
        wait_until(lambda: asyncio.run(_has_leader(urls)), "a leader of the NATS cluster")
        yield urls
    finally:
        for node in nodes:
            node.stop()


async def _has_leader(urls: list[str]) -> bool:
    try:
        await check_nats(",".join(urls))
    except Unusable:
        return False
    return True
