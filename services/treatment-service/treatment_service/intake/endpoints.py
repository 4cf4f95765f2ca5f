"""Where hospitals' bills come in: single ones at a door before the framework, batches through it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, FastAPI, Header, Request, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shared.bills.form import EXAMPLE
from shared.kit import clock, idempotency
from shared.kit.caller import Caller, allowed, caller_of, reason_of
from shared.kit.combiner import NotWritten, TooMuchWaiting
from shared.kit.database import after_commit
from shared.kit.idempotency import Once
from shared.kit.problems import Problem, TemporarilyUnavailable
from shared.kit.scope import Scope
from shared.kit.strict_json import BODY_LIMIT, MIB, StrictRoute, UnsupportedMediaType, read_body
from shared.kit.tokens import TokenVerifier, bearer
from shared.kit.waits import preferred_seconds
from treatment_service.intake import service
from treatment_service.intake.formats import bill as bills
from treatment_service.intake.formats import ndjson
from treatment_service.intake.service import Asker, Desk, Draft, Known

PATH = "/treatment/v1/discharges"
REPORTERS = frozenset(("hospital", "hrss"))
BATCH_LIMIT = 16 * MIB
MOST_ASKERS = 10_000
PREFER_LENGTH = 200
HEADERS = frozenset(
    b"authorization content-length content-type idempotency-key prefer x-forwarded-for x-reason".split(b" ")
)


class Asked(NamedTuple):
    """What the head of a request asks: who, under which key, waiting how long."""

    asker: Asker
    key: str
    wait: int


class _Route:
    """What the log calls the route."""

    path = PATH


class Door:
    """Takes a hospital's bill where all is clear: who asks, what is sent, and that it is new.

    It answers only 201, and 503 when bills come faster than the disk takes them. Whatever else a request may be goes on
    to the framework's route as it came, unread or read again: there, and only there, refusals find their words.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._askers: dict[bytes, tuple[str, dict[str, Any], Asker]] = {}

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        if connection["type"] != "http" or connection["path"] != PATH or connection["method"] != "POST":
            await self.app(connection, receive, send)
            return
        state = connection["app"].state
        asked = await self._asked(connection, state.verifier)
        if asked is None:
            await self.app(connection, receive, send)
            return
        came, body = await _body(receive)
        connection["route"] = _Route
        try:
            taken = body is not None and await _take(state.desk, asked, body, send)
        except TooMuchWaiting:
            await TemporarilyUnavailable().response()(connection, receive, send)
            return
        if not taken:
            await self.app(connection, _again(came, receive), send)

    async def _asked(self, connection: Connection, verifier: TokenVerifier) -> Asked | None:
        """What the head asks, if it is clear."""
        found = _headers(connection["headers"])
        if connection["query_string"] or found is None or not _is_json(found.get(b"content-type", b"")):
            return None
        length, prefer = found.get(b"content-length", b"0"), found.get(b"prefer", b"")
        if not length.isdigit() or int(length) > BODY_LIMIT or len(prefer) > PREFER_LENGTH:
            return None
        try:
            key = idempotency.checked_key(found.get(b"idempotency-key", b"").decode("latin-1"))
            asker = await self._asker(verifier, found.get(b"authorization", b""))
            reason = reason_of(found[b"x-reason"].decode("latin-1")) if b"x-reason" in found else ""
        except Problem:
            return None
        if asker is None:
            return None
        client = connection.get("client")
        address = found.get(b"x-forwarded-for", b"").decode("latin-1").split(",")[0].strip()
        asker = asker._replace(address=address or (client[0] if client else ""), reason=reason)
        return Asked(asker, key, preferred_seconds(prefer.decode("latin-1")) if prefer else 0)

    async def _asker(self, verifier: TokenVerifier, authorization: bytes) -> Asker | None:
        """Who bears this token, if it is a hospital's; what follows from its claims is worked out once."""
        token, known, asker = self._askers.get(authorization, ("", None, None))
        claims = await verifier.claims(token or bearer(authorization.decode("latin-1")))
        if asker is None or known is not claims:
            caller = caller_of(claims)
            if not caller.has("hospital") or not caller.institution_code:
                return None
            own, caller = caller.institution_code, replace(caller, admitted=caller.roles & REPORTERS)
            scope = Scope.of(caller)
            if scope != Scope(institution=own, subject=caller.subject):
                # Somebody of the county too: `RECORD` binds its rows to a hospital and to nothing else.
                return None
            asker = Asker(caller, scope, " ".join(sorted(caller.roles)), own)
            if len(self._askers) >= MOST_ASKERS:
                self._askers.clear()
            self._askers[authorization] = (bearer(authorization.decode("latin-1")), claims, asker)
        return asker


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes] | None:
    """The headers that matter here; None if one of them stands twice."""
    found: dict[bytes, bytes] = {}
    for name, value in raw:
        if name in HEADERS:
            if name in found:
                return None
            found[name] = value
    return found


