"""Child processes that never outlive their supervisor, and their logs."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.state import State

PR_SET_PDEATHSIG = 1
ROTATE_BYTES = 32 * 1024 * 1024
# How the C library keeps memory (glibc; others don't look): one heap for all threads of a process, and large blocks go
# back when they are freed. Left to itself it opens a heap for each thread, and after the first large block keeps all.
FRUGAL = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
# The same for PostgreSQL: a backend takes some hundred kilobytes for each statement and frees them after it; kept to
# 128 KiB it would ask the machine for the same pages again and again.
ROOMY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "2097152"}
# Loaded before any fork: the child may only call what is already there.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(number: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask for a signal when its supervisor ends in any way.

    Elsewhere than on Linux there is no such thing; `sweep` finds what was left at the next start.
    """
    if _LIBC is None:
        return None
    parent = os.getpid()

    def ask() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return ask


class Child:
    """A program under supervision: in its own process group, so that Ctrl-C reaches the supervisor alone.

    Start it from the main thread: the signal of `die_with_parent` comes when the *thread* that started it ends.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str],
        folder: Path = Path("/"),
        stop_signal: int = signal.SIGTERM,
        user: int | None = None,
        group: int | None = None,
    ) -> None:
        self.name, self.argv, self.log = name, list(argv), log
        self.environment, self.folder = dict(environment), folder
        self.stop_signal, self.user, self.group = stop_signal, user, group
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        """Start it. Its output goes to its log file and not through a pipe: it can end in peace when nobody reads."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment,
                process_group=0,
                user=self.user,
                group=self.group,
                extra_groups=None if self.user is None else [],
                preexec_fn=die_with_parent(self.stop_signal),
            )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before it was started."""
        return None if self.process is None else self.process.poll()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the signal on which it stops in order."""
        if self.running and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to stop, wait, and end it if it does not: PostgreSQL by SIGQUIT first, which loses nothing."""
        if self.process is None:
            return
        self.ask_to_stop()
        for number, patience in ((None, seconds), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            if number is not None:
                self.process.send_signal(number)
            try:
                self.process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                continue


class Tail:
    """What a log file has gained since the last look; a file that grew too long is put aside and begun anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = b""
        self._at = path.stat().st_size if path.exists() else 0

    def lines(self) -> list[str]:
        """The whole lines that were added."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(self._at if self._at <= size else 0)
                added = file.read()
                self._at = file.tell()
        except OSError:
            return []
        *whole, self._rest = (self._rest + added).split(b"\n")
        if self._at > ROTATE_BYTES:
            self._rotate()
        return [line.decode(errors="replace") for line in whole]

    def _rotate(self) -> None:
        # The child keeps writing to the same open file, so it is copied and emptied, not renamed.
        old = self.path.with_name(self.path.name + ".1")
        with self.path.open("rb") as file, old.open("wb") as kept:
            while chunk := file.read(1 << 20):
                kept.write(chunk)
        os.truncate(self.path, 0)
        self._at = 0


def record(state: State, children: Sequence[Child]) -> None:
    """Write down which processes are ours, for `sweep`."""
    ours = {}
    for child in children:
        if child.process is not None and (began := _began(child.process.pid)):
            ours[child.name] = {"pid": child.process.pid, "began": began, "stop_signal": int(child.stop_signal)}
    state.write("processes.json", ours)


def sweep(state: State) -> list[str]:
    """See to it that nothing of an earlier supervisor, killed before it could stop its children, still runs.

    On Linux they are already stopping by themselves, and this only waits for them; names those it waited for.
    """
    waited = []
    for name, was in state.read("processes.json").items():
        try:
            pid, began, number = int(was["pid"]), str(was["began"]), int(was["stop_signal"])
        except (KeyError, TypeError, ValueError):
            continue
        if _began(pid) != began:
            continue
        waited.append(name)
        # A database that was busy takes its time to write everything down; a service has nothing to lose.
        _end(pid, began, number, 60.0 if name == "postgres" else 15.0)
    state.write("processes.json", {})
    return waited


def _end(pid: int, began: str, number: int, seconds: float) -> None:
    for kind, patience in ((number, seconds), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, kind)
        except OSError:
            return
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if _began(pid) != began:
                return
            time.sleep(0.02)


def _began(pid: int) -> str:
    """When a process began, in the system's own words; empty when there is none. A number may be given again."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()
