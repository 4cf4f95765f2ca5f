"""A service behind both proxies that does next to nothing: it reads a request and gives the same short answer.

``python -m tests.bench.stub PORT`` also publishes the public key of the tokens, read from standard input.
"""

import asyncio
import sys
from typing import cast

import uvloop

BODY = (
    b'{"discharge_id":"0f5cbb7a-7b0e-4a68-9a0e-0d8a4f8a1c11","state":"recorded","settlement":null,"total":"20000.00"}'
)


def answer(status: bytes, body: bytes) -> bytes:
    """A whole answer with the headers a service gives."""
    return (
        b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nx-request-id: stub\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    ) + body


class Stub(asyncio.Protocol):
    """One connection; a request is whole when as many bytes have come as its head says."""

    keys = b""

    def __init__(self) -> None:
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.rest) < end + 4 + length:
                return
            self.rest = self.rest[end + 4 + length :]
            about_keys = head.startswith(b"get ") and b"jwks" in head.split(b"\r\n", 1)[0]
            self.transport.write(answer(b"200 OK", self.keys) if about_keys else STANDING)


STANDING = answer(b"201 Created", BODY)


async def main(port: int) -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    Stub.keys = sys.stdin.buffer.read()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