def _is_json(kind: bytes) -> bool:
    if kind == b"application/json":
        return True
    plain = kind.split(b";")[0].strip().lower()
    return plain == b"application/json" or plain.endswith(b"+json")


async def _body(receive: Receive) -> tuple[list[Message], bytes | None]:
    """What came, and the whole body; None if it is too large or broke off."""
    came, size = [], 0
    while True:
        message = await receive()
        came.append(message)
        if message["type"] != "http.request":
            return came, None
        size += len(message.get("body", b""))
        if size > BODY_LIMIT:
            return came, None
        if not message.get("more_body", False):
            return came, b"".join([each.get("body", b"") for each in came])


def _again(came: list[Message], receive: Receive) -> Receive:
    """What came already, for another reader, and then what is still to come."""
    waiting = iter(came)

    async def again() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return again


async def _take(desk: Desk, asked: Asked, body: bytes, send: Send) -> bool:
    """Record the bill and answer, if it is clear and new; otherwise nothing of it is kept and nothing is sent."""
    read = bills.read(body)
    asker = asked.asker
    if read is None or not service.clear(read, asker.institution_code, clock.today()):
        return False
    key = idempotency.kept_key(desk.keyring, asked.key)
    if idempotency.in_hand(asker.caller.subject, PATH, key):
        return False
    draft = Draft.of(read, desk.keyring)
    try:
        said = await desk.record(draft, asker, PATH, key, asked.wait)
    except (Known, NotWritten):
        return False
    headers = [
        (b"content-length", b"%d" % len(said)),
        (b"location", f"{PATH}/{draft.discharge_id}".encode()),
        (b"content-type", b"application/json"),
    ]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": said})
    return True


@asynccontextmanager
async def open_desk(app: FastAPI) -> AsyncIterator[None]:
    """The desk of this process, as long as it runs."""
    async with Desk(app.state.database, app.state.keyring, app.state.waits) as app.state.desk:
        yield


router = APIRouter(prefix=PATH, tags=["discharges 出院结算单"], route_class=StrictRoute)
Reporter = Annotated[Caller, allowed(*REPORTERS)]


@router.post(
    "/batch",
    summary="成批报送（NDJSON，每行一份）",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string", "description": "每行一份结算单，最多 5000 行"},
                    "example": msgspec.json.encode(EXAMPLE).decode(),
                }
            },
        }
    },
)
async def record_batch(
    request: Request,
    caller: Reporter,
    idempotency_key: Annotated[str | None, Header(description="幂等键", max_length=1000)] = None,
) -> Response:
    """Record up to 5,000 bills. One line of answer for each line, in order, when all is committed.

    A bad line does not stop the others. 413 `too_many_lines` above 5,000.
    """
    key = idempotency.checked_key(idempotency_key)
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
        raise UnsupportedMediaType("Content-Type 应为 application/x-ndjson。")
    raw = await read_body(request, BATCH_LIMIT)
    state = request.app.state
    database, desk = state.database, state.desk
    async with desk.batches:
        lines = await ndjson.read(raw, caller)
        once = await asyncio.to_thread(Once.of, state.keyring, request.url.path, key, raw)
        known: Mapping[Any, Any] = {}
        async with database.transaction(Scope.of(caller)) as session:
            replay = await once.claim(session, caller)
            if replay is None:
                outcomes, said = await service.record_batch(session, caller, state.keyring, lines)
                kept, known = await ndjson.kept(outcomes)
                after_commit(session, lambda: database.said(said))
                await once.keep(session, caller, 200, lines=kept)
            else:
                kept = replay.ids["lines"]
        async with database.transaction(Scope.of(caller)) as session:
            body = await ndjson.answer(session, caller, kept, known)
    headers = {"Idempotency-Replayed": "true"} if replay is not None else {}
    return Response(body, 200, headers=headers, media_type="application/x-ndjson")
