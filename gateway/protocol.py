"""How long and how large the head of a request may be: the server itself would take any, for ever."""

import asyncio
from typing import Any

from shared.kit.http import WholeAnswers

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 15.0

REFUSED = (
    "HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n"
    "content-length: %d\r\nconnection: close\r\n\r\n"
)
PROBLEM = (
    '{"type":"urn:three-batches:problem:%s","title":"%s","status":%d,"detail":"%s","code":"%s","errors":[],'
    '"request_id":"-"}'
)


def _refusal(status: int, reason: str, code: str, title: str, detail: str) -> bytes:
    body = (PROBLEM % (code, title, status, detail, code)).encode()
    return (REFUSED % (status, reason, len(body))).encode() + body


TOO_LARGE = _refusal(
    431, "Request Header Fields Too Large", "headers_too_large", "The header fields are too large", "请求头过大。"
)
MALFORMED = _refusal(400, "Bad Request", "malformed_request", "Not a well-formed request", "请求的格式不正确。")


class BoundedHttp(WholeAnswers):
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
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_head = False
        self._had_patience()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is whole, too: nobody need wait for it."""
        self.scope["body_is_here"] = True  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Count what comes before a head is whole."""
        self._just_begun = False
        super().data_received(data)
        if not self._in_head:
            return
        if self._just_begun or self._patience is None:
            self._be_patient()
        # What came together with the end of an earlier request is not held against this one.
        self._head_bytes += 0 if self._just_begun else len(data)
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused as everything is."""
        del msg
        self.transport.write(MALFORMED)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        # Nobody can say where the body of a CONNECT or an upgrade ends, so nothing comes after it.
        self.cycle.keep_alive = False

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
