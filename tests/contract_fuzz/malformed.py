"""What no schema would draw: broken bodies, headers, paths and queries, the same for every operation."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tests.contract_fuzz.wire import Asked

# A marked number of nobody: it must come back in no problem and no log line, wherever it was sent.
MARKED = "450223199901010007"
ID = "00000000-0000-4000-8000-000000000000"
BODIES: tuple[bytes, ...] = (
    b"",
    b"null",
    b"[]",
    b"0",
    b'""',
    b"true",
    b"{",
    b'{"a":1,}',
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":-Infinity}',
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":"\\u0000"}',
    b'{"\\u0000":1}',
    b'{"a":"\\ud800"}',
    b'{"\\ud800":1}',
    b'{"a":"\xff"}',
    b"\xef\xbb\xbf{}",
    b"\x00" * 10,
    b"[" * 100_000,
    b'{"a":' * 33 + b"1" + b"}" * 33,
    b'{"__proto__":{"a":1},"constructor":null}',
    json.dumps({MARKED: MARKED, "identity_number": [MARKED]}).encode(),
    b"grant_type=password&username=%00&password=x",
    b"grant_type=client_credentials&client_id=%ff&client_secret=" + b"x" * 3000,
    b"grant_type=refresh_token&refresh_token=" + b"%F0%9F%98%80" * 9,
    b"a=1&" * 30,
    b"\n\n\n",
    b'{}\n[]\n1\nnull\n"\xff"\n{"a":\n' + b"[" * 5000,
    b"x" * 70_000,
)
# What stands in place of one leaf of a good body.
LEAVES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    " ",
    "x" * 5000,
    "\u0000",
    "'; drop table x; --",
    "\u202e𝟙١",
    "0000-00-00",
    "0001-01-01",
    "9999-12-31",
    "2018-02-29",
    "99999999999999.99",
    "-0.01",
    [],
    {},
    [None],
    {"a": 1},
    MARKED,
)
HEADERS: tuple[dict[str, str], ...] = (
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=gbk"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "中文"},
    {"Content-Type": ""},
    {"Content-Encoding": "gzip"},
    {"Accept": "text/html"},
    {"Accept-Encoding": "gzip, br"},
    {"Idempotency-Key": ""},
    {"Idempotency-Key": "键"},
    {"Idempotency-Key": "k" * 256},
    {"Idempotency-Key": "k" * 2000},
    {"Idempotency-Key": MARKED},
    {"If-Match": "*"},
    {"If-Match": "1"},
    {"If-Match": '"'},
    {"If-Match": 'W/"1"'},
    {"If-Match": '"99999999999999999999999"'},
    {"If-Match": '"１"'},
    {"If-Match": '"-1"'},
    {"If-Match": '"1", "2"'},
    {"If-None-Match": "*"},
    {"Prefer": "wait=-1"},
    {"Prefer": "wait=１"},
    {"Prefer": "w" * 300},
    {"X-Request-Id": MARKED + "é"},
    {"X-Forwarded-For": "'"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"Range": "bytes=0-1"},
    {"Expect": "100-continue"},
    {"Cookie": "a=b"},
    {"X-Long": "x" * 33_000},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer x.y.z"},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
    {"Authorization": "Bearer " + "x" * 9000},
    {"Authorization": "Bearer é.é.é"},
    {"Authorization": "Basic OjpmZjo="},
    {"Authorization": "Basic !"},
)
VALUES: tuple[str, ...] = (
    "",
    "%20",
    "0",
    "-1",
    "1e3",
    "true",
    "null",
    "%00",
    "%2F",
    "%2e%2e",
    "..",
    "%ff",
    "%",
    "%zz",
    "%F0%9F%98%80",
    quote("'; drop table x; --"),
    "x" * 1500,
    "x" * 5000,
    MARKED,
    ID,
    ID.upper(),
    ID.replace("-", ""),
    "urn:uuid:" + ID,
    "%7B" + ID + "%7D",
    "0001-01-01",
    "9999-12-31",
    "2018-02-29",
    "2018-08-11T00:00:00",
    "1534000000",
    "99999999999999999999",
    "a%0d%0aX:1",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")


def fill(path: str, known: Mapping[str, list[str]], **instead: str) -> str:
    """A path with ids of records that exist, or what is given instead."""
    for name in [part.strip("{}") for part in path.split("/") if part.startswith("{")]:
        path = path.replace("{" + name + "}", instead.get(name, known.get(name, [ID])[0]))
    return path


def places(body: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a body that hold something."""
    if place:
        yield place
    if isinstance(body, dict | list):
        for key in body if isinstance(body, dict) else range(len(body)):
            yield from places(body[key], (*place, key))


