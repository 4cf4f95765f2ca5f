"""The use cases of a bill: hear of it, let it wait for its patient, have it judged, look again when a fact changes.

All work on one discharge is done under the lock of its bill's row. A bill nothing was heard of has no row: it is judged
first, and its row made last, together with all that follows from it; if somebody made the row meanwhile, nothing of
this is written and the bill is taken up again, now under the lock. Who hears of a resident or an institution touches no
bill: it leaves a `Look` behind, and the clock finds the bills and judges them, one a transaction. So nothing waits in
a circle:

- A batch of bills waits for bills alone, never for a registration nor a fund: it may hold a hundred bills.
- A batch of registrations waits for residents and institutions alone.
- The clock and the office hold one bill when they wait for the fund it asks, and wait for nothing after it.
- The clock holds nothing when it waits for those who judge by an older registration (`registry.outwait_judges`).

Only two replicas that hear of the same things in opposite order can collide; the database then ends one of them, and
its batch comes again.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.models import Bill, Look
from safety_net_service.bills.repository import Bills, FirstBill, Looks, add_first
from safety_net_service.recoveries import service as recoveries
from safety_net_service.registry import service as registry
from safety_net_service.settlements import service as settlements
from safety_net_service.settlements.models import Settlement
from safety_net_service.settlements.repository import Settlements
from safety_net_service.settlements.rules import DecisionWithoutLaw, Inputs, Outcome, differences, inputs_from_json
from safety_net_service.settlements.service import Law
from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.events.treatment import BillFacts, DischargeVoided
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.direct import Direct
from shared.kit.events import Heard
from shared.kit.inbox import Done

A_MOMENT = timedelta(milliseconds=200)
"""How long a bill that somebody else holds is put off."""
PUT_OFF = timedelta(minutes=1)
"""How long a bill that can't be judged is put off."""


async def hear_bill(session: AsyncSession, event: BillFacts, law: Law) -> None:
    """A bill was recorded or corrected. An older version than one already heard of changes nothing."""
    bill = await Bills(session).locked(event.discharge_id)
    if event.version == bill.version and not bill.voided:
        # Not the same event, which the inbox knows: treatment-service came out of a backup and was sent the bill again.
        await settlements.say_again(session, bill)
    if bill.voided or event.version <= bill.version:
        return
    bill.version = event.version
    bill.institution_code, bill.identity_digest = event.institution_code, event.identity_digest
    bill.facts = event.model_dump(mode="json")
    bill.wait_until = None
    # One update of the bill at the end instead of one before each question.
    with session.no_autoflush:
        await look(session, bill, law, alone=False)


async def hear_firsts(direct: Direct, events: Sequence[Heard], law: Law, floor: int) -> Done:
    """Bills recorded, heard of for the first time: what `hear_bill` does with each, for all in four statements.

    Left to `hear_bill` is every bill that something was heard of before, and one that can't be judged. Nobody can work
    on these bills before this transaction has made their rows, which is the last thing it does; what they are judged by
    is held still before it is read.
    """
    bills: dict[UUID, Heard] = {}
    for heard in events:
        bills.setdefault(heard.data.discharge_id, heard)
    held = await registry.hold_many_still(
        direct, [(each.data.identity_digest, each.data.institution_code) for each in bills.values()]
    )
    moment, firsts = clock.now(), []
    for heard in bills.values():
        try:
            firsts.append(_first(heard, held, law, moment, floor))
        except Exception:
            # Alone it fails again, and is counted and buried by itself.
            continue
    kept, said = await add_first(direct, firsts) if firsts else (set(), [])
    done = {bills[discharge_id].event_id for discharge_id in kept}
    return Done(said=said, left={heard.event_id for heard in events} - done)


def _first(heard: Heard, held: registry.Held, law: Law, moment: datetime, floor: int) -> FirstBill:
    """`look` at a bill nothing was heard of before; ``floor`` is what its settlements are counted from."""
    facts: BillFacts = heard.data
    row: dict[str, Any] = {
        "discharge_id": facts.discharge_id,
        "version": facts.version,
        "institution_code": facts.institution_code,
        "identity_digest": facts.identity_digest,
        "facts": heard.raw,
        "settlement_revision": floor,
    }
    if not held.still(facts.identity_digest, facts.institution_code):
        return FirstBill({**row, "kind": "bill", "due_at": moment + A_MOMENT})
    people = held.candidates(facts.identity_digest, facts.name_digest)
    institution = held.institutions.get(facts.institution_code)
    unknown = institution is None or (facts.identity_digest and not people)
    until = moment + law.wait if unknown else None
    if until is not None and moment < until:
        return FirstBill({**row, "wait_until": until, "kind": "wait", "due_at": until})
    if settlements.asks_limited_fund(facts, people, institution, law.shelf):
        return FirstBill({**row, "wait_until": until, "kind": "bill", "due_at": moment})
    inputs = settlements.inputs_without_fund(facts, people, institution)
    outcome = inputs.settle(law.shelf)
    township_code = held.township_of(facts.identity_digest, outcome.resident_id)
    made = settlements.first_of(facts, inputs, outcome, township_code, heard.request_id, floor + 1)
    return FirstBill({**row, "settlement_revision": floor + 1}, made)


