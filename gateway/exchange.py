"""One request and its answer, without the objects of a web framework: this is the hot path."""

import re
from collections.abc import Iterable
from random import getrandbits

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.errors import HeadersTooLarge, MalformedRequest
from shared.kit.log import REQUEST_ID, request_id
from shared.kit.problems import Problem

HEADER_BYTES = 32 * 1024
HEADER_COUNT = 100
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade http2-settings".split()
)
# What the gateway says itself, so that nobody can say it in its stead.
OURS = frozenset(b"host content-length expect forwarded x-request-id x-real-ip".split())
NOT_FORWARDED = HOP_BY_HOP | OURS
FORWARDED = b"x-forwarded-"
NOT_PASSED_BACK = HOP_BY_HOP | frozenset(
    (b"date", b"server", b"x-request-id", b"x-content-type-options", b"ratelimit", b"ratelimit-policy")
)
DIGITS = re.compile(rb"[0-9]{1,15}")

Headers = list[tuple[bytes, bytes]]


class Exchange:
    """What was asked, read once, and how it is answered."""

    __slots__ = (
        "address",
        "body_read",
        "chunked",
        "client",
        "fields",
        "forward",
        "length",
        "method",
        "path",
        "rate",
        "receive",
        "request_id",
        "route",
        "scope",
        "send",
        "status",
        "subject",
        "target",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.method: str = scope["method"]
        self.path = self.route = self.subject = ""
        client = scope.get("client")
        self.address: str = client[0] if client else "unknown"
        # Who stands for this request where requests are counted: the token's subject, else the address.
        self.client = ""
        self.target = self.forward = b""
        self.status = 0
        self.length, self.chunked = 0, False
        # Of a field that is there twice the first one counts, as it does in the services.
        self.fields: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.request_id = _request_id(self.fields.get(b"x-request-id", b"").decode("latin-1"))
        # How the caller stands with the limits, for the answer's headers.
        self.rate: tuple[tuple[bytes, bytes], ...] = ()
        self.body_read = False

    def read_headers(self) -> None:
        """Take the headers apart: what we need, and what goes on to the service."""
        raw, fields = self.scope["headers"], self.fields
        if len(raw) > HEADER_COUNT or sum([len(name) + len(value) for name, value in raw]) > HEADER_BYTES:
            raise HeadersTooLarge
        length = fields.get(b"content-length", b"0")
        if not DIGITS.fullmatch(length):
            raise MalformedRequest
        self.length, self.chunked = int(length), b"transfer-encoding" in fields
        self.body_read = not self.has_body
        dropped = NOT_FORWARDED
        if b"connection" in fields:
            dropped |= _named(raw)
        passed = [header for header in raw if header[0] not in dropped and not header[0].startswith(FORWARDED)]
        passed.append((b"x-forwarded-for", self.address.encode()))
        passed.append((b"x-request-id", self.request_id.encode()))
        self.forward = _lines(passed)

    @property
    def has_body(self) -> bool:
        """Whether the caller sends a body."""
        return self.chunked or self.length > 0

    async def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer with a body that is at hand."""
        await self.begin(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self.status = status
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += self.rate
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def hung_up(self) -> None:
        """Wait until the caller is gone; the body must have been read, or there is none."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def problem_document(self, problem: Problem) -> tuple[Headers, bytes]:
        """The headers and the body of a refusal."""
        own = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        body = msgspec.json.encode(problem.body())
        fixed = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
        return [*fixed, (b"content-length", str(len(body)).encode()), *own], body

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem document."""
        headers, body = self.problem_document(problem)
        await self.begin(problem.status, headers)
        await self.send({"type": "http.response.body", "body": body})


def _request_id(given: str) -> str:
    """The caller's own number for the request, if it is fit to be logged; else one that looks like a UUID."""
    if not REQUEST_ID.fullmatch(given):
        made = f"{getrandbits(128):032x}"
        given = f"{made[:8]}-{made[8:12]}-4{made[13:16]}-a{made[17:20]}-{made[20:]}"
    request_id.set(given)
    return given


def _named(headers: Headers) -> frozenset[bytes]:
    """What ``Connection`` says is for the next hop alone."""
    values = [value for name, value in headers if name == b"connection"]
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))


def _lines(headers: Headers) -> bytes:
    """Header fields as they are sent, each on a line of its own."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if not lines.isascii():
        try:
            lines.decode()
        except UnicodeDecodeError:
            raise MalformedRequest("请求头只能使用 UTF-8 文字。") from None
    # The server lets no line end through; if it did, one field would be two to the service.
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise MalformedRequest
    return lines


def passed_back(raw: Headers, origin: bytes) -> Headers:
    """A service's headers, their names in small letters, as the caller may see them."""
    fields, dropped = dict(raw), NOT_PASSED_BACK
    if b"connection" in fields:
        dropped |= _named(raw)
    headers = [header for header in raw if header[0] not in dropped]
    if fields.get(b"location", b"").startswith(origin + b"/"):
        # The caller can't reach the service itself: the same path here is the same thing.
        headers = [(name, value.removeprefix(origin) if name == b"location" else value) for name, value in headers]
    if b"cache-control" not in fields:
        # Patients' bills have no business in the caches of shared computers.
        headers.append((b"cache-control", b"no-store"))
    headers.append((b"x-content-type-options", b"nosniff"))
    return headers
