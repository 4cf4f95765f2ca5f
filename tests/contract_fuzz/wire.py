"""Requests as bytes on a connection: no client library puts right what is meant to be wrong."""

import http.client
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TIMEOUT = 60.0


@dataclass(frozen=True)
class Asked:
    """One request as it is sent; ``target`` is the path with its query, already encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def curl(self, origin: str, caller: str) -> str:
        """The request for a shell; the token is left to the reader."""
        parts = ["curl", "-s", "-X", self.method, "-H", f"Authorization: Bearer $({caller})"]
        for name, value in self.headers.items():
            parts += ["-H", f"{name}: {value}"]
        if self.body is not None:
            parts += ["--data-binary", self.body.decode("utf-8", "backslashreplace")[:3000]]
        return shlex.join([*parts, origin + self.target])


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip()

    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


class Wire:
    """One kept connection to the gateway."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def send(self, asked: Asked, **more: str) -> Answered:
        """Send one request; once more on a fresh connection when the kept one had been closed meanwhile."""
        try:
            return self._once(asked, more)
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()
            return self._once(asked, more)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _once(self, asked: Asked, more: Mapping[str, str]) -> Answered:
        line = self._connection
        line.putrequest(asked.method, asked.target, skip_accept_encoding=True)
        headers = {**asked.headers, **more}
        if asked.body is not None and "Content-Length" not in headers:
            headers["Content-Length"] = str(len(asked.body))
        for name, value in headers.items():
            # As UTF-8, which is what the gateway reads; http.client itself would write latin-1.
            line.putheader(name, value.encode())
        line.endheaders(asked.body)
        answer = line.getresponse()
        body = answer.read()
        return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