async def hear_void(session: AsyncSession, event: DischargeVoided) -> None:
    """A bill was withdrawn, perhaps before it was heard of: whatever of it comes later changes nothing."""
    bill = await Bills(session).locked(event.discharge_id)
    if bill.voided or event.version <= bill.version:
        return
    bill.version, bill.voided, bill.wait_until = event.version, True, None
    live = await Settlements(session).live_of(bill.discharge_id)
    if live is None:
        return
    live.state, live.ended_at = "voided", clock.now()
    await recoveries.replaced(session, live, 0, None, "void")
    settlements.give_back(session, live)
    settlements.tell(session, bill, live)
    record(session, settlements.by_system(live.county_code), "voided", "settlement", live.settlement_id)


async def hear_resident(session: AsyncSession, event: ResidentChanged) -> None:
    """A resident was registered or changed: bills that waited are settled, and earlier ones looked at again."""
    touched = await registry.keep_resident(session, event)
    Looks(session).add("identity", sorted(touched), clock.now())


async def hear_institution(session: AsyncSession, event: InstitutionChanged) -> None:
    """An institution was registered or changed: bills that waited are settled, and earlier ones looked at again."""
    if await registry.keep_institution(session, event):
        Looks(session).add("institution", [event.institution_code], clock.now())


async def work_off(session: AsyncSession, due: Look, law: Law) -> None:
    """Look at what one `Look` names, or put it off a moment while somebody else works on it."""
    looks = Looks(session)
    if due.kind in ("bill", "wait"):
        bill = await Bills(session).locked_if_free(UUID(due.key))
        if bill is None:
            due.due_at = clock.now() + A_MOMENT
            return
        # A wait that ended early has been looked at.
        if due.kind == "bill" or bill.wait_until is not None:
            await look(session, bill, law, alone=True)
    elif due.kind == "fund":
        waiting = await settlements.short_of_fund(session, due.key, law)
        looks.add("bill", map(str, waiting), clock.now())
    else:
        await registry.outwait_judges(session, due.kind, due.key)
        await looks.add_bills_of(due.kind, due.key, clock.now())
    await session.delete(due)


async def look(session: AsyncSession, bill: Bill, law: Law, *, alone: bool) -> None:
    """Judge a bill by what is known now, or let it wait a little for its patient or institution. Its row is locked.

    Not ``alone`` means that this transaction goes on to other bills: it must not hold a fund while it waits for them,
    so a bill that asks a limited fund is left to the clock.
    """
    if bill.voided or bill.facts is None:
        return
    looks, key = Looks(session), str(bill.discharge_id)
    facts = BillFacts.model_validate(bill.facts)
    if not await registry.hold_still(session, facts.identity_digest, facts.institution_code):
        looks.add("bill", [key], clock.now() + A_MOMENT)
        return
    settled_before = bill.settlement_revision > 0
    live = await Settlements(session).live_of(bill.discharge_id) if settled_before else None
    people = await registry.candidates(session, facts.identity_digest, facts.name_digest)
    institution = await registry.institution(session, facts.institution_code)
    stands = live if live is not None and live.bill_version == bill.version else None
    if stands is None and (institution is None or (facts.identity_digest and not people)):
        moment = clock.now()
        bill.wait_until = bill.wait_until or moment + law.wait
        if moment < bill.wait_until:
            looks.add("wait", [key], bill.wait_until)
            return
    if not alone and settlements.asks_limited_fund(facts, people, institution, law.shelf):
        looks.add("bill", [key], clock.now())
        return
    bill.wait_until = None
    inputs = await settlements.inputs_of(session, facts, people, institution, law.shelf)
    if stands is not None:
        await _judge_again(session, bill, stands, inputs, law)
        return
    outcome = inputs.settle(law.shelf)
    await settlements.keep(
        session, bill, live, inputs, outcome, by=settlements.by_system(outcome.county_code), cause="correction"
    )


async def _judge_again(session: AsyncSession, bill: Bill, live: Settlement, inputs: Inputs, law: Law) -> None:
    """The registry changed. What was rejected or held is settled anew; what pays stays, and a difference is a case.

    An office decision goes on standing: the bill is judged with it (R-19).
    """
    then = inputs_from_json(live.inputs)
    inputs = replace(inputs, decision=then.decision)
    try:
        outcome = inputs.settle(law.shelf)
    except DecisionWithoutLaw:
        # What the office rejected for is no longer in doubt; its word stands until it or a correction takes it back.
        return
    if live.state == "settled":
        await recoveries.compare(session, live, outcome)
    elif differences(live.answer, outcome):
        same_fund = replace(inputs, committed=then.committed)
        if not differences(live.answer, same_fund.settle(law.shelf)) and _same_reasons(live, outcome):
            # Only what the fund still has is another: no cause to take the settlement from under an open decision.
            return
        await settlements.keep(
            session, bill, live, inputs, outcome, by=settlements.by_system(outcome.county_code), cause="registry"
        )


def _same_reasons(live: Settlement, outcome: Outcome) -> bool:
    """Whether it still comes out alike, and by the same clauses."""
    before = [(reason["code"], reason["clause"]) for reason in live.answer["reasons"]]
    return live.decision == outcome.decision and before == [(each.code, each.clause) for each in outcome.reasons]


async def facts_of(session: AsyncSession, discharge_id: UUID) -> BillFacts | None:
    """The newest content of a bill; None when nothing but its void was heard of."""
    bill = await session.get(Bill, discharge_id)
    return None if bill is None or bill.facts is None else BillFacts.model_validate(bill.facts)
