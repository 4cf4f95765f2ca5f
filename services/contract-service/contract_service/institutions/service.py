"""The use cases: register an institution, change it, and learn that it has a client of its own."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.accounts import service as accounts
from contract_service.errors import InstitutionAlreadyRegistered, OtherCountysInstitution
from contract_service.institutions.models import Institution, InstitutionState
from contract_service.institutions.repository import Institutions
from contract_service.institutions.schemas import InstitutionCreate
from contract_service.revisions import Match, merged
from shared.events.contract import InstitutionChanged, Period
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import SYSTEM, Caller
from shared.kit.cursors import Page
from shared.kit.fields import FieldError
from shared.kit.idempotency import Once
from shared.kit.outbox import say
from shared.kit.problems import Invalid, NotFound, field_errors

FACTS = tuple(InstitutionCreate.model_fields)
NATIONAL_CODE = re.compile(r"[A-Z]([0-9]{6})[0-9]{5}")


async def register(
    session: AsyncSession, caller: Caller, once: Once, wanted: InstitutionCreate
) -> tuple[Institution, bool]:
    """Register an institution; and whether this is the answer to a request seen before."""
    if replay := await once.claim(session, caller):
        return await read(session, replay.ids["institution_code"]), True
    _check(wanted)
    institutions = Institutions(session)
    has_client = await accounts.has_client(session, wanted.institution_code)
    institution = await institutions.add(_facts(wanted), caller.county_code, has_client)
    if institution is None:
        raise InstitutionAlreadyRegistered
    _keep_and_say(session, institution, caller)
    record(session, caller, "registered", "institution", institution.institution_code)
    await once.keep(session, caller, 201, institution_code=institution.institution_code)
    return institution, False


async def read(session: AsyncSession, code: str) -> Institution:
    """One institution."""
    institution = await Institutions(session).of_code(code)
    if institution is None:
        raise NotFound
    return institution


async def page_of(session: AsyncSession, page: Page, filters: dict[str, str | None]) -> list[Institution]:
    """One page of institutions, newest first."""
    return await Institutions(session).page(page, filters)


async def history(session: AsyncSession, page: Page, code: str) -> list[InstitutionState]:
    """Every state the record had, newest first."""
    await read(session, code)
    return await Institutions(session).states(code, page)


async def change(session: AsyncSession, caller: Caller, match: Match, code: str, patch: dict[str, Any]) -> Institution:
    """Change an institution. What changes nothing makes no new state and says nothing: services would go in circles.

    The county that registered it keeps the record; the county its code names may take it over by changing it.
    """
    # Only who may change it may lock it: to others row-level security shows no row to be locked.
    shown = await read(session, code)
    if caller.county_code not in (shown.registered_by_county, _home(code)):
        raise OtherCountysInstitution
    institution = await Institutions(session).of_code(code, to_change=True)
    if institution is None:
        raise NotFound
    match.require(institution.revision)
    try:
        wanted = InstitutionCreate.model_validate(merged(_state(institution), patch))
    except ValidationError as error:
        raise Invalid(field_errors(error.errors())) from None
    _check(wanted, code)
    facts = _facts(wanted)
    changed = sorted(name for name in FACTS if getattr(institution, name) != facts[name])
    taken_over = institution.registered_by_county != caller.county_code
    if changed:
        institution.registered_by_county = caller.county_code
        for name in changed:
            setattr(institution, name, facts[name])
        _next_revision(institution)
        _keep_and_say(session, institution, caller)
    # Also when nothing changed: the caller concludes that the state is kept, so the answer must wait like any other.
    detail = {"fields": changed} | ({"taken_over": True} if changed and taken_over else {})
    record(session, caller, "changed", "institution", code, detail)
    return institution


async def clients_appeared(session: AsyncSession, codes: Iterable[str]) -> None:
    """These institutions' own systems post their bills from now on: said to those who let others post for them."""
    for institution in await Institutions(session).without_client(codes):
        institution.has_client = True
        _next_revision(institution)
        _keep_and_say(session, institution, SYSTEM)
        record(session, SYSTEM, "client_appeared", "institution", institution.institution_code)


async def known(session: AsyncSession, code: str) -> Institution | None:
    """An institution, if the register knows it."""
    return await Institutions(session).of_code(code)


async def township_of(session: AsyncSession, code: str) -> str | None:
    """The township of an institution, where the register knows one."""
    institution = await Institutions(session).of_code(code)
    return institution.township_code if institution else None


def _home(code: str) -> str | None:
    """The county that a national code names in its second to seventh characters (``H45022300001``)."""
    found = NATIONAL_CODE.fullmatch(code)
    return found[1] if found else None


def _check(wanted: InstitutionCreate, code: str | None = None) -> None:
    errors = []
    if code is not None and wanted.institution_code != code:
        errors.append(FieldError("/institution_code", "institution_code_fixed", "机构编码不能修改。"))
    if wanted.township_code is not None and wanted.township_code[:6] != wanted.county_code:
        errors.append(FieldError("/township_code", "township_outside_county", "乡镇代码不属于该机构所在县。"))
    if errors:
        raise Invalid(errors)


def _facts(wanted: InstitutionCreate) -> dict[str, Any]:
    return wanted.model_dump(mode="json", by_alias=True)


def _state(institution: Institution) -> dict[str, Any]:
    return {name: getattr(institution, name) for name in FACTS}


def _next_revision(institution: Institution) -> None:
    institution.revision += 1
    institution.changed_at = clock.now()


def _keep_and_say(session: AsyncSession, institution: Institution, caller: Caller) -> None:
    state = _state(institution) | {"has_client": institution.has_client}
    Institutions(session).keep_state(institution, state, caller.subject)
    _say(session, institution)


async def say_again(session: AsyncSession, codes: Collection[str]) -> None:
    """Say once more how these institutions are registered, to services that may know them otherwise."""
    for institution in await Institutions(session).of_codes(codes):
        _say(session, institution)


def _say(session: AsyncSession, institution: Institution) -> None:
    say(
        session,
        InstitutionChanged(
            institution_code=institution.institution_code,
            revision=institution.revision,
            name=institution.name,
            kind=institution.kind,
            level=institution.level,
            county_code=institution.county_code,
            township_code=institution.township_code,
            insurance_designated=[
                Period(first_day=period["from"], last_day=period["to"]) for period in institution.insurance_designated
            ],
            has_client=institution.has_client,
        ),
    )
