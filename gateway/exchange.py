"""One request and its answer, without the objects of a web framework: this is the hot path."""

import re
from collections.abc import Iterable
from uuid import uuid4

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.errors import HeadersTooLarge, MalformedRequest
from shared.kit.log import request_id
from shared.kit.problems import Problem
from shared.kit.service import REQUEST_ID

HEADER_BYTES = 32 * 1024
HEADER_COUNT = 100
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade http2-settings".split()
)
# What the gateway says itself, so that nobody can say it in its stead.
OURS = frozenset(b"host content-length expect forwarded x-request-id x-real-ip".split())
NOT_FORWARDED = HOP_BY_HOP | OURS
NOT_PASSED_BACK = HOP_BY_HOP | frozenset(
    (b"date", b"server", b"x-request-id", b"x-content-type-options", b"ratelimit", b"ratelimit-policy")
)
HARMLESS = frozenset((b"keep-alive", b"close", b""))
DIGITS = re.compile(rb"[0-9]{1,15}")

Headers = list[tuple[bytes, bytes]]


class Exchange:
    """What was asked, read once, and how it is answered."""

    __slots__ = (
        "authorization",
        "body_read",
        "chunked",
        "client",
        "forward",
        "idempotency_key",
        "length",
        "method",
        "path",
        "rate",
        "receive",
        "request_id",
        "route",
        "send",
        "status",
        "subject",
        "target",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.receive, self.send = receive, send
        self.method: str = scope["method"]
        self.path = self.route = self.subject = ""
        # Who stands for this request where requests are counted: the token's subject, else the address.
        self.client = ""
        self.target = self.forward = b""
        self.status = 0
        self.length, self.chunked = 0, False
        self.authorization: str | None = None
        self.idempotency_key = False
        self.request_id = _request_id(scope["headers"])
        # How the caller stands with the limits, for the answer's headers.
        self.rate: tuple[tuple[bytes, bytes], ...] = ()
        self.body_read = False

    def read_headers(self, scope: Scope) -> None:
        """Take the headers apart: what we need, and what goes on to the service."""
        size, named = 0, frozenset[bytes]()
        raw: Headers = scope["headers"]
        passed: Headers = []
        for header in raw:
            name, value = header
            size += len(name) + len(value)
            if name not in NOT_FORWARDED:
                if name == b"authorization" and self.authorization is None:
                    self.authorization = value.decode("latin-1")
                elif name == b"idempotency-key":
                    self.idempotency_key = True
                elif name.startswith(b"x-forwarded-"):
                    continue
                passed.append(header)
            elif name == b"content-length":
                self.length = _length(value)
            elif name == b"transfer-encoding":
                self.chunked = True
            elif name == b"connection" and value.lower() not in HARMLESS:
                named |= {token.strip().lower() for token in value.split(b",")}
        if size > HEADER_BYTES or len(raw) > HEADER_COUNT:
            raise HeadersTooLarge
        if named:
            passed = [header for header in passed if header[0] not in named]
        client = scope.get("client")
        passed.append((b"x-forwarded-for", client[0].encode() if client else b"unknown"))
        passed.append((b"x-request-id", self.request_id.encode()))
        self.forward = _lines(passed)
        self.body_read = not self.has_body

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


def _request_id(headers: Headers) -> str:
    given = next((value for name, value in headers if name == b"x-request-id"), b"").decode("latin-1")
    this = given if REQUEST_ID.fullmatch(given) else str(uuid4())
    request_id.set(this)
    return this


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


def _length(value: bytes) -> int:
    if not DIGITS.fullmatch(value):
        raise MalformedRequest
    return int(value)


def passed_back(raw: Iterable[tuple[bytes, bytes]], origin: bytes) -> Headers:
    """A service's headers, their names in small letters, as the caller may see them."""
    headers: Headers = []
    named, cached = frozenset[bytes](), False
    for name, value in raw:
        if name in NOT_PASSED_BACK:
            if name == b"connection" and value.lower() not in HARMLESS:
                named |= {token.strip().lower() for token in value.split(b",")}
            continue
        if name == b"location" and value.startswith(origin + b"/"):
            # The caller can't reach the service itself: the same path here is the same thing.
            value = value[len(origin) :]
        cached = cached or name == b"cache-control"
        headers.append((name, value))
    if named:
        headers = [header for header in headers if header[0] not in named]
    if not cached:
        # Patients' bills have no business in the caches of shared computers.
        headers.append((b"cache-control", b"no-store"))
    headers.append((b"x-content-type-options", b"nosniff"))
    return headers
