"""One reader for JSON that arrives: what an ordinary parser lets pass could change an amount of money.

Refused: duplicate keys, NaN and the infinities, nesting over 32, bodies over the limit, text the database can't hold.
A route gets it by ``router = APIRouter(route_class=StrictRoute)``; its body models stay ordinary pydantic models.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared.kit.caller import Allow
from shared.kit.problems import FieldError, Invalid, Problem

MIB = 1024 * 1024
BODY_LIMIT = MIB
MAX_DEPTH = 32


class MalformedJson(Problem):
    status, code, title = 400, "malformed_json", "Not well-formed JSON"
    detail = "提交的内容不是合法的 JSON。"


class DuplicateKey(Problem):
    status, code, title = 400, "duplicate_key", "A key stands twice"
    detail = "同一字段出现了两次，无法判断以哪个为准。"


class NestingTooDeep(Problem):
    status, code, title = 400, "nesting_too_deep", "Nested too deeply"
    detail = "内容嵌套超过 32 层。"


class BodyTooLarge(Problem):
    status, code, title = 413, "body_too_large", "The body is too large"
    detail = "提交的内容超过大小限制。"


class UnsupportedMediaType(Problem):
    status, code, title = 415, "unsupported_media_type", "Not a media type this route takes"
    detail = "Content-Type 应为 application/json。"


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) != len(pairs):
        raise DuplicateKey
    return known


def _refuse_constant(_: str) -> None:
    raise Invalid([FieldError("", "number_not_finite", "数值不能是 NaN 或无穷大。")])


def _check(data: Any) -> None:
    """Depth, and text that PostgreSQL can't hold (NUL, half a surrogate pair)."""
    waiting: list[tuple[Any, int]] = [(data, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, dict):
            if depth > MAX_DEPTH:
                raise NestingTooDeep
            waiting += [(value, depth + 1) for pair in item.items() for value in pair]
        elif isinstance(item, list):
            if depth > MAX_DEPTH:
                raise NestingTooDeep
            waiting += [(value, depth + 1) for value in item]
        elif isinstance(item, str):
            if "\x00" in item:
                raise MalformedJson("文字中有空字符。")
            if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
                raise MalformedJson("文字中有不完整的字符。")


def parse(raw: bytes) -> Any:
    """Strictly parse one JSON text."""
    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except RecursionError:
        raise NestingTooDeep from None
    except ValueError:
        raise MalformedJson from None
    _check(data)
    return data


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body's bytes, refused as soon as they exceed the limit."""
    if int(request.headers.get("content-length") or 0) > limit:
        raise BodyTooLarge
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


class StrictRequest(Request):
    """A request whose ``json()`` is strict and whose body is bounded."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await read_body(self)
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
            if kind != "application/json" and not kind.endswith("+json"):
                raise UnsupportedMediaType
            self._json = parse(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its JSON strictly, and nothing of it before it knows who is asking."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        # The framework reads body and query before it asks the route's dependencies: 401 and 403 would come last.
        gates = [needed.call for needed in self.dependant.dependencies if isinstance(needed.call, Allow)]

        async def strict(request: Request) -> Response:
            for gate in gates:
                await gate(request)
            try:
                return await handle(StrictRequest(request.scope, request.receive))
            except HTTPException as error:
                # The framework turns whatever its body reader raises into a bare 400.
                if isinstance(error.__cause__, Problem):
                    raise error.__cause__ from None
                raise

        return strict
