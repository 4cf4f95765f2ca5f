"""Two requests with one key: the second waits for the first, and knows what to do when it fails or takes too long."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from fastapi import FastAPI

from shared.kit.caller import Caller
from shared.kit.idempotency import Once, RequestInProgress
from shared.kit.scope import Scope
from tests.conftest import Starter
from treatment_service.main import app

CALLER = Caller("test-hospital", frozenset({"hospital"}), "450223")


@pytest.fixture
async def service(starter: Starter) -> AsyncIterator[FastAPI]:
    urls = await starter.database("treatment")
    async with starter.running(app, "treatment", urls, TREATMENT_RUN_WORKER="false"):
        yield app


async def test_the_second_waits_and_reads_what_the_first_made(service: FastAPI) -> None:
    once = Once("/x", str(uuid4()), b"same")
    async with service.state.database.transaction(Scope.of(CALLER)) as first:
        assert await once.claim(first, CALLER) is None

        async def second() -> object:
            async with service.state.database.transaction(Scope.of(CALLER)) as session:
                return await once.claim(session, CALLER)

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await once.keep(first, CALLER, 201, thing="made")
    replay = await waiting
    assert (replay.status, replay.ids) == (201, {"thing": "made"})  # type: ignore[attr-defined]


async def test_the_second_goes_on_as_the_first_when_the_first_fails(service: FastAPI) -> None:
    once = Once("/x", str(uuid4()), b"same")

    async def first() -> None:
        async with service.state.database.transaction(Scope.of(CALLER)) as session:
            await once.claim(session, CALLER)
            await asyncio.sleep(0.3)
            raise RuntimeError

    failing = asyncio.create_task(first())
    await asyncio.sleep(0.1)
    async with service.state.database.transaction(Scope.of(CALLER)) as session:
        assert await once.claim(session, CALLER) is None
    with pytest.raises(RuntimeError):
        await failing


async def test_a_first_request_that_takes_too_long_is_named(service: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.kit.idempotency.WAIT_SECONDS", 0.2)
    once = Once("/x", str(uuid4()), b"same")

    async def claim_again() -> None:
        async with service.state.database.transaction(Scope.of(CALLER)) as second:
            await once.claim(second, CALLER)

    async with service.state.database.transaction(Scope.of(CALLER)) as first:
        await once.claim(first, CALLER)
        with pytest.raises(RequestInProgress):
            await claim_again()
