"""The use cases: register a resident, change the record, find and read it within the caller's reach."""

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.errors import ResidentAlreadyRegistered
from contract_service.institutions import service as institutions
from contract_service.residents import rules
from contract_service.residents.models import Resident, ResidentIdentity, ResidentState
from contract_service.residents.repository import Reach, Residents
from contract_service.residents.schemas import ResidentCreate, ResidentRead, ResidentStateRead
from contract_service.revisions import Match, merged
from shared.events.contract import IdentityDigest, InsurancePeriod, Period, PovertyPeriod, ResidentChanged
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.cursors import Page
from shared.kit.idempotency import Once
from shared.kit.identity_number import canonical
from shared.kit.outbox import say
from shared.kit.problems import Invalid, NotFound, field_errors
from shared.kit.sealing import Keyring, plain_name

COUNTY_READERS = ("health_bureau", "poverty_office", "hrss", "civil_affairs", "safety_net_office", "auditor")
TOWNSHIP_READERS = ("township_government", "township_centre", "family_doctor")
REGISTRARS = ("poverty_office", "health_bureau")
# The fields that are columns under the same name. The identity lies in a table of its own, the phone is sealed.
FACTS = tuple(name for name in ResidentCreate.model_fields if name not in ("identity", "phone"))
# What is sealed in the history of a record, where nobody is looked for by name.
SEALED = ("name", "phone")


async def register(
    session: AsyncSession, keyring: Keyring, caller: Caller, once: Once, wanted: ResidentCreate
) -> tuple[ResidentRead, bool]:
    """Register a resident; and whether this is the answer to a request seen before."""
    if replay := await once.claim(session, caller):
        resident = await Residents(session).one(Reach(caller.county_code, None), UUID(replay.ids["resident_id"]))
        if resident is None:
            raise NotFound
        record(session, caller, "read", "resident", resident.resident_id, {"by": "replay"})
        return (await _shown(session, keyring, [resident]))[0], True
    number = _checked(wanted, caller.county_code)
    resident = Resident(county_code=caller.county_code, resident_id=uuid4(), revision=0)
    await _put(session, keyring, caller, resident, wanted, number)
    record(session, caller, "registered", "resident", resident.resident_id)
    await once.keep(session, caller, 201, resident_id=str(resident.resident_id))
    return (await _shown(session, keyring, [resident]))[0], False


async def change(
    session: AsyncSession, keyring: Keyring, caller: Caller, match: Match, resident_id: UUID, patch: dict[str, Any]
) -> ResidentRead:
    """Change a record. What changes nothing makes no new state and says nothing: services would go in circles."""
    residents = Residents(session)
    resident = await residents.one(Reach(caller.county_code, None), resident_id, to_change=True)
    if resident is None:
        raise NotFound
    match.require(resident.revision)
    present = (await residents.identities([resident]))[resident_id][0]
    before = _document(keyring, resident, {"type": present.type, "number": keyring.open(present.sealed_number)})
    try:
        wanted = ResidentCreate.model_validate(merged(before, patch))
    except ValidationError as error:
        raise Invalid(field_errors(error.errors())) from None
    number = _checked(wanted, caller.county_code)
    after = wanted.model_dump(mode="json", by_alias=True)
    after["identity"]["number"] = number
    if changed := rules.differing(before, after):
        await _put(session, keyring, caller, resident, wanted, number)
    # Also when nothing changed: the caller concludes that the state is kept, so the answer must wait like any other.
    record(session, caller, "changed", "resident", resident_id, {"fields": changed})
    return (await _shown(session, keyring, [resident]))[0]


async def read(session: AsyncSession, keyring: Keyring, caller: Caller, resident_id: UUID) -> ResidentRead:
    """One resident within the caller's reach."""
    resident = await _within_reach(session, caller, resident_id)
    record(session, caller, "read", "resident", resident_id)
    return (await _shown(session, keyring, [resident]))[0]


async def search(session: AsyncSession, keyring: Keyring, caller: Caller, number: str) -> list[ResidentRead]:
    """Who is or was known by this number: nobody, or one."""
    reach = await reach_of(session, caller)
    resident = await Residents(session).of_digest(reach, keyring.digest(canonical(number)))
    record(session, caller, "searched", "resident", resident.resident_id if resident else "-")
    return await _shown(session, keyring, [resident] if resident else [])


