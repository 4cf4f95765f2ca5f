"""Log lines as JSON with a closed set of fields: a name or an identity number has no field to go in."""

import logging
import re
import sys
from contextvars import ContextVar

import msgspec

from shared.kit import clock

request_id: ContextVar[str] = ContextVar("request_id", default="-")
# Nothing that could be an identity number or an encoded name (``%E7…``, ``\\u7532``): it stands in every log line.
REQUEST_ID = re.compile(r"(?!.*[0-9]{15})[A-Za-z0-9._:/+=@-]{1,128}")


class Line(msgspec.Struct, omit_defaults=True):
    """The fields a log line may have, and no others."""

    ts: str
    level: str
    event: str
    service: str = ""
    request_id: str = "-"
    route: str = ""
    method: str = ""
    status: int = 0
    ms: int = 0
    client: str = ""
    county: str = ""
    institution: str = ""
    discharge_id: str = ""
    settlement_id: str = ""
    event_id: str = ""
    subject: str = ""
    count: int = 0
    code: str = ""
    error_type: str = ""
    where: str = ""


_service = ""


def name_service(name: str) -> None:
    """Put the service's name on every line this process writes."""
    global _service
    _service = name


def log(level: str, event: str, **fields: str | int) -> None:
    """Write one line to standard error."""
    line = Line(
        ts=clock.rfc3339(clock.now()),
        level=level,
        event=event,
        service=_service,
        request_id=request_id.get(),
        **fields,  # type: ignore[arg-type]
    )
    # A line that a full disk does not take is lost; what it tells of goes on.
    try:
        sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
        sys.stderr.flush()
    except OSError:
        pass


class _Library(logging.Handler):
    """What a library wants to say becomes a line of ours: where it was said and which error it was, never its words.

    The words of an exception may quote a row or a request: PostgreSQL's do, and so do those of a task nobody awaited.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        kind = record.exc_info[0] if record.exc_info else None
        level = "error" if record.levelno >= logging.ERROR else "warning"
        where = f"{record.name} {record.module}.{record.funcName}:{record.lineno}"
        log(level, "library", where=where, error_type=kind.__name__ if kind else "")


_library = _Library(logging.WARNING)


def hush_libraries() -> None:
    """From now on libraries write no words of their own into our log. Until a service has started they may: its
    operator must read what is wrong, and no patient has come near it yet."""
    logging.getLogger().addHandler(_library)
    server = logging.getLogger("uvicorn")
    server.handlers.clear()
    server.propagate = True
