"""How long and how large the head of a request may be: the server itself would take any, for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 15.0

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)
PROBLEM = (
    '{"type":"urn:three-batches:problem:headers_too_large","title":"The header fields are too large","status":431,'
    '"detail":"请求头过大。","code":"headers_too_large","errors":[],"request_id":"-"}'
).encode()


class BoundedHttp(HttpToolsProtocol):
    """A connection whose caller must come to the point: a head of 64 KiB at most, within 15 seconds."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head_bytes, self._in_head, self._just_begun = 0, True, False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has come and should say something."""
        super().connection_made(transport)
        self._be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has left."""
        self._had_patience()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._just_begun = True
        self._head_bytes = 0
        self._be_patient()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_head = False
        self._had_patience()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count what comes before a head is whole."""
        self._just_begun = False
        super().data_received(data)
        if not self._in_head:
            return
        # What came together with the end of an earlier request is not held against this one.
        self._head_bytes += 0 if self._just_begun else len(data)
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE % (len(PROBLEM), PROBLEM))
            self.transport.close()

    def _be_patient(self) -> None:
        self._had_patience()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _had_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
