"""The files of the repository, as the house tests look at them."""

import ast
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    ".git",
    ".venv",
    ".data",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".import_linter_cache",
    "__pycache__",
}


@dataclass(frozen=True)
class File:
    """One file: its path from the root, with slashes, and its text."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text of a Python file."""
        return ast.parse(self.text, self.path)

    @property
    def migration(self) -> bool:
        """A record of what was done to a database: written by a tool and never edited, so no style is asked of it."""
        return "/migrations/versions/" in self.path


def committed(*suffixes: str) -> list[File]:
    """The text files that are committed or would be, by suffix; all of them without one."""
    return [file for file in _everything() if not suffixes or file.path.endswith(suffixes)]


def python_files() -> list[File]:
    """All Python files."""
    return committed(".py")


def at(files: list[File], *prefixes: str) -> list[File]:
    """Those whose path begins with one of the prefixes."""
    return [file for file in files if file.path.startswith(prefixes)]


@cache
def _everything() -> tuple[File, ...]:
    found = []
    for path in sorted(_paths()):
        try:
            found.append(File(path, (ROOT / path).read_bytes().decode("utf-8")))
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture or a font; or removed and not yet committed as removed
    return tuple(found)


def _paths() -> set[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {path for path in listed.stdout.split("\0") if path}
    except (OSError, subprocess.CalledProcessError):
        return set(_walk())  # a copy without its history


def _walk() -> Iterator[str]:
    for folder, inside, files in os.walk(ROOT):
        inside[:] = [name for name in inside if name not in NOT_OURS]
        yield from ((Path(folder) / name).relative_to(ROOT).as_posix() for name in files)
