"""Every refusal as an RFC 9457 problem: a stable English ``code`` for programs, a Chinese ``detail`` for the clerk.

A problem never repeats what was sent: an identity number must not come back in an error or a log.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import msgspec
from starlette.responses import Response

from shared.kit.fields import FieldError as FieldError
from shared.kit.log import request_id


class Problem(Exception):
    """A refusal. Each service draws its own as a tree of subclasses in ``errors.py``."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "Bad request"
    detail: ClassVar[str] = "请求无法处理。"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.detail)
        self.says = detail or self.detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The problem document."""
        return {
            "type": f"urn:three-batches:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.says,
            "code": self.code,
            "errors": [asdict(error) for error in self.errors],
            "request_id": request_id.get(),
            **self.extra,
        }

    def response(self) -> Response:
        """The problem as an HTTP answer."""
        return Response(
            msgspec.json.encode(self.body()),
            self.status,
            headers={"Cache-Control": "no-store", **self.headers},
            media_type="application/problem+json",
        )


class Unauthenticated(Problem):
    status, code, title = 401, "unauthenticated", "Who is asking?"
    detail = "请先登录或提供有效的访问令牌。"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class RoleNotAllowed(Problem):
    status, code, title = 403, "role_not_allowed", "Not for this role"
    detail = "您的角色无权办理此事项。"


class NotFound(Problem):
    status, code, title = 404, "not_found", "Not found"
    detail = "没有找到，或不在您的管理范围内。"


class PreconditionRequired(Problem):
    status, code, title = 428, "precondition_required", "If-Match is missing"
    detail = "修改前请先读取最新内容，并在 If-Match 中带上其 ETag。"


class PreconditionFailed(Problem):
    status, code, title = 412, "precondition_failed", "Somebody changed it since"
    detail = "此件已由他人修改，请查看最新情况后再提交。"


class TemporarilyUnavailable(Problem):
    status, code, title = 503, "temporarily_unavailable", "Try again shortly"
    detail = "系统暂时不可用，请用同一幂等键稍后重试。"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "2"})


class InternalError(Problem):
    status, code, title = 500, "internal_error", "Our fault"
    detail = "系统内部错误，已记录；请用同一幂等键重试，仍不成功请联系管理员。"


class Invalid(Problem):
    """Wrong fields: all of them in ``errors``, the first one's code as the problem's own."""

    status, title = 422, "The content breaks a rule"

    def __init__(self, errors: list[FieldError], detail: str | None = None, **extra: Any) -> None:
        super().__init__(detail or errors[0].detail, errors=errors, **extra)

    def body(self) -> dict[str, Any]:
        first = self.errors[0].code
        return {**super().body(), "code": first, "type": f"urn:three-batches:problem:{first}"}


FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z_-]{0,63}")
FIELD_CODES = {
    "missing": ("field_missing", "缺少必填项。"),
    "extra_forbidden": ("unknown_field", "不认识的字段。"),
    "literal_error": ("value_unknown", "取值不在规定范围内。"),
    "enum": ("value_unknown", "取值不在规定范围内。"),
    "string_too_long": ("text_too_long", "内容过长。"),
    "string_too_short": ("text_too_short", "内容不能为空。"),
    "string_pattern_mismatch": ("format_invalid", "格式不正确。"),
    "too_long": ("list_too_long", "列表过长。"),
    "too_short": ("list_too_short", "列表不能为空。"),
}


def pointer(location: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901) to the place of an error.

    A name that can't be one of ours stands as ``*``: somebody may have put a person's number or name in its place.
    """
    return "".join(f"/{part if isinstance(part, int) or FIELD_NAME.fullmatch(part) else '*'}" for part in location)


def field_errors(raw: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Pydantic's findings as ours. A rule of our own (`PydanticCustomError`) brings its code and Chinese words."""
    found = []
    for error in raw:
        kind, place = str(error["type"]), tuple(error["loc"])
        where = place[1:] if place and place[0] in ("body", "query", "path", "header") else place
        ours = "." in kind or error.get("ctx", {}).get("ours")
        code, detail = FIELD_CODES.get(kind, ("field_invalid", "内容不正确。"))
        found.append(FieldError(pointer(where), *((kind, str(error["msg"])) if ours else (code, detail))))
    return found
