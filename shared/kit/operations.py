"""What operators of any service may ask: is it well, what failed, what was not heard."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from sqlalchemy import select
from starlette.responses import JSONResponse

from shared.kit import clock
from shared.kit.audit import record
from shared.kit.bus import BusAway
from shared.kit.caller import Caller, allowed, public
from shared.kit.cursors import Paging
from shared.kit.database import Database, DeadLetterRow, ServiceSession, Session, is_transient
from shared.kit.events import Envelope
from shared.kit.fields import Answer, Moment
from shared.kit.inbox import Consumer, hear_once
from shared.kit.problems import NotFound, Problem, TemporarilyUnavailable
from shared.kit.reconciliation import waiting_to_be_said
from shared.kit.strict_json import StrictRoute
from shared.kit.worker import Worker

READY_SECONDS = 2.0


class StillFails(Problem):
    status, code, title = 409, "replay_failed", "The event failed again"
    detail = "该事件重放仍然失败，原件保留，请先排除原因。"


class DeadLetterRead(Answer):
    """An event that kept failing. Its content is not shown: an operator has no need of patients' data."""

    event_id: UUID
    subject: str
    deliveries: int
    error_type: str
    died_at: Moment
    replayed_at: Moment | None
    replayed_by: str | None


class DeadLetterPage(BaseModel):
    items: list[DeadLetterRead]
    next_cursor: str | None


class EventCount(BaseModel):
    subject: str
    listener: str
    said: int
    messages: int
    heard: int
    missing: int
    replayed: int


class StreamCount(BaseModel):
    stream: str
    messages: int
    first_seq: int
    last_seq: int


class ReconciliationRead(BaseModel):
    """Said, heard and missing, for each event and each listener."""

    service: str
    streams: list[StreamCount]
    events: list[EventCount]


health = APIRouter(include_in_schema=False)


@health.get("/healthz", dependencies=[Depends(public)])
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health.get("/readyz", dependencies=[Depends(public)])
async def ready(request: Request) -> JSONResponse:
    """The database answers; the broker is named but not required: bills are taken while it is away."""
    database: Database = request.app.state.database
    checks: dict[str, Any] = {"event_channel": bool(request.app.state.bus.connected)}
    try:
        async with asyncio.timeout(READY_SECONDS):
            checks["database"] = await database.answers()
            checks["events_waiting"] = await waiting_to_be_said(database)
    except Exception as error:
        if not is_transient(error):
            raise
        checks["database"] = False
    well = checks["database"]
    status = ("ok" if checks["event_channel"] else "degraded") if well else "unavailable"
    return JSONResponse({"status": status, **checks}, 200 if well else 503)


def operations(prefix: str, tag: str) -> APIRouter:
    """Dead letters and reconciliation of one service."""
    router = APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)

    @router.get("/dead-letters", response_model=DeadLetterPage, summary="多次处理失败的事件")
    async def list_dead_letters(
        session: ServiceSession, page: Paging, _: Annotated[Caller, allowed("administrator")]
    ) -> Any:
        """Events that kept failing, newest first, without their content."""
        query = select(DeadLetterRow).order_by(DeadLetterRow.seq.desc()).limit(page.limit + 1)
        if page.after:
            query = query.where(DeadLetterRow.seq < page.after[0])
        rows = list(await session.scalars(query))
        return page.answer(rows, [DeadLetterRead.model_validate(row) for row in rows])

    @router.post("/dead-letters/{event_id}/replay", response_model=DeadLetterRead, summary="重放失败事件")
    async def replay_dead_letter(
        event_id: UUID, request: Request, session: ServiceSession, caller: Annotated[Caller, allowed("administrator")]
    ) -> Any:
        """Let the service act on the event now. 409 `replay_failed` when it fails again; the letter stays."""
        letter = await session.scalar(select(DeadLetterRow).where(DeadLetterRow.event_id == event_id).with_for_update())
        if letter is None:
            raise NotFound
        worker: Worker = request.app.state.worker
        consumers: dict[str, Consumer] = {c.event.subject: c for c in worker.wiring.hears}
        try:
            async with session.begin_nested():
                await hear_once(session, Envelope.from_bytes(letter.payload), consumers)
        except Exception as error:
            if is_transient(error):
                raise
            raise StillFails from None
        letter.replayed_at, letter.replayed_by = clock.now(), caller.subject
        record(session, caller, "replayed", "dead_letter", event_id)
        return letter

    @router.post("/reconciliation", response_model=ReconciliationRead, summary="核对并补发事件")
    async def reconcile(request: Request, session: Session, caller: Annotated[Caller, allowed("administrator")]) -> Any:
        """Compare outbox, stream and the listeners' inboxes; publish again what was not heard."""
        record(session, caller, "reconciled", "events", prefix)
        worker: Worker = request.app.state.worker
        try:
            return await worker.reconciliation.compare()
        except BusAway:
            raise TemporarilyUnavailable("事件通道暂时不可用，请稍后再核对。") from None

    return router
