"""The state folder: what a running county keeps on this machine beside its databases."""

import fcntl
import json
import os
import pwd
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.console import Unusable

# Below the range from which the system takes the local ports of outgoing connections, so that a recorded port
# is rarely taken at the next start.
PORTS = range(20000, 30000)


class Taken(Unusable):
    """Somebody runs on this folder."""


class State:
    """The state folder, held by one supervisor at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.logs = folder / "logs"
        self.credentials = folder / "credentials.json"
        self._lock: int | None = None

    def take(self) -> None:
        """Make the folder and hold it, or say who does."""
        if (maker := self._maker()) not in (None, os.geteuid()):
            # Files of two users in one folder would shut both of them out.
            raise Unusable(
                f"the state folder {self.folder} was made by {_user(maker)} and this is {_user(os.geteuid())}: "
                f"run as {_user(maker)}, or choose another folder: THREE_BATCHES_DATA=… make run"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # PostgreSQL does not run as root: started by root it runs as `nobody`, who must get through to its files.
            if self.folder.stat().st_uid == os.geteuid():
                self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for folder in (self.secrets, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unusable(f"the state folder {self.folder} can't be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = None
            raise Taken(
                f"another `make run` (process {holder}) already uses {self.folder}; "
                "stop it first, or choose another folder: THREE_BATCHES_DATA=… make run"
            ) from None
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def leave(self) -> None:
        """Let the next one in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _maker(self) -> int | None:
        """Who made what is in the folder; None when nothing is in it, or its user can't be seen from here."""
        try:
            return self.secrets.stat().st_uid
        except OSError:
            return None

    def read(self, name: str) -> dict[str, Any]:
        """One of the folder's small JSON files; empty when it is not there or was cut off."""
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, name: str, content: dict[str, Any]) -> Path:
        """Write a small JSON file whole or not at all, readable by its owner only."""
        return write_private(self.folder / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    def port(self, name: str) -> int:
        """The port recorded for a child, or a new one when there is none yet or a stranger has taken it."""
        known = self.read("ports.json")
        recorded = known.get(name)
        if isinstance(recorded, int) and is_free("127.0.0.1", recorded):
            return recorded
        return self.another_port(name)

    def another_port(self, name: str) -> int:
        """Choose and record a free port."""
        known = self.read("ports.json")
        known[name] = free_port(avoid=known.values())
        self.write("ports.json", known)
        return int(known[name])


def write_private(path: Path, text: str) -> Path:
    """Write a file of mode 0600 so that a reader sees the old content or the new, never a half."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    return why_taken(host, port) is None


def why_taken(host: str, port: int) -> OSError | None:
    """Why no server could listen there now; None when one could."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port whose last connections are still being wound up is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def free_port(avoid: Iterable[int] = ()) -> int:
    """A port of this machine on which nobody listens."""
    taken = set(avoid)
    chance = random.SystemRandom()
    for _ in range(1000):
        port = chance.choice(PORTS)
        if port not in taken and is_free("127.0.0.1", port):
            return port
    raise Unusable(f"no free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1")


def _user(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"
