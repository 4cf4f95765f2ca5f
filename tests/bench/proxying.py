"""Row 4: what the gateway costs a request beside nginx, which only passes on: the same requests, the same service.

The gateway also verifies the token, counts against its limits, checks the path and writes a log line; nginx does none
of it.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from deploy.processes import Child, die_with_parent
from deploy.services import service_children
from deploy.settings import ROOT, SERVICES, Settings, Urls
from deploy.state import State, free_port
from tests.bench.bills import Bills
from tests.bench.figures import Row, Target
from tests.bench.machine import spent
from tests.bench.people import CLIENTS, people
from tests.bench.system import FOLDER, HOST, Failed, plain_environment
from tests.bench.wire import Load, closed_loop
from tests.clients import Issuer

CONNECTIONS = 16
NGINX = "nginx"
START_SECONDS = 30.0
NO_LIMIT = "1000000"


@dataclass(frozen=True)
class Passed:
    """One load through one proxy: microseconds of CPU a request, and what went wrong."""

    us: float
    load: Load
    trouble: str


class Proxies:
    """The stub, the gateway before it, and nginx before it where there is one."""

    def __init__(self) -> None:
        self.folder = FOLDER / f"proxies-{os.getpid()}"
        self.stub_port, self.plain_port, self.kept_port = free_port(), free_port(), free_port()
        self.issuer = Issuer()
        self.stub: subprocess.Popen[bytes] | None = None
        self.nginx: subprocess.Popen[bytes] | None = None
        self.gateway: Child | None = None
        self.gateway_port = free_port()

    async def start(self) -> None:
        """Start what there is and wait until each port is served."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stub = self._stub()
        await _listens(self.stub_port)
        self.gateway = self._gateway()
        self.gateway.spawn()
        await _listens(self.gateway_port)
        if program := shutil.which(NGINX) or shutil.which(NGINX, path="/usr/sbin:/usr/local/sbin"):
            self.nginx = self._nginx(program)
            await _listens(self.kept_port)

    @property
    def gateway_pid(self) -> int:
        """The process of the gateway."""
        assert self.gateway is not None
        assert self.gateway.process is not None
        return self.gateway.process.pid

    def stop(self) -> None:
        """End all of it and delete its files."""
        if self.gateway is not None:
            self.gateway.stop()
        for process in (self.nginx, self.stub):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(15)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stub(self) -> subprocess.Popen[bytes]:
        stub = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.stub", str(self.stub_port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        assert stub.stdin is not None
        stub.stdin.write(json.dumps(self.issuer.jwks()).encode())
        stub.stdin.close()
        return stub

    def _nginx(self, program: str) -> subprocess.Popen[bytes]:
        with (self.folder / "nginx.out").open("ab") as out:
            return subprocess.Popen(
                [program, "-p", str(self.folder), "-c", str(self._nginx_conf()), "-g", "daemon off;"],
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )

    def _gateway(self) -> Child:
        """The gateway with the command line and settings of `make run`, but for its addresses and its rate limits."""
        state = State(self.folder)
        state.logs.mkdir(exist_ok=True)
        settings = Settings(self.folder, HOST, self.gateway_port, False, {}, None)
        nothing = Urls("", "", "")
        files = {name: Path("none") for name in ("data_keys", "signing_keys", "accounts")}
        _, child = service_children(
            state, settings, dict.fromkeys(SERVICES, nothing), dict.fromkeys(SERVICES, ""), files
        )
        stub = f"http://{HOST}:{self.stub_port}"
        addresses = {f"GATEWAY_{service.prefix}_URL": stub for service in SERVICES.values()}
        limits = {f"GATEWAY_{who}_{what}": NO_LIMIT for who in ("CLIENT", "ADDRESS") for what in ("RATE", "BURST")}
        own = {name: value for name, value in child.environment.items() if name.startswith("GATEWAY_")}
        child.environment = {**plain_environment(), "PYTHONUNBUFFERED": "1", **own, **addresses, **limits}
        child.environment["TOKEN_JWKS_URL"] = f"{stub}/.well-known/jwks.json"
        return child

    def _nginx_conf(self) -> Path:
        conf = self.folder / "nginx.conf"
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"  {name}_temp_path {self.folder}/{name};" for name in paths)
        conf.write_text(f"""{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {self.folder}/nginx.pid;
error_log {self.folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
{temporary}
  client_body_buffer_size 64k;
  keepalive_requests 100000000;
  upstream kept {{ server {HOST}:{self.stub_port}; keepalive 32; keepalive_requests 100000000; }}
  server {{ listen {HOST}:{self.plain_port}; location / {{ proxy_pass http://{HOST}:{self.stub_port}; }} }}
  server {{
    listen {HOST}:{self.kept_port};
    location / {{ proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")
        return conf

    async def load(self, port: int, pid: int, run: str, seconds: float) -> Passed:
        """The same bills as in row 1, as many as sixteen connections get through."""
        tokens = {
            name: self.issuer.token("hospital", subject=name, institution_code=str(place))
            for place, name in enumerate(CLIENTS)
        }
        bills = Bills(run, f"{HOST}:{port}", tokens, people(300))
        # Connections to the service behind, and verified tokens, are then there already.
        await closed_loop(HOST, port, CONNECTIONS, min(seconds, 1.0), bills.request)
        before = spent({"proxy": pid})
        load = await closed_loop(HOST, port, CONNECTIONS, seconds, bills.request)
        cost = spent({"proxy": pid}).since(before)
        return Passed(cost.each(load.answered)["proxy"], load, load.strange(201))


@dataclass
class Compared:
    """Loads through the gateway, nginx with plain ``proxy_pass``, and nginx that keeps its connections to the service.

    The last two are empty where there is no nginx.
    """

    gateway: list[Passed] = field(default_factory=list)
    plain: list[Passed] = field(default_factory=list)
    kept: list[Passed] = field(default_factory=list)


async def measure(runs: int, seconds: float) -> Compared:
    """One load after the other, in turn."""
    proxies, found = Proxies(), Compared()
    try:
        await proxies.start()
        for number in range(runs):
            found.gateway.append(await proxies.load(proxies.gateway_port, proxies.gateway_pid, f"g{number}", seconds))
            if proxies.nginx is not None:
                pid = proxies.nginx.pid
                found.plain.append(await proxies.load(proxies.plain_port, pid, f"n{number}", seconds))
                found.kept.append(await proxies.load(proxies.kept_port, pid, f"k{number}", seconds))
    finally:
        proxies.stop()
    return found


def rows(found: Compared) -> list[Row]:
    """The rows of the table."""
    ours = [each.us for each in found.gateway]
    requests = sum(each.load.answered for each in found.gateway)
    missing = "" if found.plain else "nginx is not installed here (Debian: nginx-light)"
    return [
        Row(
            "4", "gateway, CPU for a request passed on", "µs", ours, [each.us for each in found.plain],
            "nginx, plain proxy_pass (µs)", Target("≤", 4), f"{requests:,} requests of 4 KB with a token", missing,
        ),
        Row(
            "4", "the same beside nginx that keeps connections", "µs", ours, [each.us for each in found.kept],
            "nginx, kept connections to the service (µs)", note="shown, not asked", missing=missing,
        ),
    ]  # fmt: skip


async def _listens(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, port)) == 0:
                return
        if time.monotonic() > until:
            raise Failed(f"nobody listens on port {port} after {START_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