def replaced(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of a body with another value in one place."""
    copied = json.loads(json.dumps(body))
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return copied


def example_of(operation: Mapping[str, Any]) -> Any:
    """The document's own example of a body, if it has one."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            return content["example"]
        return next((named["value"] for named in content.get("examples", {}).values()), None)
    return None


class Spoiler:
    """One operation's good request, spoilt in one place at a time."""

    # Stands for the record's ETag of that moment (`Fuzz.send`).
    ETAG = '"now"'

    def __init__(self, document: Mapping[str, Any], path: str, method: str, known: Mapping[str, list[str]]) -> None:
        self.path, self.method, self.known = path, method.upper(), known
        self.operation: dict[str, Any] = document["paths"][path][method]
        self.kind = next(iter(self.operation.get("requestBody", {}).get("content", {})), None)
        self.example = example_of(self.operation)
        # A patch may name any field of the record that its collection takes.
        collection = document["paths"].get(path.rpartition("/")[0], {}).get("post", {})
        self.whole = example_of(collection) if self.method == "PATCH" else self.example
        # A decision is found below its own settlement only, and a bill is corrected under its own number.
        together = zip(known.get("decided_id", []), known.get("decision_id", []), strict=True)
        wanted = [{"settlement_id": settlement, "decision_id": decision} for settlement, decision in together]
        self.pairs: list[dict[str, str]] = wanted if "{decision_id}" in path else [{}]
        if path.endswith("/corrections"):
            bills = zip(known.get("own_id", []), known.get("own_bill_no", []), strict=True)
            self.pairs = [{"discharge_id": discharge, "bill_no": number} for discharge, number in bills]
        self._count = 0

    def good(self) -> Asked:
        """The document's own example, for a record that exists."""
        return self._asked(body=self.written(self.example))

    def fresh(self, number: int | str) -> Any:
        """The example under another number, so that it is not the same thing again."""
        body = json.loads(json.dumps(self.whole))
        bill = body.get("bill", body)
        if "bill_no" in bill:
            bill["bill_no"] = f"F-{number}" if isinstance(number, int) else number
        return body

    def written(self, body: Any) -> bytes | None:
        """A body in this operation's media type."""
        if self.kind is None or body is None:
            return None
        if self.kind.endswith("urlencoded"):
            return urlencode(body).encode()
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def every(self) -> Iterator[Asked]:
        """Each way of spoiling it."""
        good = self.written(self.example)
        yield from (self._asked(body=body) for body in BODIES)
        yield from (self._asked(body=good, **more) for more in HEADERS)
        for name in self._names("path"):
            yield from (self._asked(body=good, target=fill(self.path, self.known, **{name: v})) for v in VALUES)
        target = fill(self.path, self.known)
        for name in [*self._names("query"), "unknown", MARKED, quote("未知")]:
            yield from (self._asked(body=good, target=f"{target}?{name}={value}") for value in VALUES)
            yield self._asked(body=good, target=f"{target}?{name}=1&{name}=2")
        yield from self._piece_by_piece()

    def other_methods(self, declared: set[str]) -> Iterator[Asked]:
        """The same, without a body, under every method the document does not know at this path."""
        yield from (self._asked(body=None, method=method) for method in METHODS if method not in declared)

    def _piece_by_piece(self) -> Iterator[Asked]:
        """A good body with each of its parts replaced by each thing it can't be."""
        if not isinstance(self.whole, dict) or not str(self.kind).endswith("json"):
            return
        for place in places(self.whole):
            for number, value in enumerate(LEAVES):
                body = replaced(self.fresh(number), place, value)
                if self.method == "PATCH":
                    body = {place[0]: body[place[0]]}
                yield self._asked(body=json.dumps(body).encode())

    def _names(self, place: str) -> list[str]:
        return [one["name"] for one in self.operation.get("parameters", []) if one["in"] == place]

    def _asked(self, *, body: bytes | None, target: str = "", method: str = "", **headers: str) -> Asked:
        self._count += 1
        given = {name.lower() for name in headers}
        usual = {"Idempotency-Key": f"spoilt-{self.path}-{self._count}", "If-Match": self.ETAG}
        if self.kind is not None:
            usual["Content-Type"] = self.kind
        kept = {name: value for name, value in usual.items() if name.lower() not in given}
        return Asked(method or self.method, target or fill(self.path, self.known), {**kept, **headers}, body)
