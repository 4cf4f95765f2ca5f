"""However events arrive, late, twice or in any order, the same stands in the end."""

from itertools import permutations
from typing import Any

import pytest
from fastapi import FastAPI

from shared.kit.events import Event
from tests.clients import Issuer
from tests.services.safety_net.world import World


async def the_end(world: World) -> Any:
    """What stands when nothing more comes and every wait is over."""
    await world.let_time_pass()
    bill = await world.bill()
    live = [each for each in await world.settlements() if each.state in ("settled", "held", "rejected")]
    told = [event.state for event in await world.said()][-1:]
    revisions = [event.revision for event in await world.said()]
    assert revisions == list(range(1, len(revisions) + 1))
    assert await world.looks() == []
    assert bill.wait_until is None
    answers = [{**each.answer, "version": each.bill_version} for each in live]
    return bill.version, bill.voided, answers, told


def events_of(world: World) -> dict[str, Event]:
    return {
        "bill": world.a_bill(),
        "correction": world.a_correction(2, critical_illness="1000.00"),
        "void": world.a_void(3),
        "resident": world.a_resident(),
        "institution": world.an_institution(),
    }


@pytest.mark.clause("R-33")
@pytest.mark.parametrize("first", ["bill", "correction", "void", "resident", "institution"])
async def test_all_orders_of_bill_correction_void_resident_institution_end_alike(
    safety_net: FastAPI, issuer: Issuer, first: str
) -> None:
    orders = [order for order in permutations(events_of(World(safety_net, issuer))) if order[0] == first]
    assert len(orders) == 24
    for order in orders:
        world = World(safety_net, issuer)
        events = events_of(world)
        await world.hear(*(events[name] for name in order))
        version, voided, live, told = await the_end(world)
        assert (version, voided, live) == (3, True, []), order
        assert told in ([], ["voided"]), order


async def test_all_orders_of_bill_correction_resident_institution_end_alike(
    safety_net: FastAPI, issuer: Issuer
) -> None:
    ends = []
    for order in permutations(("bill", "correction", "resident", "institution")):
        world = World(safety_net, issuer)
        events = events_of(world)
        await world.hear(*(events[name] for name in order))
        ends.append(await the_end(world))
    version, voided, (answer,), told = ends[0]
    assert (version, voided, told) == (2, False, ["settled"])
    assert answer["amounts"]["safety_net"] == "2200.00"
    assert answer["version"] == 2
    assert all(end == ends[0] for end in ends)


async def test_hearing_everything_again_changes_nothing(world: World) -> None:
    events = events_of(world)
    del events["void"]
    await world.hear(*events.values())
    before = [(each.settlement_id, each.state) for each in await world.settlements()]
    await world.hear(*reversed(events.values()))
    await world.hear(*events.values())
    await world.let_time_pass()
    assert [(each.settlement_id, each.state) for each in await world.settlements()] == before
    # The newest version heard anew, which the inbox would not let through, is told of again: always the same.
    first, *again = await world.said()
    assert again
    assert all(each.model_copy(update={"revision": first.revision}) == first for each in again)


async def test_an_older_state_of_a_resident_that_comes_late_changes_nothing(world: World) -> None:
    settlement = await world.settle()
    await world.hear(world.a_resident(revision=3), world.a_resident(revision=2, registered_poor=[]))
    await world.hear(world.an_institution(revision=2), world.an_institution(insurance_designated=[]))
    await world.look()
    assert (await world.live()).settlement_id == settlement.settlement_id
    assert await world.cases() == []


async def test_a_void_before_its_bill_leaves_nothing_to_settle(world: World) -> None:
    await world.hear(world.an_institution(), world.a_resident(), world.a_void(2), world.a_bill())
    await world.let_time_pass()
    assert await world.settlements() == []
    assert await world.said() == []


async def test_a_void_ends_the_settlement_and_says_so(world: World) -> None:
    settlement = await world.settle()
    await world.hear(world.a_void(2), world.a_void(2))
    (voided,) = await world.settlements()
    assert (voided.settlement_id, voided.state) == (settlement.settlement_id, "voided")
    assert [(event.revision, event.state) for event in await world.said()] == [(1, "settled"), (2, "voided")]
    assert (await world.said())[-1].settlement["state"] == "voided"
