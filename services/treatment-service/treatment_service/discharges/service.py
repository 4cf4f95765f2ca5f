"""The use cases of a discharge bill: record, correct, void, hear how it was settled."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.bills.facts import SealedPatient, facts
from shared.bills.form import DischargeBill
from shared.bills.rules import UNKNOWN_INSTITUTION, impossible
from shared.events.safety_net import BillSettled
from shared.events.treatment import DischargeBilled, DischargeCorrected, DischargeVoided
from shared.kit import clock, identity_number
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import Database
from shared.kit.outbox import say
from shared.kit.problems import FieldError, Invalid, NotFound, Problem
from shared.kit.scope import SERVICE
from shared.kit.sealing import Keyring, plain_name
from treatment_service.discharges import rules
from treatment_service.discharges.models import BillSettlement, BillVersion, Discharge, DischargeChange
from treatment_service.discharges.repository import PORTION, Discharges
from treatment_service.errors import BillAlreadyRecorded, BillVoided, NotYourInstitution, VersionConflict
from treatment_service.registry.models import InstitutionCopy
from treatment_service.registry.repository import Registry

BREATH = 50
"""After so many bills of a batch, others get their turn."""


@dataclass(frozen=True)
class Recorded:
    """A bill that stands: ``fresh`` when this request made it stand."""

    discharge_id: UUID
    fresh: bool


Outcomes = Sequence[Recorded | Problem | None]


@dataclass(frozen=True)
class Sealed:
    """A bill with its patient sealed: what is stored."""

    bill: DischargeBill
    content: dict[str, Any]
    patient: SealedPatient

    @classmethod
    def of(cls, bill: DischargeBill, keyring: Keyring) -> "Sealed":
        """Seal the patient's number and name."""
        content = bill.model_dump(mode="json", exclude={"patient"})
        return cls(bill, content, SealedPatient.of(bill.patient, keyring))

    def head(self, **more: Any) -> dict[str, Any]:
        """The columns by which bills are found."""
        stay = self.bill.stay
        return {
            "identity_digest": self.patient.identity_digest,
            "admission_no": stay.admission_no,
            "admitted_on": stay.admitted_on,
            "discharged_on": stay.discharged_on,
            "total_fen": self.bill.charges.total,
            **more,
        }

    def version(self, discharge_id: UUID, kind: str, reason: str | None, caller: Caller) -> dict[str, Any]:
        """The row of this version."""
        return {
            "institution_code": self.bill.institution_code,
            "bill_no": self.bill.bill_no,
            "version": self.bill.version,
            "discharge_id": discharge_id,
            "kind": kind,
            "reason": reason,
            "content": self.content,
            "sealed_identity": self.patient.sealed_identity,
            "sealed_name": self.patient.sealed_name,
            "recorded_by": caller.subject,
        }

    def facts(self, discharge_id: UUID) -> dict[str, Any]:
        """The bill as other services hear it."""
        return facts(self.bill, self.patient, discharge_id, clock.now())


async def record_bills(
    session: AsyncSession, caller: Caller, keyring: Keyring, bills: Sequence[DischargeBill]
) -> list[Recorded | Problem]:
    """Record first versions; for each, in order, the bill that now stands or why there is none.

    The same content under the same number is the same bill, whoever asks how often; another content is refused.
    """
    institutions = await Registry(session).institutions(bill.institution_code for bill in bills)
    discharges = Discharges(session)
    later = await discharges.versions({bill.natural_key for bill in bills if bill.version != 1})
    outcomes: list[Recorded | Problem | None] = [
        _refusal(bill, institutions, caller, first=bill.version == 1 or bill.natural_key in later) for bill in bills
    ]
    drafts, drafted = [], set()
    for place, bill in enumerate(bills):
        # A second line with the same number is held against the first one, like one that comes later.
        if outcomes[place] is None and bill.version == 1 and bill.natural_key not in drafted:
            drafted.add(bill.natural_key)
            drafts.append((place, Sealed.of(bill, keyring), rules.discharge_id_of(bill.institution_code, bill.bill_no)))
        if place % BREATH == 0:
            await asyncio.sleep(0)
    # In one order, whatever the order of the lines: two batches with the same bills must not wait for each other.
    drafts.sort(key=lambda draft: (draft[1].bill.institution_code, draft[1].bill.bill_no))
    digests = [sealed.patient.identity_digest for _, sealed, _ in drafts]
    counties = await Registry(session).counties_of(digest for digest in digests if digest)
    heads = [_head_of_first(s, one, caller, institutions[s.bill.institution_code], counties) for _, s, one in drafts]
    added = await discharges.add(heads, [sealed.version(number, "bill", None, caller) for _, sealed, number in drafts])
    for done, ((place, sealed, discharge_id), head) in enumerate(zip(drafts, heads, strict=True)):
        if discharge_id in added:
            outcomes[place] = Recorded(discharge_id, fresh=True)
            discharges.note_change(head, "recorded")
            record(session, caller, "recorded", "discharge", discharge_id, {"version": 1})
            say(session, DischargeBilled(**sealed.facts(discharge_id)))
        if done % BREATH == 0:
            await asyncio.sleep(0)
    return await recorded_before(session, caller, keyring, bills, outcomes)


