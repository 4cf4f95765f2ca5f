"""The embedded engines: PostgreSQL and NATS from their wheels, in the foreground, on loopback, for this machine alone.

The wheels' own start-up code is not used: it leaves servers behind when its process is killed, and as root it opens
every parent folder to everyone. Ready means that *our* process says so: a stranger may hold the port.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import sysconfig
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from deploy.channel_rights import OPERATOR, users
from deploy.cluster import Cluster
from deploy.console import Unusable
from deploy.processes import ROOMY, Child
from deploy.state import free_port, write_private

# A start after a crash replays the log first, which may take minutes.
POSTGRES_SECONDS = 300.0
# PostgreSQL's log quotes rows (DETAIL), statements and their parameters unless it is told not to.
SILENT = {
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_parameter_max_length": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
}
NATS_SECONDS = 120.0
LAST_WORDS = 8000
MOST_KEPT = 64 * 1024**3
ROOM_TO_GO_ON = 8 * 1024 * 1024


class EngineEnded(Unusable):
    """The engine ended instead of becoming ready."""


class Engine(ABC):
    """What both engines share. Ports may be changed until `spawn`."""

    title: str
    patience: float
    child: Child

    def __init__(self, port: int) -> None:
        self.port = port
        self._said_before = 0

    @abstractmethod
    def spawn(self) -> None:
        """Start the process and return at once."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether our own process is ready to serve."""

    def launch(self, child: Child) -> None:
        """Start its process; from here on its log speaks of this start."""
        self.child = child
        self._said_before = child.log.stat().st_size if child.log.exists() else 0
        child.spawn()

    def ready(self) -> bool:
        """Whether it serves; `EngineEnded` with its last words when it never will."""
        if self.child.exit_code is not None:
            raise EngineEnded(f"{self.title} ended at start: {self.last_words()}")
        return self.answers()

    def last_words(self) -> str:
        """The last thing it said about itself, without its timestamp."""
        try:
            lines = self.child.log.read_bytes()[-4000:].decode(errors="replace").splitlines()
        except OSError:
            lines = []
        grave = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "[FTL]", "error:", "[ERR]"))]
        said = (grave or lines or ["it said nothing"])[-1]
        for word in ("FATAL:", "PANIC:", "[FTL]", "[ERR]"):
            said = said.partition(word)[2] or said
        return f"{said.strip()} (log: {self.child.log})"

    @property
    def port_was_taken(self) -> bool:
        """Whether it ended because somebody else listens on its port."""
        return "address already in use" in self._end_of_log()

    @property
    def out_of_space(self) -> bool:
        """Whether the last it said is that the disk is full."""
        return "no space left on device" in self._end_of_log()

    def stuck(self) -> bool:
        """Whether it runs and will do nothing more by itself until it is started again."""
        return False

    def _end_of_log(self) -> str:
        try:
            with self.child.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._said_before, size - LAST_WORDS))
                return file.read().decode(errors="replace").lower()
        except OSError:
            return ""

    def start(self) -> None:
        """Start and wait until it serves, on another port if a stranger took this one meanwhile."""
        for attempt in range(3):
            self.spawn()
            until = time.monotonic() + self.patience
            try:
                while not self.ready():
                    if time.monotonic() > until:
                        self.stop()
                        raise Unusable(f"{self.title} was not ready within {self.patience:.0f} s: {self.last_words()}")
                    time.sleep(0.02)
                return
            except EngineEnded:
                if attempt == 2 or not self.port_was_taken:
                    raise
                self.port = free_port(avoid=[self.port])

    def stop(self) -> None:
        """Stop in order."""
        self.child.stop()


