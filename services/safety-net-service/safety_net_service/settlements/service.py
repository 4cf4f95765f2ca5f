"""The use cases of a settlement: gather what it rests on, keep the answer, say it, show it, compute it again."""

from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.models import Bill
from safety_net_service.bills.repository import Bills, Looks
from safety_net_service.errors import PackMissing
from safety_net_service.recoveries import service as recoveries
from safety_net_service.registry import service as registry
from safety_net_service.settlements.models import LIVE, Settlement
from safety_net_service.settlements.repository import Settlements
from safety_net_service.settlements.rules import Bill as BillInputs
from safety_net_service.settlements.rules import (
    Inputs,
    Institution,
    Limit,
    Outcome,
    PackShelf,
    Patient,
    Referral,
    SettlementPack,
    differences,
    inputs_from_json,
    inputs_to_json,
    outcome_to_json,
)
from safety_net_service.settlements.rules import PackMissing as RulesPackMissing
from safety_net_service.settlements.rules import recompute as rules_recompute
from shared.events.safety_net import BillSettled
from shared.events.treatment import BillFacts
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import SYSTEM, Caller
from shared.kit.database import as_service
from shared.kit.events import enveloped
from shared.kit.outbox import say
from shared.kit.problems import NotFound

PACK = "settlement"
STATES = {"pass": "settled", "hold": "held", "reject": "rejected"}
AMOUNTS = ("reimbursed_fen", "safety_net_fen", "hospital_share_fen", "personal_fen", "patient_pays_fen")
GIVEN = (
    "total_fen",
    "base_fen",
    "basic_insurance_fen",
    "critical_illness_fen",
    "supplementary_insurance_fen",
    "medical_assistance_fen",
    "government_topup_fen",
    "other_fen",
)


@dataclass(frozen=True)
class Law:
    """The packs on the shelf, and how long a bill waits for the registration of its patient or institution."""

    shelf: PackShelf
    wait: timedelta


async def inputs_of(
    session: AsyncSession,
    facts: BillFacts,
    people: tuple[Patient, ...],
    institution: Institution | None,
    shelf: PackShelf,
    *,
    lock: bool = True,
) -> Inputs:
    """Everything the rules are told about a bill. ``lock`` holds a limited fund until this transaction ends."""
    where, counties = _where(facts, people, institution)
    committed = await _committed(session, facts, counties, shelf, lock=lock)
    return Inputs(_bill(facts), people, where, committed)


def inputs_without_fund(facts: BillFacts, people: tuple[Patient, ...], institution: Institution | None) -> Inputs:
    """The same for a bill that asks no limited fund (`asks_limited_fund`)."""
    where, _ = _where(facts, people, institution)
    return Inputs(_bill(facts), people, where, {})


def asks_limited_fund(
    facts: BillFacts, people: tuple[Patient, ...], institution: Institution | None, shelf: PackShelf
) -> bool:
    """Whether judging this bill takes the lock of a fund."""
    _, counties = _where(facts, people, institution)
    return any(_limits(county_code, shelf) for county_code in counties)


async def short_of_fund(session: AsyncSession, fund: str, law: Law) -> list[UUID]:
    """The discharges held because this fund was short, those that were held first before the others (R-39)."""
    county_code, name = fund.split(":", 1)
    clauses = {limit.clause for limit, _ in _limits(county_code, law.shelf).get(name, ())}
    return await Settlements(session).held_for(county_code, clauses)


def give_back(session: AsyncSession, ended: Settlement) -> None:
    """A settlement that took money of a limited fund has ended: who was held for want of it is looked at again."""
    if ended.safety_net_fen:
        funds = sorted(inputs_from_json(ended.inputs).committed)
        Looks(session).add("fund", (f"{ended.county_code}:{name}" for name in funds), clock.now())


