"""Recording bills fast: what is clear is written here, many bills to a commit; all else is `discharges.service`'s."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from asyncpg import Record
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bills.facts import SealedPatient, facts_of
from shared.bills.form import DischargeBill
from shared.bills.rules import contradictions
from shared.events.treatment import DischargeBilled
from shared.kit import clock
from shared.kit.caller import Caller
from shared.kit.combiner import SETTINGS, Combiner, Pair
from shared.kit.database import Database
from shared.kit.direct import Direct
from shared.kit.events import enveloped
from shared.kit.log import request_id
from shared.kit.money import yuan
from shared.kit.outbox import Said
from shared.kit.problems import Problem
from shared.kit.scope import Scope
from shared.kit.sealing import Keyring
from shared.kit.waits import Waiter, Waits
from treatment_service.discharges import rules, service
from treatment_service.discharges.schemas import DischargeAnswer
from treatment_service.intake.formats import bill as bills
from treatment_service.intake.formats.bill import Read
from treatment_service.intake.repository import CHUNK, RECORD, Intake, apart
from treatment_service.registry.repository import Registry

SUBJECT = DischargeBilled.subject
# What of a settlement that is told goes into the answer. Its text may come as it was heard, unread (`msgspec.Raw`).
TOLD = ("bill_version", "state", "settlement")
LIVE = frozenset(("settled", "held", "rejected"))
BATCHES_AT_ONCE = 2

_encoder = msgspec.json.Encoder()


class Answer(Struct, gc=False):
    """What `DischargeAnswer` says, of a bill that was recorded just now."""

    discharge_id: UUID
    institution_code: str
    bill_no: str
    version: int
    state: str
    settlement: dict[str, Any] | None
    admitted_on: date
    discharged_on: date
    total: str
    recorded_at: str

    @classmethod
    def of(cls, draft: "Draft", recorded_at: datetime) -> "Answer":
        """The bill as it stands when its transaction is over: nobody has settled it yet."""
        bill = draft.read.bill
        return cls(
            draft.discharge_id,
            bill.institution_code,
            bill.bill_no,
            1,
            "recorded",
            None,
            bill.stay.admitted_on,
            bill.stay.discharged_on,
            yuan(draft.read.charged[0]),
            clock.rfc3339(recorded_at),
        )


class Draft(NamedTuple):
    """A new bill with its patient sealed, and the event that will tell of it."""

    read: Read
    discharge_id: UUID
    event_id: UUID
    identity_digest: str | None
    sealed_identity: str | None
    sealed_name: str
    payload: bytes

    @property
    def event(self) -> tuple[UUID, str, bytes]:
        """Id, subject and payload of its event."""
        return self.event_id, SUBJECT, self.payload

    @classmethod
    def of(cls, read: Read, keyring: Keyring) -> "Draft":
        """Seal the patient and write the event down."""
        bill, event_id, now = read.bill, uuid4(), clock.now()
        discharge_id = rules.discharge_id_of(bill.institution_code, bill.bill_no)
        patient = SealedPatient.of(bill.patient, keyring)
        told = facts_of(bill, bills.values(read), patient, discharge_id, now)
        payload = enveloped(event_id, SUBJECT, now, request_id.get(), told)
        number, name = patient.sealed_identity, patient.sealed_name
        return cls(read, discharge_id, event_id, patient.identity_digest, number, name, payload)


def clear(read: Read | None, institution_code: str, today: date) -> bool:
    """Whether a bill is the common case: an institution's own, new, and without contradictions."""
    if read is None:
        return False
    bill, stay = read.bill, read.bill.stay
    return (
        bill.version == 1
        and bill.institution_code == institution_code
        and not contradictions(read.charged, read.reimbursed, stay.admitted_on, stay.discharged_on, today)
    )


class Asker(NamedTuple):
    """Who sends a bill, whose rows the token opens, and where and why it was sent."""

    caller: Caller
    scope: Scope
    roles: str
    institution_code: str
    address: str = ""
    reason: str = ""


class Known(Exception):
    """The key or the bill number stands already, or the institution does not: nothing of this bill was kept."""