async def page_of(
    session: AsyncSession,
    keyring: Keyring,
    caller: Caller,
    page: Page,
    filters: dict[str, str | None],
    *,
    masked: bool,
) -> tuple[list[Resident], list[ResidentRead]]:
    """One page of residents within the caller's reach, newest first; ``masked``: of numbers the last four digits."""
    reach = await reach_of(session, caller)
    name = filters["name"]
    rows = await Residents(session).page(
        reach,
        page,
        name=None if name is None else plain_name(name),
        household_no=filters["household_no"],
        village_code=filters["village_code"],
    )
    shown = rows[: page.limit]
    detail = {
        "by": sorted(key for key, value in filters.items() if value is not None),
        "residents": [str(resident.resident_id) for resident in shown],
        "numbers": "last_four" if masked else "whole",
    }
    record(session, caller, "listed", "resident", "*", detail)
    return rows, await _shown(session, keyring, shown, masked=masked)


async def history(
    session: AsyncSession, keyring: Keyring, caller: Caller, page: Page, resident_id: UUID
) -> tuple[list[ResidentState], list[ResidentStateRead]]:
    """Every state of a record within the caller's reach, newest first."""
    resident = await _within_reach(session, caller, resident_id)
    record(session, caller, "read_history", "resident", resident_id)
    rows = list(await Residents(session).states(resident, page))
    return rows, [_state_shown(keyring, row) for row in rows]


async def reach_of(session: AsyncSession, caller: Caller) -> Reach:
    """Which residents the caller may see.

    A township's office sees its township, a township centre (乡镇卫生院) the township its institution lies in. A family
    doctor sees the residents of his own team, and until teams are kept that is nobody.
    """
    if caller.has(*COUNTY_READERS):
        return Reach(caller.county_code, None)
    townships = []
    if caller.has("township_government"):
        townships.append(caller.township_code)
    if caller.has("township_centre"):
        code = caller.institution_code
        townships.append(await institutions.township_of(session, code) if code else None)
    return Reach(caller.county_code, tuple(rules.village_prefixes(townships)))


async def _within_reach(session: AsyncSession, caller: Caller, resident_id: UUID) -> Resident:
    resident = await Residents(session).one(await reach_of(session, caller), resident_id)
    if resident is None:
        raise NotFound
    return resident


def _checked(wanted: ResidentCreate, county_code: str) -> str:
    """The number, as it is kept, of a record that breaks no rule."""
    today = clock.today()
    number, errors = rules.number_of(wanted.identity, today)
    errors += rules.broken(wanted, county_code, today)
    if errors:
        raise Invalid(errors)
    return number


async def _put(
    session: AsyncSession, keyring: Keyring, caller: Caller, resident: Resident, wanted: ResidentCreate, number: str
) -> None:
    """Make the record read as wanted: a new revision, its state in the history, and said to the other services."""
    residents = Residents(session)
    facts = wanted.model_dump(mode="json", by_alias=True)
    for name in FACTS:
        setattr(resident, name, facts[name])
    resident.birth_date = wanted.birth_date
    resident.sealed_phone = None if wanted.phone is None else keyring.seal(wanted.phone)
    resident.plain_name = plain_name(wanted.name)
    resident.revision += 1
    resident.changed_at = clock.now()
    residents.add(resident)
    await session.flush()
    sealed, digest = keyring.seal(number), keyring.digest(canonical(number))
    owner = await residents.claim_identity(
        {
            "county_code": resident.county_code,
            "digest": digest,
            "resident_id": resident.resident_id,
            "type": wanted.identity.type,
            "sealed_number": sealed,
            "sealed_last_four": keyring.seal(number[-4:]),
        }
    )
    if owner is not None:
        raise ResidentAlreadyRegistered(resident_id=str(owner))
    identity = {"type": wanted.identity.type, "sealed_number": sealed}
    state = _document(keyring, resident, identity)
    for name in SEALED:
        said = state.pop(name)
        state[f"sealed_{name}"] = None if said is None else keyring.seal(said)
    residents.keep_state(resident, state, caller.subject)
    documents = (await residents.identities([resident]))[resident.resident_id]
    say(session, _said(keyring, resident, documents))


