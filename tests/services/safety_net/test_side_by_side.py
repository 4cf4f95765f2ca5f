"""Batches, the clock and the office at work at the same time: nothing waits in a circle, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.repository import Bills, Looks
from safety_net_service.registry import service as registry
from shared.events.treatment import BillFacts, DischargeBilled, DischargeCorrected
from shared.kit import clock
from shared.kit.scope import SERVICE
from tests.clients import Issuer
from tests.services.safety_net.test_limited_fund import URAD, a_held_bill, confirm, propose
from tests.services.safety_net.world import World


def a_bill_of_the_fund(world: World, kind: type[BillFacts] = DischargeBilled, version: int = 1) -> BillFacts:
    """A bill of the county that has a fund and no formula."""
    none = dict.fromkeys(("drugs", "catalogue_drugs", "basic_insurance", "medical_assistance"), "0.00")
    stay = {"admitted_on": date(2020, 3, 1), "discharged_on": date(2020, 3, 11)}
    return world.a_bill(kind, version=version, total="3000.00", in_scope="3000.00", **none, **stay)


@asynccontextmanager
async def batch(world: World) -> AsyncIterator[AsyncSession]:
    """One transaction, as the inbox opens it for a batch."""
    async with world.state.database.transaction(SERVICE) as session:
        yield session


async def test_a_batch_of_registrations_and_a_batch_of_bills(safety_net: FastAPI, issuer: Issuer) -> None:
    old, new = World(safety_net, issuer), World(safety_net, issuer)
    await old.settle()
    await new.hear(new.an_institution(), new.a_resident())
    changed, billed = asyncio.Event(), asyncio.Event()

    async def registrations() -> None:
        async with batch(old) as session:
            await old.hear_in(session, old.a_resident(revision=2, household_registration=False))
            changed.set()
            await billed.wait()
            await new.hear_in(session, new.a_resident(revision=2))

    async def bills() -> None:
        async with batch(old) as session:
            await changed.wait()
            await new.hear_in(session, new.a_bill())
            billed.set()
            await old.hear_in(session, old.a_correction())

    async with asyncio.timeout(10):
        await asyncio.gather(registrations(), bills())
    await old.look()
    # Whichever of the two committed first: that the patient lost the registration is not overlooked.
    opened = [case.cause for case in await old.cases() if case.state == "open"]
    assert (await old.live()).reasons == ["no_household_registration"] or opened == ["registry"]
    assert (await new.live()).state == "settled"


async def test_a_change_of_an_institution_and_a_batch_of_its_bills(safety_net: FastAPI, issuer: Issuer) -> None:
    first, second = World(safety_net, issuer), World(safety_net, issuer)
    second.institution_code = first.institution_code
    first.discharge_id, second.discharge_id = sorted([first.discharge_id, second.discharge_id])
    await first.settle()
    await second.hear(second.a_resident(), second.a_bill())
    begun, changed = asyncio.Event(), asyncio.Event()

    async def institutions() -> None:
        await begun.wait()
        await first.hear(first.an_institution(revision=2, insurance_designated=[]))
        changed.set()

    async def bills() -> None:
        async with batch(first) as session:
            await Bills(session).locked(second.discharge_id)
            begun.set()
            await changed.wait()
            await first.hear_in(session, first.a_correction())

    async with asyncio.timeout(10):
        await asyncio.gather(institutions(), bills())
    await second.let_time_pass()
    assert (await first.live()).reasons == ["not_designated"]
    assert [case.cause for case in await second.cases()] == ["registry"]


@pytest.mark.clause("R-39")
async def test_an_offices_confirmation_and_a_batch_of_bills_of_the_same_fund(
    safety_net: FastAPI, issuer: Issuer
) -> None:
    held, new = World(safety_net, issuer), World(safety_net, issuer)
    path = await a_held_bill(held, "2000.00")
    decision = await propose(held, path, "100.00")
    await new.hear(new.an_institution(county_code=URAD), new.a_resident(county_code=URAD))
    async with asyncio.timeout(10), batch(held) as session:
        await new.hear_in(session, a_bill_of_the_fund(new))
        answer = await asyncio.wait_for(confirm(held, path, decision), 5)
        await held.hear_in(session, a_bill_of_the_fund(held, DischargeCorrected, version=2))
    assert answer.status_code == 200
    await held.look()
    assert [(await world.live()).state for world in (held, new)] == ["held", "held"]
    assert (await held.live()).bill_version == 2


async def test_a_bill_judged_beside_a_registration_is_found_by_it(world: World) -> None:
    await world.hear(world.an_institution())
    async with batch(world) as session:
        await world.hear_in(session, world.a_bill())
        async with batch(world) as other:
            await world.hear_in(other, world.a_resident())
        clock_strikes = asyncio.create_task(world.look())
        await asyncio.sleep(0.3)
        assert not clock_strikes.done()
    await asyncio.wait_for(clock_strikes, 5)
    assert (await world.live()).state == "settled"


async def test_a_bill_held_still_is_put_off_and_nothing_spins(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident())
    async with batch(world) as session:
        await registry.outwait_judges(session, "identity", world.digest())
        await asyncio.wait_for(world.hear(world.a_bill()), 5)
        for _ in range(3):
            await asyncio.wait_for(world.look(), 5)
        assert await world.settlements() == []
        assert await world.looks() == ["bill"]
    await asyncio.sleep(0.25)
    await world.look()
    assert (await world.live()).state == "settled"
    assert await world.looks() == []


async def test_a_bill_somebody_works_on_is_put_off_and_looked_at_later(world: World) -> None:
    await world.settle()
    async with batch(world) as session:
        await Bills(session).locked(world.discharge_id)
        await asyncio.wait_for(world.hear(world.a_resident(revision=2, registered_poor=[])), 5)
        assert await world.looks() == ["bill"]
        assert await world.cases() == []
    await asyncio.sleep(0.25)
    await world.look()
    assert [case.cause for case in await world.cases()] == ["registry"]


async def test_who_waits_is_looked_at_before_the_bills_already_judged(safety_net: FastAPI, issuer: Issuer) -> None:
    judged, waiting = World(safety_net, issuer), World(safety_net, issuer)
    waiting.institution_code = judged.institution_code
    judged.discharge_id, waiting.discharge_id = sorted([judged.discharge_id, waiting.discharge_id])
    await judged.settle()
    await waiting.hear(waiting.a_bill())
    async with batch(judged) as session:
        await Looks(session).add_bills_of("institution", judged.institution_code, clock.now())
        found = [await Looks(session).next_due(clock.now())]
        assert found[0] is not None
        assert UUID(found[0].key) == waiting.discharge_id


async def test_a_settled_bill_is_not_looked_at_again_when_its_wait_would_have_ended(world: World) -> None:
    await world.hear(world.an_institution(), world.a_bill())
    assert await world.looks() == ["wait"]
    await world.hear(world.a_resident())
    assert await world.looks() == ["wait"]
    await world.let_time_pass()
    assert await world.looks() == []
    assert [each.state for each in await world.settlements()] == ["settled"]
