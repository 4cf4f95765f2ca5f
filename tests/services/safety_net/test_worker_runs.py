"""The whole service with its worker: events come over the channel, the clock strikes, the answer goes out."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from safety_net_service.main import app
from shared.kit.database import DeadLetterRow
from shared.kit.events import Envelope, Event
from shared.kit.scope import SERVICE
from tests.clients import Issuer
from tests.conftest import Starter
from tests.services.safety_net.world import World


@pytest.fixture
async def running(starter: Starter, safety_net: FastAPI) -> AsyncIterator[FastAPI]:
    # The app's state is one: what the other tests work with is put back afterwards.
    state = dict(safety_net.state._state)
    urls = await starter.database("safety_net")
    more = {"SAFETY_NET_RUN_WORKER": "true", "SAFETY_NET_PATIENT_WAIT_SECONDS": "0.4"}
    async with starter.running(app, "safety_net", urls, **more):
        yield app
    safety_net.state._state.update(state)


async def publish(world: World, event: Event) -> None:
    envelope = Envelope.around(event)
    await world.state.bus.ensure_stream(event.stream())
    await world.state.bus.publish([(event.subject, envelope.to_bytes(), str(envelope.event_id))])


async def until(world: World, *states: str) -> None:
    for _ in range(1200):
        if [each.state for each in await world.settlements()] == list(states):
            return
        await asyncio.sleep(0.05)
    raise AssertionError([each.state for each in await world.settlements()])


async def test_a_bill_over_the_channel_waits_is_rejected_and_is_settled_when_the_patient_is_registered(
    running: FastAPI, issuer: Issuer
) -> None:
    world = World(running, issuer)
    await publish(world, world.an_institution())
    await publish(world, world.a_bill())
    await until(world, "rejected")
    await publish(world, world.a_resident())
    await until(world, "superseded", "settled")
    await publish(world, world.a_void(2))
    await until(world, "superseded", "voided")
    assert [event.state for event in await world.said()] == ["rejected", "settled", "voided"]
    async with world.state.database.transaction(SERVICE) as session:
        assert await session.get(DeadLetterRow, world.discharge_id) is None
