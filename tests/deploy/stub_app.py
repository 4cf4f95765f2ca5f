"""A service that does nothing but live, be ready and die: what supervision is tested with."""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answers 200 everywhere; ``/die`` ends the process at once."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            if os.environ.get("STUB_DIES_AT_START"):
                os._exit(4)
            _log(kind.removeprefix("lifespan."))
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    if scope["path"] == "/die":
        os._exit(3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def _log(event: str) -> None:
    line = {"ts": "2018-08-11T09:30:00.000+08:00", "level": "warning", "event": event, "service": "stub"}
    sys.stderr.write(json.dumps(line, separators=(",", ":")) + "\n")