def _refusal(
    bill: DischargeBill, institutions: dict[str, InstitutionCopy], caller: Caller, *, first: bool
) -> Problem | None:
    """Why this caller can't have this bill recorded, whatever stands already."""
    institution = institutions.get(bill.institution_code)
    if caller.has("hospital"):
        if caller.institution_code != bill.institution_code:
            return NotYourInstitution()
    elif institution and (institution.county_code == caller.county_code or institution.has_client):
        return NotYourInstitution()
    errors = [] if institution else [UNKNOWN_INSTITUTION]
    if not first:
        errors.append(FieldError("/version", "version_not_first", "首次报送的版本号应为 1；更正请走更正接口。"))
    errors += impossible(bill, clock.today())
    return Invalid(errors) if errors else None


def _head_of_first(
    sealed: Sealed, discharge_id: UUID, caller: Caller, institution: InstitutionCopy, counties: dict[str, str]
) -> dict[str, Any]:
    window = not caller.has("hospital")
    return sealed.head(
        discharge_id=discharge_id,
        institution_code=sealed.bill.institution_code,
        bill_no=sealed.bill.bill_no,
        version=1,
        state="recorded",
        county_code=counties.get(sealed.patient.identity_digest or "", institution.county_code),
        recorded_county_code=caller.county_code if window else institution.county_code,
        recorded_by_window=window,
    )


async def recorded_before(
    session: AsyncSession, caller: Caller, keyring: Keyring, bills: Sequence[DischargeBill], judged: Outcomes = ()
) -> list[Recorded | Problem]:
    """What became of bills whose number stands already; an outcome that is ``judged`` by other reasons stays."""
    outcomes, discharges = judged or [None] * len(bills), Discharges(session)
    known = {bill.natural_key for bill, outcome in zip(bills, outcomes, strict=True) if outcome is None}
    versions = await discharges.versions(known)
    ids = [version.discharge_id for version in versions.values()]
    seen = {bill.discharge_id for bill in await discharges.many(ids, caller)}
    filled = []
    for place, (bill, outcome) in enumerate(zip(bills, outcomes, strict=True)):
        if place % BREATH == 0:
            await session.flush()
            await asyncio.sleep(0)
        found = outcome or _recorded_before(versions.get(bill.natural_key), seen, bill, keyring)
        if outcome is None and isinstance(found, Recorded):
            record(session, caller, "recorded_again", "discharge", found.discharge_id)
        filled.append(found)
    return filled


def _recorded_before(
    kept: BillVersion | None, seen: set[UUID], bill: DischargeBill, keyring: Keyring
) -> Recorded | Problem:
    """A number that stands already: the same bill again, or another one under its number."""
    if kept is None or kept.kind == "void" or kept.discharge_id not in seen:
        # A void has no bill to compare with, and what another county's window recorded is not this caller's to know.
        return BillAlreadyRecorded()
    changed = _changed(kept, bill, keyring)
    if changed:
        differ = [FieldError(pointer, "differs", "与已登记的内容不同。") for pointer in changed]
        return BillAlreadyRecorded(errors=differ, discharge_id=str(kept.discharge_id))
    return Recorded(kept.discharge_id, fresh=False)


