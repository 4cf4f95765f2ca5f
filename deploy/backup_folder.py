"""What a backup is on disk: one dump a database, a manifest, the secrets in a folder of their own, and checksums.

``SHA256SUMS`` (here and in ``secrets/``) has the form that ``sha256sum -c`` reads, so that a person can check a backup
without this program. The secrets open everything else: they may be taken away and kept elsewhere.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deploy.console import Unusable
from deploy.settings import SERVICES

FORMAT = 1
MANIFEST, SUMS, SECRETS = "manifest.json", "SHA256SUMS", "secrets"


@dataclass(frozen=True)
class Backup:
    """A backup that was found whole. ``manifest``: see `deploy.backup`."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def made_at(self) -> str:
        """When its databases were seen, in the county's time."""
        return str(self.manifest["made_at"])

    @property
    def secrets(self) -> Path | None:
        """The folder with the keys; None when they are kept elsewhere."""
        folder = self.folder / SECRETS
        return folder if folder.is_dir() else None

    def dump(self, service: str) -> Path:
        """The dump of a service's database."""
        return self.folder / str(self.manifest["services"][service]["file"])

    def rows(self, service: str) -> dict[str, int]:
        """How many rows each table had."""
        return dict(self.manifest["services"][service]["rows"])


def read_backup(folder: Path) -> Backup:
    """The backup in a folder, or `Unusable` with what is wrong with it; every byte is read."""
    if not folder.is_dir():
        raise Unusable(f"{folder} is no backup: there is no such folder")
    found = _checked(folder)
    if (folder / SECRETS).is_dir():
        _checked(folder / SECRETS)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise Unusable(f"{folder}: its form ({manifest['format']}) is not one this program reads ({FORMAT})")
        wanted = {MANIFEST, *(str(manifest["services"][name]["file"]) for name in SERVICES)}
        _ = manifest["made_at"], [manifest["services"][name]["rows"] for name in SERVICES]
    except (OSError, ValueError, KeyError, TypeError):
        raise Unusable(f"{folder}: the manifest is damaged") from None
    if missing := wanted - found:
        raise Unusable(f"{folder}: {', '.join(sorted(missing))} is not among the checksums")
    return Backup(folder, manifest)


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of these files beside them."""
    write_file(folder / SUMS, "".join(f"{sha256_of(folder / name)}  {name}\n" for name in sorted(names)).encode())


def write_file(path: Path, content: bytes) -> None:
    """A file of mode 0600 that is on the disk when this returns."""
    with open_private(path) as file:
        file.write(content)


@contextmanager
def open_private(path: Path) -> Iterator[BinaryIO]:
    """A new file of mode 0600, on the disk when it is closed."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(folder: Path) -> set[str]:
    """The files whose checksums are right; `Unusable` names the first one whose is not."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise Unusable(f"{folder} is no whole backup: {SUMS} can't be read") from None
    found = set()
    for line in lines:
        said, _, name = line.partition("  ")
        path = folder / name
        if not name or path.name != name or not path.is_file():
            raise Unusable(f"{folder} is damaged: {name or 'a line of ' + SUMS} is not there")
        if sha256_of(path) != said:
            raise Unusable(f"{folder} is damaged: {name} is not what was written")
        found.add(name)
    if not found:
        raise Unusable(f"{folder} is damaged: {SUMS} is empty")
    return found
