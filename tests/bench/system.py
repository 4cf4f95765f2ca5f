"""The whole embedded system as `make run` starts it, in a folder and on ports of its own."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from urllib.parse import quote

import asyncpg
import httpx

from deploy.client import gateway
from deploy.cluster import Cluster
from deploy.demo.people import Person
from deploy.processes import die_with_parent
from deploy.settings import ROOT
from deploy.state import State, free_port
from tests.bench.machine import Spent, memory, spent
from tests.bench.people import CLIENTS, people, register

FOLDER = ROOT / ".data" / "bench"
HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS, TRAVEL_SECONDS = 300.0, 60.0, 120.0
SERVICES = ("contract", "treatment", "safety_net")
# What a county sets for its own system must not reach this one.
FOREIGN = re.compile(r"(CONTRACT|TREATMENT|SAFETY_NET|GATEWAY|NATS|TOKEN|THREE_BATCHES)_.*|DATA_KEYS(_FILE)?")


class Failed(Exception):
    """Why something can't be measured, in one line."""


def plain_environment() -> dict[str, str]:
    """The environment without settings of the product: everything is measured as it comes."""
    return {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}


class System:
    """A running system with the bench's registry in it."""

    def __init__(self, name: str) -> None:
        self.folder = FOLDER / f"{name}-{os.getpid()}"
        self.state = State(self.folder / "data")
        self.port = free_port()
        self.output = self.folder / "console.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.residents: list[Person] = []

    @property
    def place(self) -> str:
        """Host and port of the gateway."""
        return f"{HOST}:{self.port}"

    async def start(self) -> float:
        """Start it and wait until all of it is up; how many seconds it took until everything was ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # PostgreSQL then runs as another user, who must get through to its files.
            self.folder.chmod(0o711)
        began = time.perf_counter()
        self.process = self._spawn()
        while "· ready after" not in (said := self._said()):
            if self.process.poll() is not None:
                raise Failed(f"the system ended at start: {said.strip().splitlines()[-1:] or 'it said nothing'}")
            if time.perf_counter() - began > START_SECONDS:
                raise Failed(f"the system was not ready within {START_SECONDS:.0f} s ({self.output})")
            await asyncio.sleep(0.02)
        return time.perf_counter() - began

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "THREE_BATCHES_DATA": str(self.state.folder),
            "GATEWAY_PORT": str(self.port),
            "THREE_BATCHES_DEMO": "no",
        }
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.run"],
                cwd=ROOT,
                env={**plain_environment(), **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )

    async def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, STOP_SECONDS)

    async def discard(self) -> None:
        """Stop it and delete everything it kept."""
        await self.stop()
        cluster = Cluster(self.state.folder / "postgres")
        cluster.folder = cluster.asked.resolve()
        cluster.discard()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    # -- going in

    async def load_registry(self, residents: int) -> None:
        """Register institutions and residents, and wait until every service knows them."""
        self.residents = people(residents)
        async with gateway(self.state.read("credentials.json")) as door:
            await register(door, self.residents)
        until = time.monotonic() + TRAVEL_SECONDS
        for database in ("treatment", "safety_net"):
            connection = await self.connect(database)
            while (known := await connection.fetchval("select count(*) from resident_copies")) < residents:
                if time.monotonic() > until:
                    raise Failed(f"{database} knows {known} of {residents} residents")
                await asyncio.sleep(0.1)
            await connection.close()

    async def tokens(self) -> dict[str, str]:
        """A fresh token of each hospital that posts bills."""
        return {name: await self.token(name) for name in CLIENTS}

    async def token(self, who: str) -> str:
        """A fresh token of one client or user by his name in the credentials."""
        credentials = self.state.read("credentials.json")
        if account := credentials["clients"].get(who):
            form = {"grant_type": "client_credentials", **{k: account[k] for k in ("client_id", "client_secret")}}
        else:
            account = credentials["users"][who]
            form = {"grant_type": "password", **{k: account[k] for k in ("username", "password")}}
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"http://{self.place}/oauth/token", data=form)
        return str(answer.json()["access_token"])

    # -- looking in from outside

    @property
    def postgres_port(self) -> int:
        """Where the embedded PostgreSQL listens."""
        return int(self.state.read("ports.json")["postgres"])

    @property
    def password(self) -> str:
        """The administrator's password of the embedded PostgreSQL."""
        return str(self.state.read("secrets/passwords.json")["postgres"])

    async def connect(self, database: str) -> asyncpg.Connection:
        """A connection of the administrator, whom no policy of the tables stops."""
        word = quote(self.password, safe="")
        return await asyncpg.connect(f"postgresql://postgres:{word}@{HOST}:{self.postgres_port}/{database}")

    @property
    def pids(self) -> Mapping[str, int]:
        """The process of each part by its name, the supervisor among them."""
        assert self.process is not None
        children = {name: int(child["pid"]) for name, child in self.state.read("processes.json").items()}
        return {**children, "supervisor": self.process.pid}

    def spent(self) -> Spent:
        """CPU seconds of each part so far."""
        return spent(self.pids)

    def memory(self) -> dict[str, float]:
        """Memory of each part in MB (PSS)."""
        return memory(self.pids)

    async def volume(self) -> str:
        """How much it holds: settlements, and the size of its databases."""
        connection = await self.connect("safety_net")
        count = await connection.fetchval("select count(*) from settlements")
        size = sum([await connection.fetchval("select pg_database_size($1)", name) for name in SERVICES])
        await connection.close()
        return f"{count:,} settlements, {len(self.residents):,} residents, databases {size / 1e6:,.0f} MB"
