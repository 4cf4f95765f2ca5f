"""Every way the gateway itself says no; a service's own refusals pass through untouched."""

from shared.kit.problems import Problem, TemporarilyUnavailable


class MalformedRequest(Problem):
    status, code, title = 400, "malformed_request", "Not a well-formed request"
    detail = "请求的格式不正确。"


class MalformedPath(MalformedRequest):
    code, title = "malformed_path", "Not a well-formed path"
    detail = "请求的路径不正确。"


class NoSuchPath(Problem):
    status, code, title = 404, "not_found", "No such path"
    detail = "没有这个地址，请查看接口说明 /docs。"


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "Method not allowed"
    detail = "该地址不支持这种请求方法。"


class ClientTooSlow(Problem):
    status, code, title = 408, "request_timeout", "The body did not arrive in time"
    detail = "提交的内容没有及时传完，请用同一幂等键重试。"


class BodyTooLarge(Problem):
    status, code, title = 413, "body_too_large", "The body is too large"
    detail = "提交的内容超过大小限制。"


class UriTooLong(Problem):
    status, code, title = 414, "uri_too_long", "The address is too long"
    detail = "请求地址过长。"


class TooManyRequests(Problem):
    status, code, title = 429, "rate_limited", "Too many requests"
    detail = "请求过于频繁，请按 Retry-After 所示秒数等待后，用同一幂等键重试。"


class TooManyAtOnce(Problem):
    """One caller has as many requests to a service under way as are let through: the others need their places."""

    status, code, title = 429, "too_many_at_once", "Too many requests at once"
    detail = "同时办理的请求过多，请等先前的请求答复后，用同一幂等键重试。"


class HeadersTooLarge(Problem):
    status, code, title = 431, "headers_too_large", "The header fields are too large"
    detail = "请求头过大。"


class TooBusy(TemporarilyUnavailable):
    """As many requests to this service are under way as are let through."""

    detail = "当前办理人数较多，请用同一幂等键稍后重试。"


class ServiceAway(TemporarilyUnavailable):
    """The service refused or broke the connection."""


class UpstreamTimeout(Problem):
    status, code, title = 504, "upstream_timeout", "The service did not answer in time"
    detail = "系统没有及时答复，请用同一幂等键重试，以确认是否已经受理。"


class ClientGone(Exception):
    """The caller hung up; there is nobody to answer."""