def _where(
    facts: BillFacts, people: tuple[Patient, ...], institution: Institution | None
) -> tuple[Institution, set[str]]:
    """Where a bill was made, and the counties whose law and funds it may ask."""
    where = institution or registry.unknown_institution(facts.institution_code, people, facts.admitted_on)
    return where, {person.county_code for person in people} or {where.county_code}


def _limits(county_code: str, shelf: PackShelf) -> dict[str, list[tuple[Limit, SettlementPack]]]:
    """The limited funds of a county, each with every place where one of its packs limits a step by it."""
    found: dict[str, list[tuple[Limit, SettlementPack]]] = {}
    for pack in shelf.of_county(county_code):
        for step in pack.steps:
            if step.limit is not None:
                found.setdefault(step.limit.name, []).append((step.limit, pack))
    return found


async def _committed(
    session: AsyncSession, facts: BillFacts, counties: set[str], shelf: PackShelf, *, lock: bool
) -> dict[str, int]:
    """What the limited funds that may be asked have already promised (R-39)."""
    found: dict[str, int] = {}
    settlements = Settlements(session)
    for county_code in sorted(counties):
        for name, places in sorted(_limits(county_code, shelf).items()):
            if lock:
                await settlements.lock_fund(county_code, name)
            versions = {pack.version for _, pack in places}
            limit, pack = places[-1]
            by_discharge = pack.cut_by == "discharge"
            day = facts.discharged_on if by_discharge else facts.admitted_on
            found[name] = await settlements.committed_fen(
                county_code, versions, day.year if limit.per == "year" else None, by_discharge, facts.discharge_id
            )
    return found


def _bill(facts: BillFacts) -> BillInputs:
    """The bill as the rules read it."""
    return BillInputs(
        admitted_on=facts.admitted_on,
        discharged_on=facts.discharged_on,
        total_fen=facts.total_fen,
        in_scope_fen=facts.in_scope_fen,
        non_medical_fen=facts.non_medical_fen,
        basic_insurance_fen=facts.basic_insurance_fen,
        critical_illness_fen=facts.critical_illness_fen,
        supplementary_insurance_fen=facts.supplementary_insurance_fen,
        medical_assistance_fen=facts.medical_assistance_fen,
        government_topup_fen=facts.government_topup_fen,
        other_fen=facts.other_fen,
        care_setting=facts.care_setting,
        emergency=facts.emergency,
        pay_later_agreement_no=facts.pay_later_agreement_no,
        diagnoses=tuple(diagnosis.code for diagnosis in facts.diagnoses),
        cause=facts.cause,
        place=facts.place,
        referral=_referral(facts),
        identity_given=facts.identity_digest is not None,
    )


def _referral(facts: BillFacts) -> Referral | None:
    said = facts.referral
    return None if said is None else Referral(cast(Any, said.kind), said.number, said.accepted_by_insurer)


async def keep(
    session: AsyncSession,
    bill: Bill,
    live: Settlement | None,
    inputs: Inputs,
    outcome: Outcome,
    *,
    by: Caller,
    cause: str,
    decision_id: UUID | None = None,
) -> Settlement:
    """Keep a settlement in the place of the one that stood, in this transaction, and say so."""
    made = await _made(session, bill, inputs, outcome)
    made.decision_id = decision_id or (live.decision_id if live is not None and inputs.decision is not None else None)
    if live is not None:
        live.state, live.superseded_by, live.ended_at = "superseded", made.settlement_id, made.made_at
        # First: two live settlements of one discharge are impossible even for a moment.
        await session.flush()
    session.add(made)
    await session.flush()
    if live is not None:
        await recoveries.replaced(session, live, made.safety_net_fen, made.settlement_id, cause)
        give_back(session, live)
    tell(session, bill, made)
    detail: dict[str, Any] = {"bill_version": made.bill_version, "cause": cause if live is not None else "bill"}
    if live is not None:
        detail["supersedes"] = str(live.settlement_id)
        if live.decision_id is not None and made.decision_id is None:
            # The office decided on another content of the bill; this one is judged anew, and nobody is to miss it.
            detail["decision_lapsed"] = str(live.decision_id)
    record(session, by, made.state, "settlement", made.settlement_id, detail)
    return made


