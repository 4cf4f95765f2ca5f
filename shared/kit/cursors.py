"""Pages of lists: a bounded size and a signed cursor that belongs to one caller, one scope and one filter."""

import base64
import binascii
import hmac
import json
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query as QueryParameter
from fastapi.routing import APIRoute

from shared.kit.caller import SignedIn
from shared.kit.idempotency import content_hash
from shared.kit.problems import FieldError, Invalid, Problem, pointer
from shared.kit.sealing import Keyring

LIMIT = 200
CURSOR_LENGTH = 500


class CursorInvalid(Problem):
    status, code, title = 400, "cursor_invalid", "The cursor does not belong to this list"
    detail = "翻页标记无效：请从第一页重新查询。"


class Page:
    """One page of a list: how many rows at most, after which position."""

    def __init__(self, keyring: Keyring, bound_to: bytes, limit: int, cursor: str | None) -> None:
        self.keyring, self.bound_to, self.limit = keyring, bound_to, limit
        self.after: list[int] | None = self._opened(cursor) if cursor is not None else None

    def _opened(self, cursor: str) -> list[int]:
        if len(cursor) > CURSOR_LENGTH:
            raise CursorInvalid
        try:
            raw = base64.urlsafe_b64decode(cursor.encode())
            signature, body = raw[:16], raw[16:]
            if not hmac.compare_digest(signature, self.keyring.sign(body + self.bound_to)):
                raise CursorInvalid
            position: list[int] = json.loads(body)
        except (ValueError, binascii.Error, UnicodeError):
            raise CursorInvalid from None
        return position

    def cursor(self, *position: int) -> str:
        """The cursor to what follows this position."""
        body = json.dumps(position).encode()
        return base64.urlsafe_b64encode(self.keyring.sign(body + self.bound_to) + body).decode()

    def answer(self, rows: list[Any], items: list[Any], position: str = "seq") -> dict[str, Any]:
        """A list's answer from one row more than the limit was asked for."""
        more = len(rows) > self.limit
        last = getattr(rows[self.limit - 1], position) if more else None
        return {"items": items[: self.limit], "next_cursor": self.cursor(last) if last is not None else None}


async def _page(
    request: Request,
    caller: SignedIn,
    limit: Annotated[int, Query(ge=1, le=LIMIT, description="每页条数")] = 50,
    cursor: Annotated[str | None, Query(description="上一页答复的 next_cursor")] = None,
) -> Page:
    filters = sorted((k, v) for k, v in request.query_params.multi_items() if k not in ("limit", "cursor"))
    bound_to = content_hash([caller.subject, caller.scope(), request.url.path, filters])
    return Page(request.app.state.keyring, bound_to, limit, cursor)


Paging = Annotated[Page, Depends(_page)]


# A route lives as long as its app, so its identity is a safe key.
_known: dict[int, frozenset[str]] = {}


async def known_parameters_only(request: Request) -> None:
    """A misspelt filter would silently show everything: an unknown query parameter is refused."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    if id(route) not in _known:
        fields = get_flat_params(route.dependant)
        _known[id(route)] = frozenset(field.alias for field in fields if isinstance(field.field_info, QueryParameter))
    known = _known[id(route)]
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise Invalid([FieldError(pointer([name]), "unknown_parameter", "不认识的查询条件。") for name in unknown])
    # Text the database can't hold; in a body it is refused by the JSON reader.
    if empty := [name for name, value in request.query_params.multi_items() if "\x00" in value]:
        raise Invalid([FieldError(pointer([name]), "format_invalid", "格式不正确。") for name in empty])