async def say_again(session: AsyncSession, keyring: Keyring, resident_ids: Collection[UUID]) -> None:
    """Say once more how these residents are registered, to services that may know them otherwise."""
    residents = await Residents(session).of_ids(resident_ids)
    documents = await Residents(session).identities(residents)
    for resident in residents:
        say(session, _said(keyring, resident, documents[resident.resident_id]))


def _document(keyring: Keyring, resident: Resident, identity: dict[str, str]) -> dict[str, Any]:
    """The record as a caller would write it, around the given identity."""
    facts = {name: getattr(resident, name) for name in FACTS}
    phone = None if resident.sealed_phone is None else keyring.open(resident.sealed_phone)
    return {"identity": identity, **facts, "phone": phone, "birth_date": resident.birth_date.isoformat()}


def _said(keyring: Keyring, resident: Resident, documents: list[ResidentIdentity]) -> ResidentChanged:
    return ResidentChanged(
        resident_id=resident.resident_id,
        revision=resident.revision,
        county_code=resident.county_code,
        village_code=resident.village_code,
        household_no=resident.household_no,
        identities=[IdentityDigest(type=document.type, digest=document.digest) for document in documents],
        name_digest=keyring.name_digest(resident.name),
        sealed_name=keyring.seal(resident.name),
        sex=resident.sex,
        birth_date=resident.birth_date,
        registered_poor=[
            PovertyPeriod(first_day=period["from"], last_day=period["to"], category=period["category"])
            for period in resident.registered_poor
        ],
        insurance=[
            InsurancePeriod(
                first_day=period["from"],
                last_day=period["to"],
                scheme=period["scheme"],
                suspended=[Period(first_day=off["from"], last_day=off["to"]) for off in period["suspended"]],
            )
            for period in resident.insurance
        ],
        household_registration=resident.household_registration,
        birth_document=resident.birth_document,
        severe_mental_disorder=resident.severe_mental_disorder,
    )


async def _shown(
    session: AsyncSession, keyring: Keyring, residents: list[Resident], *, masked: bool = False
) -> list[ResidentRead]:
    """The records as a caller who may see them reads them."""
    documents = await Residents(session).identities(residents)
    shown = []
    for resident in residents:
        opened = [_opened(keyring, document, masked=masked) for document in documents[resident.resident_id]]
        present = opened[0]
        # Only a whole number can be held against the record.
        odd = (
            []
            if masked
            else rules.oddities(
                present["type"],
                present["number"],
                birth=resident.birth_date,
                sex=resident.sex,
                county_code=resident.county_code,
            )
        )
        about = {name: getattr(resident, name) for name in ("resident_id", "county_code", "revision", "changed_at")}
        state = _document(keyring, resident, present) | about | {"former_identities": opened[1:], "warnings": odd}
        shown.append(ResidentRead.model_validate(state))
    return shown


def _opened(keyring: Keyring, document: ResidentIdentity, *, masked: bool) -> dict[str, str]:
    """A document with its number, or with its last four digits, which were sealed apart."""
    if not masked:
        return {"type": document.type, "number": keyring.open(document.sealed_number)}
    last_four = (
        keyring.open(document.sealed_number)[-4:]
        if document.sealed_last_four is None
        else keyring.open(document.sealed_last_four)
    )
    return {"type": document.type, "number": rules.masked(last_four)}


def _state_shown(keyring: Keyring, row: ResidentState) -> ResidentStateRead:
    identity = row.state["identity"]
    opened: dict[str, Any] = {"type": identity["type"], "number": keyring.open(identity["sealed_number"])}
    said = {name: row.state[f"sealed_{name}"] for name in SEALED}
    facts = {name: None if sealed is None else keyring.open(sealed) for name, sealed in said.items()}
    return ResidentStateRead.model_validate(
        {
            "revision": row.revision,
            "changed_by": row.changed_by,
            "changed_at": row.changed_at,
            "resident": row.state | facts | {"identity": opened},
        }
    )
