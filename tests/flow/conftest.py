"""The whole system as `make run` starts it: supervisor, engines, three services, gateway, demo county."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.state import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180
# What other tests of this run have set for services inside the test process is not this system's.
OURS = ("CONTRACT_", "TREATMENT_", "SAFETY_NET_", "GATEWAY_", "THREE_BATCHES_", "NATS_", "TOKEN_", "DATA_KEYS", "OIDC_")


class System:
    """A running system and its accounts."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data.parent / f"{data.name}.out"
        self.process: subprocess.Popen[bytes] | None = None
        self.callers: list[Caller] = []

    def start(self, **environment: str) -> str:
        """Start, wait until it is up, and give back what it printed."""
        settings = {"THREE_BATCHES_DATA": str(self.data), "GATEWAY_PORT": str(self.port), **environment}
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.run"],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if not name.startswith(OURS)} | settings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while "is up" not in (printed := self.output.read_text(errors="replace")):
            assert self.process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.1)
        return printed

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop as Ctrl-C does, or otherwise."""
        for caller in self.callers:
            caller.close()
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)

    @property
    def credentials(self) -> dict[str, Any]:
        """What the first start wrote down."""
        found: dict[str, Any] = json.loads((self.data / "credentials.json").read_text(encoding="utf-8"))
        return found

    def client(self, name: str) -> "Caller":
        """A hospital's HIS, signed in."""
        account = self.credentials["clients"][name]
        form = {"grant_type": "client_credentials", **{k: account[k] for k in ("client_id", "client_secret")}}
        return self._caller(form)

    def user(self, name: str) -> "Caller":
        """A person of an office, signed in."""
        account = self.credentials["users"][name]
        form = {"grant_type": "password", **{k: account[k] for k in ("username", "password")}}
        return self._caller(form)

    def _caller(self, form: dict[str, str]) -> "Caller":
        caller = Caller(self.url, form)
        self.callers.append(caller)
        return caller


class Caller(httpx.Client):
    """Somebody at the gateway with a token."""

    def __init__(self, url: str, form: dict[str, str]) -> None:
        super().__init__(base_url=url, timeout=60)
        answer = self.post("/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def create(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """POST with a fresh ``Idempotency-Key`` unless one is given."""
        return self.post(path, json=body, headers={"Idempotency-Key": str(uuid4()), **headers})


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for all flow tests, with the demo county."""
    system = System(tmp_path_factory.mktemp("system") / "data")
    system.start()
    yield system
    system.stop()
