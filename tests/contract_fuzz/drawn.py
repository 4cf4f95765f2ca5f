"""Requests drawn by Schemathesis, led to records that exist and to bodies that get past the first check."""

import copy
from collections.abc import Mapping
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode, SerializationContext

from tests.contract_fuzz.malformed import Spoiler
from tests.contract_fuzz.wire import Asked

ORIGIN = "http://gateway"
Operation = APIOperation[Any, Any, Any, Any]


@schemathesis.serializer("application/x-ndjson")
def as_lines(_: SerializationContext, value: Any) -> bytes:
    """A batch is a text; Schemathesis knows no NDJSON."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@st.composite
def graft(draw: st.DrawFn, stock: Any, scion: Any) -> Any:
    """The stock with some parts of the scion in their places: mostly right, and wrong somewhere deep."""
    if not isinstance(stock, dict) or not isinstance(scion, dict):
        return scion
    grown = copy.deepcopy(stock)
    for name in sorted(scion, key=str):
        if isinstance(stock.get(name), dict):
            grown[name] = draw(graft(stock[name], scion[name]))
        elif not draw(st.integers(0, 4)):
            grown[name] = scion[name]
    return grown


@st.composite
def some_fields(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """A patch: a few fields of a whole record."""
    names = draw(st.lists(st.sampled_from(sorted(body)), max_size=3, unique=True))
    return {name: body[name] for name in names}


@st.composite
def requests_of(draw: st.DrawFn, operation: Operation, mode: GenerationMode, spoiler: Spoiler) -> Asked:
    """One request of an operation; ``mode`` says whether its schema would take it."""
    case = draw(operation.as_strategy(generation_mode=mode))
    declared = {one["name"]: one["in"] for one in spoiler.operation.get("parameters", [])}
    pair = draw(st.sampled_from(spoiler.pairs)) if draw(st.booleans()) else {}
    for container in (case.path_parameters, case.query):
        for name in sorted(container or {}):
            values = [pair[name]] if name in pair else spoiler.known.get(name, [])
            # Two of three lead to something; the rest stay as they were drawn.
            if name in pair or (values and draw(st.integers(0, 2))):
                container[name] = draw(st.sampled_from(values))
    # The document lets them be left out; without them nothing behind them is reached.
    if "idempotency-key" in declared and draw(st.integers(0, 4)):
        case.headers["idempotency-key"] = draw(st.uuids(version=4).map(str))
    if "if-match" in declared and draw(st.integers(0, 4)):
        case.headers["if-match"] = spoiler.ETAG
    if spoiler.whole is not None and draw(st.integers(0, 3)):
        case.body = draw(body_of(spoiler, case.body, pair.get("bill_no")))
    return as_sent(case)


@st.composite
def body_of(draw: st.DrawFn, spoiler: Spoiler, drawn: Any, bill_no: str | None) -> Any:
    """A body that is the document's own example but for some parts."""
    if not isinstance(spoiler.whole, dict) or not isinstance(drawn, dict):
        return drawn
    if spoiler.method == "PATCH":
        return draw(some_fields({**spoiler.whole, **drawn}))
    return draw(graft(spoiler.fresh(bill_no or draw(st.integers(0, 10**9))), drawn))


def as_sent(case: Case[Any]) -> Asked:
    """A drawn case in the bytes that go over the connection."""
    kwargs: Mapping[str, Any] = case.as_transport_kwargs(base_url=ORIGIN)
    kept = {name: kwargs.get(name) for name in ("method", "url", "headers", "params", "data", "json", "cookies")}
    ready = requests.Request(**kept).prepare()
    headers = {name: _text(value) for name, value in ready.headers.items() if name.lower() != "content-length"}
    body = ready.body.encode() if isinstance(ready.body, str) else ready.body
    assert body is None or isinstance(body, bytes), "nothing is streamed"
    return Asked(str(ready.method), str(ready.path_url), headers, body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
