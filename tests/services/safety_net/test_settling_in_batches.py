"""Batches of bills: repeated, poisoned, beside registrations; nothing is settled twice, nothing is held up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from safety_net_service.bills.repository import add_first
from safety_net_service.registry import service as registry
from shared.kit.database import DeadLetterRow, InboxRow, OutboxRow
from shared.kit.direct import Direct
from shared.kit.events import Envelope
from shared.kit.scope import SERVICE
from tests.clients import Issuer
from tests.services.safety_net.hearing import Ears, Letter
from tests.services.safety_net.test_limited_fund import URAD
from tests.services.safety_net.test_side_by_side import a_bill_of_the_fund
from tests.services.safety_net.world import World


@pytest.fixture
async def ears(world: World) -> AsyncIterator[Ears]:
    ears = Ears(world, together=True)
    yield ears
    await ears.inbox.close()


@pytest.fixture
def worlds(safety_net: FastAPI, issuer: Issuer) -> list[World]:
    return [World(safety_net, issuer) for _ in range(12)]


async def ready(worlds: Sequence[World]) -> None:
    for each in worlds:
        await each.hear(each.an_institution(), each.a_resident())


async def test_a_batch_that_comes_again_changes_nothing(ears: Ears, worlds: list[World]) -> None:
    await ready(worlds)
    letters = await ears.take(*(each.a_bill() for each in worlds))
    again = [Letter.of(letter) for letter in (*letters, *letters[:3], *reversed(letters))]
    await ears.take_letters(again)
    assert {answer for letter in again for answer in letter.answers} == {"ack"}
    for each in worlds:
        assert [event.revision for event in await each.said()] == [1]
    # The same bill under another event's id: what the inbox can't know, the bill's own row does. It is told again.
    await ears.take(*(each.a_bill() for each in worlds), worlds[0].a_bill(), worlds[0].a_bill())
    for each in worlds:
        (row,) = await each.settlements()
        assert {(event.settlement_id, event.state) for event in await each.said()} == {(row.settlement_id, "settled")}


async def test_bills_corrections_and_voids_in_one_batch_end_as_if_heard_alone(ears: Ears, worlds: list[World]) -> None:
    await ready(worlds)
    await worlds[2].hear(worlds[2].a_void(2))
    corrected, twice, voided, waiting, *rest = worlds
    waiting.institution_code = f"H450223{uuid4().hex[:12]}"
    await ears.take(
        corrected.a_correction(critical_illness="1000.00"),
        *(each.a_bill() for each in (corrected, twice, twice, voided, waiting, *rest)),
    )
    assert [(row.bill_version, row.state) for row in await corrected.settlements()][-1] == (2, "settled")
    assert [event.bill_version for event in await corrected.said()] == [1, 2]
    assert len(await twice.settlements()) == 1
    assert await voided.settlements() == []
    assert (await waiting.settlements(), await waiting.looks()) == ([], ["wait"])
    for each in rest:
        assert (await each.live()).state == "settled"
    await waiting.hear(waiting.an_institution())
    assert (await waiting.live()).state == "settled"


async def test_one_bill_that_cannot_be_judged_does_not_keep_its_batch(
    ears: Ears, worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be a bill at all for the rules (nothing to settle), or its message is none: each is counted alone."""
    monkeypatch.setattr("shared.kit.inbox.MAX_FAILURES", 2)
    await ready(worlds)
    zero = ("total", "in_scope", "drugs", "catalogue_drugs", "basic_insurance", "medical_assistance")
    nothing: dict[str, Any] = dict.fromkeys(zero, "0.00")
    bad = worlds[5].a_bill(**nothing)
    letters = [Letter(each.a_bill()) for each in worlds]
    letters[5], letters[7] = Letter(bad), Letter(worlds[7].a_bill(), b"{}")
    await ears.take_letters(letters)
    assert [letter.answers for letter in letters] == [["nak"] if place in (5, 7) else ["ack"] for place in range(12)]
    await ears.take_letters([letters[5], letters[7]])
    assert [letters[5].answers, letters[7].answers] == [["nak", "ack"]] * 2
    for place, each in enumerate(worlds):
        assert len(await each.settlements()) == (place not in (5, 7))
    async with worlds[0].state.database.transaction(SERVICE) as session:
        assert await session.get(DeadLetterRow, letters[5].envelope.event_id) is not None
        assert await session.get(InboxRow, letters[5].envelope.event_id) is None
        assert await session.get(InboxRow, letters[6].envelope.event_id) is not None


