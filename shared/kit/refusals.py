"""How a service answers what went wrong: every refusal, expected or not, is a problem document."""

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.kit.database import is_transient
from shared.kit.log import log
from shared.kit.problems import (
    InternalError,
    Invalid,
    NotFound,
    Problem,
    TemporarilyUnavailable,
    Unauthenticated,
    field_errors,
)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kinds = {404: NotFound(), 401: Unauthenticated()}
    if known := kinds.get(error.status_code):
        return known.response()
    problem = Problem(headers=error.headers or {})
    body = {**problem.body(), "status": error.status_code, "title": str(error.detail), "code": "method_not_allowed"}
    if error.status_code != 405:
        body["code"] = "bad_request"
    return Response(
        msgspec.json.encode(body), error.status_code, headers=problem.headers, media_type="application/problem+json"
    )


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return Invalid(field_errors(error.errors())).response()


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def on_anything(_: Request, error: Exception) -> Response:
    """The answer to what nobody foresaw."""
    # Exception texts of PostgreSQL carry row values: only the kind and the place are logged.
    if is_transient(error):
        log("warning", "temporarily_unavailable", error_type=type(error).__name__)
        return TemporarilyUnavailable().response()
    log("error", "internal_error", error_type=type(error).__name__, where=_where(error))
    return InternalError().response()


def _where(error: BaseException) -> str:
    trace, places = error.__traceback__, []
    while trace:
        code = trace.tb_frame.f_code
        if "site-packages" not in code.co_filename:
            places.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return " > ".join(places[-4:]) + (f" [{state}]" if state else "")


def speak_problems(app: FastAPI) -> None:
    """Let an app answer every refusal, expected or not, as a problem document."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(DBAPIError, on_anything)
    app.add_exception_handler(Exception, on_anything)