async def _made(session: AsyncSession, bill: Bill, inputs: Inputs, outcome: Outcome) -> Settlement:
    resident_id = UUID(outcome.resident_id) if outcome.resident_id is not None else None
    township_code = await registry.township_of(session, resident_id)
    columns = _columns(bill.discharge_id, bill.version, inputs, outcome, township_code)
    return Settlement(**columns, inputs=inputs_to_json(inputs))


def _columns(
    discharge_id: UUID, version: int, inputs: Inputs, outcome: Outcome, township_code: str | None
) -> dict[str, Any]:
    answer = outcome_to_json(outcome)
    return {
        "county_code": outcome.county_code,
        "settlement_id": uuid4(),
        "discharge_id": discharge_id,
        "bill_version": version,
        "state": STATES[outcome.decision],
        "decision": outcome.decision,
        "reasons": [reason["code"] for reason in answer["reasons"]],
        "procedure": outcome.procedure,
        "policy_pack": PACK,
        "policy_version": outcome.policy_version,
        "packs": list(outcome.packs),
        "resident_id": UUID(outcome.resident_id) if outcome.resident_id is not None else None,
        "township_code": township_code,
        "institution_code": inputs.institution.institution_code,
        "admitted_on": inputs.bill.admitted_on,
        "discharged_on": inputs.bill.discharged_on,
        **{name: getattr(inputs.bill, name) for name in GIVEN},
        **{name: getattr(outcome.amounts, name) for name in AMOUNTS},
        "answer": answer,
        "made_at": clock.now(),
    }


def first_of(
    facts: BillFacts,
    inputs: Inputs,
    outcome: Outcome,
    township_code: str | None,
    request_id: str,
    revision: int,
) -> dict[str, Any]:
    """The first settlement of a bill as `keep` would make it: the columns of its row (JSON as bytes), and with them
    ``event_id`` and ``payload`` of what is said of it, ``request_id`` and ``detail`` of its audit row.
    """
    columns = _columns(facts.discharge_id, facts.version, inputs, outcome, township_code)
    event_id, encode = uuid4(), msgspec.json.encode
    told = {"discharge_id": facts.discharge_id, "revision": revision}
    told |= {name: columns[name] for name in ("bill_version", "settlement_id", "county_code", "state", "procedure")}
    told["settlement"] = public(SimpleNamespace(**columns, superseded_by=None, decision_id=None))  # type: ignore[arg-type]
    return {
        **columns,
        **{name: encode(columns[name]) for name in ("reasons", "packs", "answer")},
        "inputs": encode(inputs),
        "event_id": event_id,
        "payload": enveloped(event_id, BillSettled.subject, columns["made_at"], request_id, encode(told)),
        "request_id": request_id,
        "detail": encode({"bill_version": facts.version, "cause": "bill"}),
    }


def tell(session: AsyncSession, bill: Bill, settlement: Settlement) -> None:
    """Say how a bill stands now."""
    bill.settlement_revision += 1
    say(
        session,
        BillSettled(
            discharge_id=bill.discharge_id,
            revision=bill.settlement_revision,
            bill_version=settlement.bill_version,
            settlement_id=settlement.settlement_id,
            county_code=settlement.county_code,
            state=settlement.state,
            procedure=settlement.procedure,
            settlement=public(settlement),
        ),
    )


async def say_again(session: AsyncSession, bill: Bill) -> None:
    """Say once more how a bill stands, to somebody who may know it otherwise or not at all. Its row is locked."""
    newest = await Settlements(session).newest_of(bill.discharge_id)
    if newest is not None:
        tell(session, bill, newest)