class Postgres(Engine):
    """A PostgreSQL cluster of our own: scram passwords, loopback only, no socket file."""

    title = "PostgreSQL"
    patience = POSTGRES_SECONDS

    def __init__(self, data: Path, *, password: str, port: int, log: Path) -> None:
        super().__init__(port)
        self.password = password
        self.cluster = Cluster(data)
        self._log = log

    def prepare(self) -> None:
        """Make the cluster if there is none yet; about a second."""
        self.cluster.prepare(self.password)

    def spawn(self) -> None:
        """Start the server. SIGINT is PostgreSQL's fast and orderly stop."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "log_line_prefix": "%m [%p] ",
            **SILENT,
        }
        argv = [str(self.cluster.program("postgres")), "-D", str(self.cluster.folder)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        child = Child(
            "postgres",
            argv,
            self._log,
            stop_signal=signal.SIGINT,
            **self.cluster.runs_as,
            environment={**self.cluster.env, **ROOMY},
        )
        self.launch(child)

    def answers(self) -> bool:
        """Line 1 of its own pid file names our process, line 8 says ready."""
        if self.child.process is None:
            return False
        try:
            lines = (self.cluster.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(self.child.process.pid) and lines[7].strip() == "ready"

    @property
    def admin_url(self) -> str:
        """The administrator's address; no service ever sees it."""
        return f"postgresql://postgres:{quote(self.password, safe='')}@127.0.0.1:{self.port}/postgres"

    def discard(self) -> None:
        """Stop, and delete its files wherever they lie."""
        self.stop()
        self.cluster.discard()


class Nats(Engine):
    """A NATS server with JetStream. It acknowledges only what has reached the disk (``sync_interval: always``)."""

    title = "NATS"
    patience = NATS_SECONDS

    def __init__(
        self, folder: Path, *, password: str, port: int, log: Path, services: Mapping[str, str] | None = None
    ) -> None:
        """``password`` is the operator's; ``services`` gives each service's own."""
        super().__init__(port)
        self.folder, self.password, self.services = folder, password, dict(services or {})
        self._log = log
        self._name = ""

    def spawn(self) -> None:
        """Start the server with a name of this start alone, by which `answers` knows it again."""
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        if not program.exists():
            raise Unusable("the NATS wheel is not installed here: set NATS_URL to use a server of your own")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._name = f"three-batches-{secrets.token_hex(8)}"
        settings = {
            "server_name": self._name,
            "host": "127.0.0.1",
            "port": self.port,
            "max_payload": 8 * 1024 * 1024,
            "authorization": {"users": users(self.password, self.services)},
            # Without a limit of ours it takes one from the room there is at its start, and keeps it when room comes.
            "jetstream": {
                "store_dir": str(self.folder / "store"),
                "sync_interval": "always",
                "max_file_store": MOST_KEPT,
            },
        }
        # The server's configuration language takes JSON as it is.
        config = write_private(self.folder / "nats.conf", json.dumps(settings, indent=2) + "\n")
        # A soft limit: after a busy hour the server gives memory back instead of keeping twice as much.
        environment = {"PATH": "/usr/bin:/bin", "GOMEMLIMIT": "96MiB"}
        self.launch(Child("nats", [str(program), "-c", str(config)], self._log, environment=environment))

    def stuck(self) -> bool:
        """A stream that once found the disk full refuses until the server is started again, whatever room there is."""
        return self.out_of_space and shutil.disk_usage(self.folder).free > ROOM_TO_GO_ON

    def answers(self) -> bool:
        """The server greets every connection with its name; ours has a name nobody else can have."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                greeting = connection.makefile("rb").readline(65536)
        except OSError:
            return False
        return self._name.encode() in greeting

    @property
    def url(self) -> str:
        """The operator's address."""
        return self._url(OPERATOR, self.password)

    def url_of(self, service: str) -> str:
        """The address that a service uses, with its own account."""
        return self._url(service, self.services[service])

    def _url(self, user: str, password: str) -> str:
        return f"nats://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}"


def start_postgres(data: Path, *, password: str | None = None, port: int | None = None) -> Postgres:
    """A PostgreSQL that is ready, its files under ``data``; its log and, unless given, its password lie beside them."""
    data.parent.mkdir(parents=True, exist_ok=True)
    engine = Postgres(
        data,
        password=password or _kept_password(data),
        port=port or free_port(),
        log=data.with_name(f"{data.name}.log"),
    )
    engine.prepare()
    engine.start()
    return engine


def start_nats(
    folder: Path,
    *,
    password: str | None = None,
    port: int | None = None,
    services: Mapping[str, str] | None = None,
) -> Nats:
    """A NATS server that is ready, its files under ``folder``; its log lies beside them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    engine = Nats(
        folder,
        password=password or _kept_password(folder),
        port=port or free_port(),
        log=folder.with_name(f"{folder.name}.log"),
        services=services,
    )
    engine.start()
    return engine


def _kept_password(folder: Path) -> str:
    kept = folder.with_name(f"{folder.name}.password")
    if not kept.exists():
        write_private(kept, secrets.token_urlsafe(24))
    return kept.read_text(encoding="utf-8")
