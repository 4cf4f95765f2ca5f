"""What the person at the terminal sees: progress, the services' log lines, tables with Chinese in them."""

import contextlib
import json
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

COLOURS = {"contract": 36, "treatment": 32, "safety-net": 35, "gateway": 34, "postgres": 33, "nats": 33}
LEVELS = {"warning": 33, "error": 31, "critical": 31}
# Fields of a log line that stand in its fixed part, or say nothing when there is nothing to say.
FIXED = {"ts", "level", "event", "service", "request_id"}


class Unusable(Exception):
    """Why it can't go on, in one line for the person who started it."""


class AlreadySaid(Unusable):
    """A process of ours has told the person itself why it can't go on."""


class Console:
    """One writer of the terminal. When nobody reads any more it falls silent, so that stopping still goes in order."""

    def __init__(self) -> None:
        self.colourful = sys.stdout.isatty()
        self._open: str | None = None
        self._gone = False

    def say(self, text: str = "") -> None:
        """One or more whole lines."""
        if self._open is not None:
            self._write("\n")
            self._open = None
        self._write(text + "\n")

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """``· starting PostgreSQL … 0.8 s``: what is being done, and when it is done, how long it took."""
        line, began = f"· {what} …", time.monotonic()
        self._begin(line)
        yield
        took = f" {time.monotonic() - began:.1f} s"
        if self._open == line:
            self._open = None
            self._write(took + "\n")
        else:
            self.say(line + took)

    def tally(self, what: str, done: int, of: int) -> None:
        """Progress of a long step: a line that counts on a terminal, every hundredth in a file."""
        line = f"· {what} … {done} of {of}"
        if self.colourful:
            if self._open is not None and not self._open.startswith(f"· {what}"):
                self._write("\n")
            self._write("\r" + line)
            self._open = line
            if done == of:
                self._write("\n")
                self._open = None
        elif done == of or done % 100 == 0:
            self.say(line)

    def log(self, lines: Iterable[tuple[str, str]]) -> None:
        """Lines of the children's logs, each behind its child's name, as a person reads them; written in one piece."""
        shown = [self._named(name) + readable(line, colourful=self.colourful) for name, line in lines]
        if shown:
            self.say("\n".join(shown))

    def _named(self, name: str) -> str:
        prefix = f"{name:<10} "
        return f"\x1b[{COLOURS.get(name, 37)}m{prefix}\x1b[0m" if self.colourful else prefix

    def _begin(self, line: str) -> None:
        if self._open is not None:
            self._write("\n")
        self._open = line
        self._write(line)

    def _write(self, text: str) -> None:
        if self._gone:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except (OSError, ValueError):
            self._gone = True


console = Console()


def command(verb: str, do: Callable[[], int | None]) -> int:
    """Carry out ``make verb``; its exit code. What stands in the way is said in one line, 1; Ctrl-C is 130."""
    try:
        return do() or 0
    except Unusable as error:
        console.say(f"make {verb}: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def explain(error: BaseException | None, log: Path) -> None:
    """One clear line; what we did not foresee goes to a file with its traceback."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, Unusable)), error.exceptions[0])
    if error is None or isinstance(error, AlreadySaid):
        return
    if isinstance(error, Unusable):
        console.say(f"make run: {error}")
        if error.__cause__ is None:
            return
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    if isinstance(error, Unusable):
        console.say(f"  (details: {log})")
    else:
        console.say(f"make run: an error of its own, {type(error).__name__}: {error} (details: {log})")


def readable(line: str, *, colourful: bool = False) -> str:
    """A JSON log line as ``12:30:01 info    started count=3``; any other line as it is."""
    line = line.rstrip("\r\n")
    if not line.startswith("{"):
        return line
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return line
    level = str(fields.get("level", "info"))
    at = str(fields.get("ts", ""))[11:19]
    shown = f"{level:<7}"
    if colourful and level in LEVELS:
        shown = f"\x1b[{LEVELS[level]}m{shown}\x1b[0m"
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in FIXED)
    if (request := fields.get("request_id", "-")) != "-":
        rest = f"{rest} request_id={request}".lstrip()
    return f"{at} {shown} {fields.get('event', '')} {rest}".rstrip()


def is_ordinary(line: str) -> bool:
    """Whether a log line only says that something went as it should."""
    return line.startswith("{") and '"level":"info"' in line.replace(" ", "")


def width(text: str) -> int:
    """How many columns a text takes: a Chinese character takes two, a combining mark none."""
    wide = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return wide - sum(1 for c in text if unicodedata.combining(c))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """A table in fixed columns; the columns numbered in ``right`` are aligned to the right."""
    widths = [max(width(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = []
        for i, cell in enumerate(cells):
            gap = " " * (widths[i] - width(cell))
            padded.append(gap + cell if i in right else cell + gap)
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), "  ".join("─" * w for w in widths), *map(line, rows)])