def public(settlement: Settlement) -> dict[str, Any]:
    """A settlement as everyone who may see it reads it: no name, no identity number."""
    return {
        "settlement_id": str(settlement.settlement_id),
        "discharge_id": str(settlement.discharge_id),
        "bill_version": settlement.bill_version,
        "state": settlement.state,
        **settlement.answer,
        "institution_code": settlement.institution_code,
        "resident_id": str(settlement.resident_id) if settlement.resident_id is not None else None,
        "made_at": clock.rfc3339(settlement.made_at),
        "superseded_by": str(settlement.superseded_by) if settlement.superseded_by is not None else None,
        "decision_id": str(settlement.decision_id) if settlement.decision_id is not None else None,
    }


def by_system(county_code: str) -> Caller:
    """The system itself, at work for a county."""
    return replace(SYSTEM, county_code=county_code)


async def read(session: AsyncSession, caller: Caller, settlement_id: UUID) -> Settlement:
    """One settlement of the caller's scope. Reading it is audited."""
    found = await Settlements(session).one(settlement_id, caller)
    if found is None:
        raise NotFound
    record(session, caller, "read", "settlement", settlement_id)
    return found


async def locked(session: AsyncSession, caller: Caller, settlement_id: UUID) -> tuple[Bill, Settlement]:
    """A settlement of the caller's scope with its bill's row locked: nothing happens to that discharge meanwhile."""
    settlements = Settlements(session)
    found = await settlements.one(settlement_id, caller)
    if found is None:
        raise NotFound
    async with as_service(session):
        bill = await Bills(session).locked(found.discharge_id)
    again = await settlements.one(settlement_id, caller)
    assert again is not None, "a settlement is never deleted"
    return bill, again


async def committed_of(session: AsyncSession, bill: Bill, law: Law) -> dict[str, int]:
    """What the limited funds that a bill may ask have promised by now."""
    facts = BillFacts.model_validate(bill.facts)
    async with as_service(session):
        people = await registry.candidates(session, facts.identity_digest, facts.name_digest)
        institution = await registry.institution(session, facts.institution_code)
        return dict((await inputs_of(session, facts, people, institution, law.shelf)).committed)


async def page(
    session: AsyncSession, caller: Caller, *, limit: int, before: list[int] | None, filters: dict[str, Any]
) -> list[Settlement]:
    """Settlements of the caller's scope, newest first. Looking for a resident's is audited under the resident."""
    rows = await Settlements(session).page(caller, limit=limit, before=before[0] if before else None, **filters)
    asked = {name: str(value) for name, value in filters.items() if value is not None}
    # One more was asked for than is shown.
    detail = {"filters": asked, "settlements": [str(row.settlement_id) for row in rows[: limit - 1]]}
    record(session, caller, "listed", "settlement", asked.get("resident_id", "*"), detail)
    return rows


async def recompute(session: AsyncSession, caller: Caller, settlement_id: UUID, law: Law) -> dict[str, Any]:
    """Compute a settlement again from what was stored with it: an audit of every stored number."""
    stored = await Settlements(session).one(settlement_id, caller)
    if stored is None:
        raise NotFound
    inputs = inputs_from_json(stored.inputs)
    try:
        again = rules_recompute(inputs, stored.packs, law.shelf)
    except RulesPackMissing:
        raise PackMissing from None
    found = [
        {"pointer": each.pointer, "stored": each.stored, "recomputed": each.recomputed}
        for each in differences(stored.answer, again)
    ]
    columns = {name: getattr(inputs.bill, name) for name in GIVEN}
    columns |= {name: getattr(again.amounts, name) for name in AMOUNTS}
    columns |= {"decision": again.decision, "policy_version": again.policy_version, "procedure": again.procedure}
    if stored.state in LIVE:
        columns["state"] = STATES[again.decision]
    found += [
        {"pointer": f"/stored/{name}", "stored": getattr(stored, name), "recomputed": value}
        for name, value in columns.items()
        if getattr(stored, name) != value
    ]
    record(session, caller, "recomputed", "settlement", settlement_id, {"equal": not found})
    return {"equal": not found, "policy_versions": stored.packs, "differences": found}