class Desk:
    """Where single bills are written together: one a process, with a connection of its own."""

    def __init__(self, database: Database, keyring: Keyring, waits: Waits) -> None:
        self.database, self.keyring, self.waits = database, keyring, waits
        direct = Direct(database.url, application=database.application, settings=SETTINGS)
        self.combiner = Combiner(direct, RECORD, self._committed, apart=apart)
        self.batches = asyncio.Semaphore(BATCHES_AT_ONCE)

    async def __aenter__(self) -> "Desk":
        self._writing = asyncio.create_task(self.combiner.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._writing

    async def record(self, draft: Draft, asker: Asker, path: str, key: str, wait: int) -> bytes:
        """The answer, after the commit; with the settlement if that comes within ``wait`` seconds.

        Raises `Known`, `combiner.NotWritten` or `combiner.TooMuchWaiting` where it is not simply "recorded".
        """
        row = self._row(draft, asker, path, key)
        if not wait:
            return _encoder.encode(_recorded(draft, await self.combiner.write(row)))
        # From before it is written: once it is, the settlement may come at any moment.
        with self.waits.expecting(draft.discharge_id) as waiter:
            answer = _recorded(draft, await self.combiner.write(row))
            return _encoder.encode(answer) if waiter is None else await self._settled(answer, asker, waiter, wait)

    async def _settled(self, answer: Answer, asker: Asker, waiter: Waiter, wait: int) -> bytes:
        """The answer with the settlement as it is told, or the bill as it stands when looked for."""
        latest: dict[str, Any] = {}

        async def look() -> bool | None:
            async with self.database.transaction(Scope.of(asker.caller)) as session:
                found = await service.answers(session, asker.caller, [answer.discharge_id])
            latest.update(found.get(answer.discharge_id, {}))
            return True if latest.get("settlement") is not None or latest.get("state") == "voided" else None

        await waiter.hear(wait, look)
        if (told := waiter.told) is not None:
            told = told if isinstance(told, Mapping) else {name: getattr(told, name) for name in TOLD}
            if told["bill_version"] == answer.version and told["state"] in LIVE:
                answer.state, answer.settlement = told["state"], told["settlement"]
                return _encoder.encode(answer)
            await look()
        return DischargeAnswer.model_validate(latest).model_dump_json().encode() if latest else _encoder.encode(answer)

    def _row(self, draft: Draft, asker: Asker, path: str, key: str) -> tuple[Any, ...]:
        """The columns of `RECORD`."""
        caller, read = asker.caller, draft.read
        bill, stay = read.bill, read.bill.stay
        return (
            asker.scope.institution,
            asker.scope.subject,
            caller.subject,
            path,
            key,
            self.keyring.fingerprint(read.canonical),
            b'{"discharge_id":"%s"}' % str(draft.discharge_id).encode(),
            draft.discharge_id,
            bill.institution_code,
            bill.bill_no,
            draft.identity_digest,
            stay.admission_no,
            stay.admitted_on,
            stay.discharged_on,
            read.charged[0],
            bills.content(bill),
            draft.sealed_identity,
            draft.sealed_name,
            caller.county_code,
            asker.roles,
            request_id.get(),
            asker.address,
            asker.reason,
            draft.event_id,
            draft.payload,
        )

    def _committed(self, pairs: Sequence[Pair]) -> None:
        """Hand the events to the relay: what it misses it finds in the outbox."""
        said = [
            # The event's id and payload come last.
            Said(row["seq"], arguments[-2], SUBJECT, arguments[-1])
            for arguments, row in pairs
            if row["kept"] is not None
        ]
        if said:
            # Without rows it would mean: look through the outbox.
            self.database.said(said)


def _recorded(draft: Draft, row: Record) -> Answer:
    if row["kept"] is None:
        raise Known
    return Answer.of(draft, row["recorded_at"])


Line = Read | DischargeBill | Problem
Outcome = Answer | service.Recorded | Problem


async def record_batch(
    session: AsyncSession, caller: Caller, keyring: Keyring, lines: Sequence[Line]
) -> tuple[list[Outcome], list[Said]]:
    """Record the bills of a batch; for each line, in order, what became of it, and the events to hand on.

    A hospital's own new bills are written many at a time. Whatever else a line may be is judged as if it came alone.
    """
    code, today = caller.institution_code or "", clock.today()
    own = (await Registry(session).institutions([code])).get(code) if caller.has("hospital") else None
    outcomes: list[Outcome | None] = [line if isinstance(line, Problem) else None for line in lines]
    fresh: list[tuple[int, Read]] = []
    numbers: set[str] = set()
    again: set[int] = set()
    for place, line in enumerate(lines):
        read = line if isinstance(line, Read) else bills.of(line) if isinstance(line, DischargeBill) else None
        if own is not None and read is not None and clear(read, code, today):
            # A second line with the same number is held against the first one, like one that comes later.
            if read.bill.bill_no in numbers:
                again.add(place)
            else:
                numbers.add(read.bill.bill_no)
                fresh.append((place, read))
    # In one order, whatever the order of the lines: two batches with the same bills must not wait for each other.
    fresh.sort(key=lambda each: each[1].bill.bill_no)
    said: list[Said] = []
    for start in range(0, len(fresh), CHUNK):
        assert own is not None
        chunk = fresh[start : start + CHUNK]
        drafts = await _drafted([read for _, read in chunk], keyring)
        since = await _add(session, caller, own.county_code, drafts, said)
        for (place, _), draft in zip(chunk, drafts, strict=True):
            if draft.discharge_id in since:
                outcomes[place] = Answer.of(draft, since[draft.discharge_id])
        await asyncio.sleep(0)
    left = await _left(lines, outcomes)
    again |= {place for place, _ in fresh}
    taken = [(place, bill) for place, bill in left if place in again]
    others = [(place, bill) for place, bill in left if place not in again]
    found = await service.recorded_before(session, caller, keyring, [bill for _, bill in taken])
    found += await service.record_bills(session, caller, keyring, [bill for _, bill in others])
    for (place, _), outcome in zip(taken + others, found, strict=True):
        outcomes[place] = outcome
    return [outcome for outcome in outcomes if outcome is not None], said


async def _left(lines: Sequence[Line], outcomes: Sequence[Outcome | None]) -> list[tuple[int, DischargeBill]]:
    """The lines that were not simply new, for the careful path: their places and bills."""
    left = []
    for place, line in enumerate(lines):
        if outcomes[place] is None and not isinstance(line, Problem):
            left.append((place, bills.whole(line) if isinstance(line, Read) else line))
            if len(left) % service.BREATH == 0:
                await asyncio.sleep(0)
    return left


async def _drafted(read: Sequence[Read], keyring: Keyring) -> list[Draft]:
    drafts = []
    for number, each in enumerate(read, 1):
        drafts.append(Draft.of(each, keyring))
        if number % service.BREATH == 0:
            await asyncio.sleep(0)
    return drafts


async def _add(
    session: AsyncSession, caller: Caller, county_code: str, drafts: Sequence[Draft], said: list[Said]
) -> Mapping[UUID, datetime]:
    """Write a chunk; which of its bills are new, and since when."""
    intake, code = Intake(session), drafts[0].read.bill.institution_code
    since = await intake.add_heads(code, county_code, list(zip(*map(_head, drafts), strict=True)))
    new = [draft for draft in drafts if draft.discharge_id in since]
    if new:
        numbers, bill_nos, contents, identities, names, events, payloads = zip(*map(_rest, new), strict=True)
        by = (" ".join(sorted(caller.roles)), request_id.get(), caller.address, caller.reason)
        rest = (numbers, code, caller.subject, bill_nos, contents, identities, names, caller.county_code, *by)
        seqs = await intake.add_rest(*rest, SUBJECT, events, payloads)
        said += [Said(seqs[draft.event_id], *draft.event) for draft in new]
    return since


def _head(draft: Draft) -> tuple[Any, ...]:
    bill, stay = draft.read.bill, draft.read.bill.stay
    found_by = (draft.identity_digest, stay.admission_no, stay.admitted_on, stay.discharged_on)
    return draft.discharge_id, bill.bill_no, *found_by, draft.read.charged[0]


def _rest(draft: Draft) -> tuple[Any, ...]:
    bill = draft.read.bill
    sealed = (draft.sealed_identity, draft.sealed_name)
    return draft.discharge_id, bill.bill_no, bills.content(bill).decode(), *sealed, draft.event_id, draft.payload