def _changed(kept: BillVersion, bill: DischargeBill, keyring: Keyring) -> list[str]:
    """The fields in which a bill differs from a recorded version, by value."""
    number = bill.patient.identity_number
    sent = {"identity_number": None if number is None else identity_number.canonical(number)}
    known = {"identity_number": None if kept.sealed_identity is None else keyring.open(kept.sealed_identity)}
    sent["name"], known["name"] = plain_name(bill.patient.name), plain_name(keyring.open(kept.sealed_name))
    content = bill.model_dump(mode="json", exclude={"patient"})
    return rules.differences({**kept.content, "patient": known}, {**content, "patient": sent})


async def correct(
    session: AsyncSession, caller: Caller, keyring: Keyring, discharge_id: UUID, reason: str, bill: DischargeBill
) -> Recorded:
    """Put a bill right: the whole bill again, as the next version. The patient may change, its number not.

    The hospital corrects its own bills; the insurance window (hrss) those that are settled through it.
    """
    discharges = Discharges(session)
    known = await _may_change(discharges, caller, discharge_id)
    if known.state == "voided":
        raise BillVoided
    if (bill.institution_code, bill.bill_no) != (known.institution_code, known.bill_no):
        wrong = FieldError("/bill/bill_no", "natural_key_changed", "更正不能改变医疗机构和结算单号；请作废后另行报送。")
        raise Invalid([wrong])
    kept = await discharges.version(known.institution_code, known.bill_no, bill.version)
    if kept is not None and kept.version == known.version and not _changed(kept, bill, keyring):
        return Recorded(discharge_id, fresh=False)
    if bill.version != known.version + 1:
        raise VersionConflict
    if errors := impossible(bill, clock.today()):
        raise Invalid([FieldError(f"/bill{error.pointer}", error.code, error.detail) for error in errors])
    sealed = Sealed.of(bill, keyring)
    await discharges.add_version(sealed.version(discharge_id, "correction", reason, caller))
    head = sealed.head(version=bill.version, state="recorded")
    for name, value in head.items():
        setattr(known, name, value)
    discharges.note_change(known, "recorded")
    record(session, caller, "corrected", "discharge", discharge_id, {"version": bill.version})
    say(session, DischargeCorrected(**sealed.facts(discharge_id)))
    return Recorded(discharge_id, fresh=True)


async def void(session: AsyncSession, caller: Caller, discharge_id: UUID, reason: str) -> None:
    """Withdraw a bill as a whole. Doing it again changes nothing."""
    discharges = Discharges(session)
    known = await _may_change(discharges, caller, discharge_id)
    if known.state == "voided":
        record(session, caller, "voided_again", "discharge", discharge_id)
        return
    last = await discharges.latest_content(discharge_id)
    known.version, known.state = known.version + 1, "voided"
    patient = {"sealed_identity": last.sealed_identity, "sealed_name": last.sealed_name}
    key = {"institution_code": known.institution_code, "bill_no": known.bill_no, "version": known.version}
    said = {"kind": "void", "reason": reason, "content": {}, "recorded_by": caller.subject}
    await discharges.add_version({**key, **said, **patient, "discharge_id": discharge_id})
    discharges.note_change(known, "voided")
    record(session, caller, "voided", "discharge", discharge_id, {"version": known.version})
    say(session, DischargeVoided(discharge_id=discharge_id, version=known.version))


async def _may_change(discharges: Discharges, caller: Caller, discharge_id: UUID) -> Discharge:
    """The bill, locked, if this caller may put it right."""
    known = await discharges.one(discharge_id, caller, lock=True)
    if known is None:
        raise NotFound
    if caller.has("hospital") and known.institution_code == caller.institution_code:
        return known
    if not caller.has("hrss"):
        raise NotFound
    if known.recorded_by_window and known.recorded_county_code == caller.county_code:
        return known
    settlement = (await discharges.settlements_of([discharge_id])).get(discharge_id)
    through_window = settlement is not None and settlement.procedure == "insurance_window"
    if not through_window or known.county_code != caller.county_code:
        raise NotYourInstitution("社保局只能更正经本县社保窗口办理的结算单。")
    return known


