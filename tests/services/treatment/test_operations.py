"""What operators and auditors of a service see and do; treatment-service stands for all three."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from deploy.settings import Urls
from shared.kit import clock
from shared.kit.database import AuditRow, IdempotencyRow, InboxRow, OutboxRow
from shared.kit.events import Envelope
from shared.kit.idempotency import forget_old_keys
from shared.kit.inbox import bury
from shared.kit.scope import SERVICE
from shared.kit.worker import forget_old_messages
from tests.clients import Client, Issuer, client_of, problem
from tests.services.treatment.conftest import a_bill
from tests.services.treatment.test_after_recording import recorded, settled

OPERATIONS = "/treatment/v1"


@pytest.fixture
def administrator(treatment: FastAPI, issuer: Issuer) -> Client:
    return client_of(treatment, issuer.token("administrator"))


async def test_a_dead_letter_is_listed_without_its_content_and_replayed_once(
    treatment: FastAPI, hospital: Client, administrator: Client
) -> None:
    _, discharge_id = await recorded(hospital)
    envelope = Envelope.around(settled(discharge_id))
    await bury(treatment.state.database, envelope.to_bytes(), envelope.subject, 6, ValueError("secret 450223"))
    listed = (await administrator.get(f"{OPERATIONS}/dead-letters")).json()["items"]
    (letter,) = [item for item in listed if item["event_id"] == str(envelope.event_id)]
    assert set(letter) == {
        "event_id", "subject", "deliveries", "error_type", "died_at", "replayed_at", "replayed_by",
    }  # fmt: skip
    assert letter["error_type"] == "ValueError"
    for _ in range(2):
        answer = await administrator.post(f"{OPERATIONS}/dead-letters/{envelope.event_id}/replay")
        assert (answer.status_code, answer.json()["replayed_by"]) == (200, "test-administrator")
    assert (await hospital.get(f"/treatment/v1/discharges/{discharge_id}")).json()["state"] == "settled"


async def test_a_replay_that_fails_again_keeps_the_letter(treatment: FastAPI, administrator: Client) -> None:
    envelope = Envelope(uuid4(), "safety_net.bill_settled.v1", clock.now(), {"nonsense": True}, "-")
    await bury(treatment.state.database, envelope.to_bytes(), envelope.subject, 6, ValueError())
    path = f"{OPERATIONS}/dead-letters/{envelope.event_id}/replay"
    problem(await administrator.post(path), 409, "replay_failed")
    problem(await administrator.post(path), 409, "replay_failed")
    problem(await administrator.post(f"{OPERATIONS}/dead-letters/{uuid4()}/replay"), 404, "not_found")


async def test_a_replayed_answer_writes_its_audit_row(treatment: FastAPI, hospital: Client) -> None:
    """Its commit then waits for whatever standby the first commit still waits for."""
    bill, key = a_bill(), str(uuid4())

    async def replays() -> int:
        async with treatment.state.database.transaction(SERVICE) as session:
            query = select(func.count()).select_from(AuditRow).where(AuditRow.action == "replayed")
            return int(await session.scalar(query) or 0)

    await hospital.create("/treatment/v1/discharges", bill, key=key)
    before = await replays()
    answer = await hospital.create("/treatment/v1/discharges", bill, key=key)
    assert answer.headers["idempotency-replayed"] == "true"
    assert await replays() == before + 1


async def test_the_audit_trail_is_the_auditors_and_of_their_county(
    treatment: FastAPI, hospital: Client, issuer: Issuer
) -> None:
    _, discharge_id = await recorded(hospital)
    auditor = client_of(treatment, issuer.token("auditor"))
    trail = (await auditor.get(f"{OPERATIONS}/audit", params={"object_id": discharge_id})).json()["items"]
    assert [(row["action"], row["caller"], row["object_type"]) for row in trail] == [
        ("recorded", "county", "discharge")
    ]
    stranger = client_of(treatment, issuer.token("auditor", county_code="150824", subject="far"))
    assert (await stranger.get(f"{OPERATIONS}/audit", params={"object_id": discharge_id})).json()["items"] == []


async def test_the_service_itself_can_neither_change_nor_remove_what_was_done(urls: Urls, treatment: FastAPI) -> None:
    assert treatment
    worker = await asyncpg.connect(urls.service_url)
    for statement in ("update audit set caller = 'x'", "delete from audit", "truncate audit", "drop table audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)
    await worker.close()


async def test_what_was_said_is_kept_35_days_and_keys_30(treatment: FastAPI, hospital: Client) -> None:
    database = treatment.state.database
    await recorded(hospital)
    async with database.transaction(SERVICE) as session:
        rows = list(await session.scalars(select(OutboxRow).order_by(OutboxRow.seq.desc()).limit(3)))
        ages = dict(zip((row.seq for row in rows), (36, 34, None), strict=False))
        for seq, days in ages.items():
            published = None if days is None else clock.now() - timedelta(days=days)
            await session.execute(update(OutboxRow).where(OutboxRow.seq == seq).values(published_at=published))
        keys = list(await session.scalars(select(IdempotencyRow.key).limit(2)))
        for key, days in zip(keys, (31, 29), strict=True):
            kept_at = clock.now() - timedelta(days=days)
            await session.execute(update(IdempotencyRow).where(IdempotencyRow.key == key).values(kept_at=kept_at))
        heard = Envelope.around(settled(str(uuid4()))).event_id
        session.add(InboxRow(event_id=heard, subject="x", heard_at=clock.now() - timedelta(days=40)))
    await forget_old_messages(database)
    await forget_old_keys(database)
    async with database.transaction(SERVICE) as session:
        left = set(await session.scalars(select(OutboxRow.seq).where(OutboxRow.seq.in_(ages))))
        assert left == {seq for seq, days in ages.items() if days != 36}
        assert set(await session.scalars(select(IdempotencyRow.key).where(IdempotencyRow.key.in_(keys)))) == {keys[1]}
        assert await session.get(InboxRow, heard) is not None


async def test_health_names_what_is_missing(treatment: FastAPI) -> None:
    client = client_of(treatment)
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["database"] is True


async def test_request_ids_are_echoed_and_bounded(treatment: FastAPI) -> None:
    client = client_of(treatment)
    assert (await client.get("/healthz", headers={"X-Request-Id": "his-42"})).headers["x-request-id"] == "his-42"
    forged = (await client.get("/healthz", headers={"X-Request-Id": "a b\tc" * 50})).headers["x-request-id"]
    assert "a b" not in forged