async def test_a_batch_that_fails_as_a_whole_is_heard_one_by_one(
    ears: Ears, worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(direct: Direct, bills: Any) -> Any:
        await add_first(direct, bills)
        raise ConnectionResetError

    monkeypatch.setattr("safety_net_service.bills.service.add_first", breaks)
    await ready(worlds)
    letters = await ears.take(*(each.a_bill() for each in worlds))
    assert {answer for letter in letters for answer in letter.answers} == {"ack"}
    for each in worlds:
        assert [row.state for row in await each.settlements()] == ["settled"]
        assert len(await each.said()) == 1


async def test_what_a_batch_says_is_handed_to_the_relay_with_its_rows(
    ears: Ears, worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Any] = []
    await ready(worlds)
    monkeypatch.setattr(worlds[0].state.database, "said", handed.extend)
    await ears.take(*(each.a_bill() for each in worlds))
    async with worlds[0].state.database.transaction(SERVICE) as session:
        for said in handed:
            row = await session.get(OutboxRow, said.seq)
            assert row is not None
            assert (row.event_id, row.subject, row.payload) == said[1:]
    told = [Envelope.from_bytes(said.payload).data["discharge_id"] for said in handed]
    assert told == [str(each.discharge_id) for each in worlds]


async def test_a_fact_that_is_outwaited_puts_its_bills_off_and_no_others(ears: Ears, worlds: list[World]) -> None:
    """The clock is about to look for the bills of a changed identity: who is judged by it comes a moment later."""
    await ready(worlds)
    async with worlds[0].state.database.transaction(SERVICE) as session:
        await registry.outwait_judges(session, "identity", worlds[0].digest())
        await ears.take(*(each.a_bill() for each in worlds))
        assert (await worlds[0].settlements(), await worlds[0].looks()) == ([], ["bill"])
        assert (await worlds[1].live()).state == "settled"
    await worlds[0].let_time_pass()
    assert (await worlds[0].live()).state == "settled"


async def test_a_registration_that_commits_beside_a_batch_is_never_overlooked(
    ears: Ears, safety_net: FastAPI, issuer: Issuer
) -> None:
    for _ in range(15):
        worlds = [World(safety_net, issuer) for _ in range(5)]
        await ready(worlds)

        async def register(each: World) -> None:
            await each.hear(each.a_resident(revision=2, household_registration=False))

        await asyncio.gather(ears.take(*(each.a_bill() for each in worlds)), *map(register, worlds))
        for each in worlds:
            await each.let_time_pass()
            live, cases = await each.live(), [case.cause for case in await each.cases() if case.state == "open"]
            # Judged by what is so now, or a case was opened because it no longer is.
            assert live.reasons == ["no_household_registration"] or cases == ["registry"]


async def test_a_limited_fund_is_never_asked_by_a_batch(ears: Ears, worlds: list[World]) -> None:
    bills = []
    for each in worlds[:3]:
        await each.hear(each.an_institution(county_code=URAD), each.a_resident(county_code=URAD))
        bills.append(a_bill_of_the_fund(each))
    await ears.take(*bills)
    for each in worlds[:3]:
        assert (await each.settlements(), await each.looks()) == ([], ["bill"])
    await worlds[0].look()
    for each in worlds[:3]:
        assert len(await each.settlements()) == 1