async def hear_settled(session: AsyncSession, event: BillSettled) -> bool:
    """Keep how a bill was settled; whether this told something new."""
    discharges = Discharges(session)
    known = await discharges.locked(event.discharge_id)
    fresh = await discharges.keep_settlement(
        event.model_dump(exclude={"settlement"}) | {"settlement": event.settlement}
    )
    if not fresh:
        return False
    if known is not None:
        known.county_code = event.county_code
        if known.state != "voided" and event.bill_version == known.version:
            known.state = event.state
        discharges.note_change(known, known.state, event.settlement_id)
    return True


def shown_settlement(bill: Discharge, settlement: BillSettlement | None) -> dict[str, Any] | None:
    """The settlement an answer shows: of the bill's present version, or the voided one of a voided bill."""
    if settlement is None:
        return None
    if settlement.bill_version == bill.version or (bill.state == settlement.state == "voided"):
        return settlement.settlement
    return None


async def read(session: AsyncSession, caller: Caller, keyring: Keyring, discharge_id: UUID) -> dict[str, Any]:
    """A bill whole, as it was sent, with its settlement and flags."""
    discharges = Discharges(session)
    bill = await discharges.one(discharge_id, caller)
    if bill is None:
        raise NotFound
    content = await discharges.latest_content(discharge_id)
    settlement = (await discharges.settlements_of([discharge_id])).get(discharge_id)
    patient = {
        "identity_number": None if content.sealed_identity is None else keyring.open(content.sealed_identity),
        "name": keyring.open(content.sealed_name),
    }
    record(session, caller, "read", "discharge", discharge_id)
    return {
        **answer(bill, settlement),
        "flags": await discharges.flags(bill),
        "bill": {**content.content, "patient": patient},
    }


def answer(bill: Discharge, settlement: BillSettlement | None) -> dict[str, Any]:
    """The short answer about a bill."""
    return {
        "discharge_id": bill.discharge_id,
        "institution_code": bill.institution_code,
        "bill_no": bill.bill_no,
        "version": bill.version,
        "state": bill.state,
        "settlement": shown_settlement(bill, settlement),
        "admitted_on": bill.admitted_on,
        "discharged_on": bill.discharged_on,
        "total": bill.total_fen,
        "recorded_at": bill.recorded_at,
    }


async def answers(session: AsyncSession, caller: Caller, discharge_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The short answers about bills as they stand now."""
    discharges = Discharges(session)
    settlements = await discharges.settlements_of(discharge_ids)
    bills = await discharges.many(discharge_ids, caller)
    return {bill.discharge_id: answer(bill, settlements.get(bill.discharge_id)) for bill in bills}


async def page(
    session: AsyncSession, caller: Caller, *, limit: int, before: int | None, filters: dict[str, Any]
) -> tuple[list[Discharge], list[dict[str, Any]]]:
    """Bills of the caller's scope, newest first, with the answers about them. Looking is audited."""
    discharges = Discharges(session)
    rows = await discharges.page(caller, limit=limit, before=before, **filters)
    settlements = await discharges.settlements_of([row.discharge_id for row in rows])
    asked = {name: str(value) for name, value in filters.items() if value is not None}
    seen = [str(row.discharge_id) for row in rows[: limit - 1]]
    record(session, caller, "listed", "discharge", "*", {"filters": asked, "discharges": seen})
    return rows, [answer(row, settlements.get(row.discharge_id)) for row in rows]


async def changes(session: AsyncSession, caller: Caller, after: int, limit: int) -> list[DischargeChange]:
    """What changed with a hospital's own bills, in the order of the commits. Looking is audited."""
    rows = await Discharges(session).changes(caller.institution_code or "", after, limit)
    if rows:
        seen = {"after": after, "discharges": sorted({str(row.discharge_id) for row in rows})}
        record(session, caller, "read_changes", "discharge", "*", seen)
    return rows


async def place_changes(database: Database) -> None:
    """Give committed changes their positions, a portion at a time: before a hospital asks, and by the clock."""
    while True:
        async with database.transaction(SERVICE) as session:
            if await Discharges(session).place_changes() < PORTION:
                return
