"""Which days are worked in a county, and when a term ends (7, 3 and 5 working days: A3-24, A3-25).

The country's days come from the State Council's notices (`formats.country`). A county's own document goes before them:
Guangxi gives everyone 三月三, and only the yearly notice of its government says which days that makes. A year nobody
has told of is refused, never guessed.
"""

from calendar import isleap
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.errors import WorkingDaysUnknown, WorkingYearKnown
from safety_net_service.workdays.formats import country
from safety_net_service.workdays.models import COUNTRY, WorkingDay
from safety_net_service.workdays.repository import WorkingDays
from safety_net_service.workdays.schemas import ArrangementBody
from shared.kit import clock, workdays
from shared.kit.audit import record
from shared.kit.caller import SYSTEM, Caller
from shared.kit.database import Database
from shared.kit.log import log
from shared.kit.problems import FieldError, Invalid, NotFound
from shared.kit.scope import SERVICE

WARNED_FROM = (12, 1)
"""From 1 December on the next year must be known: a term that begins then may end in it."""
LONGEST_REST = 30
"""More days than ever lie between two working days, and then some."""


async def deadline(session: AsyncSession, county_code: str, start: date, days: int) -> date:
    """The last day of a term of working days after an event; `WorkingDaysUnknown` for a year nobody has told of."""
    until = _far(start, 2 * days + LONGEST_REST)
    known = await calendar(session, county_code, start, until)
    try:
        return workdays.due(known, start, days)
    except workdays.DayUnknown as unknown:
        raise WorkingDaysUnknown(year=unknown.day.year) from None


async def calendar(session: AsyncSession, county_code: str, first: date, last: date) -> dict[date, bool]:
    """What is known of these days in a county, for many terms at once."""
    told = await _told(session, county_code, first, last)
    return {day: bool(word.is_workday) for day, word in told.items()}


async def year_of(session: AsyncSession, county_code: str, year: int) -> list[WorkingDay]:
    """Every day of a year; `WorkingDaysUnknown` unless all of them are known."""
    told = await _told(session, county_code, date(year, 1, 1), date(year, 12, 31))
    if len(told) < _length(year):
        raise WorkingDaysUnknown(year=year)
    return list(told.values())


async def known_years(session: AsyncSession, county_code: str) -> list[int]:
    """The years in which terms can be counted."""
    found = await WorkingDays(session).days_of_years(county_code)
    return sorted(year for year, days in found.items() if days == _length(year))


def missing_years(known: Iterable[int], today: date) -> list[int]:
    """The years that somebody must see to: this one, and from 1 December the next."""
    wanted = [today.year] + [today.year + 1] * ((today.month, today.day) >= WARNED_FROM)
    return [year for year in wanted if year not in set(known)]


async def enter(session: AsyncSession, caller: Caller, body: ArrangementBody) -> UUID:
    """Keep a document about the county's days. It counts at once, and also for terms that run already."""
    if errors := _contradictions(body):
        raise Invalid(errors)
    days = WorkingDays(session)
    words: dict[date, tuple[bool | None, str]] = {}
    if body.whole_year:
        if body.year in await known_years(session, COUNTRY):
            raise WorkingYearKnown
        own = await _told(session, caller.county_code, date(body.year, 1, 1), date(body.year, 12, 31))
        words |= {day: country.ordinary(day) for day in country.days_of(body.year) if day not in own}
    words |= dict.fromkeys(body.rest_days, (False, body.name))
    words |= dict.fromkeys(body.workdays, (True, body.name))
    words |= dict.fromkeys(body.as_country, (None, body.name))
    arrangement_id = uuid4()
    await days.add(_rows(words, caller.county_code, body.source, caller.subject, arrangement_id))
    detail = {"year": body.year, "days": len(words), "source": body.source}
    record(session, caller, "entered", "working_days", arrangement_id, detail)
    return arrangement_id


async def arrangement(session: AsyncSession, caller: Caller, arrangement_id: UUID) -> list[WorkingDay]:
    """One document's days, of the caller's county."""
    rows = await WorkingDays(session).of_arrangement(arrangement_id)
    if not rows or rows[0].county_code != caller.county_code:
        raise NotFound
    return rows


async def keep_up(database: Database) -> None:
    """Bring the country's days up to what the package knows, and say in the log which year is missing.

    A day on which the package has changed its mind (a holiday prolonged in an epidemic) gets a new word.
    """
    told, source = country.country_days(), country.source()
    async with database.transaction(SERVICE) as session:
        days = WorkingDays(session)
        await days.take_turn()
        known = {word.day: (word.is_workday, word.name) for word in await days.between(COUNTRY, min(told), max(told))}
        fresh = {day: word for day, word in told.items() if known.get(day) != word}
        if fresh:
            arrangement_id = uuid4()
            await days.add(_rows(fresh, COUNTRY, source, SYSTEM.subject, arrangement_id))
            record(session, SYSTEM, "entered", "working_days", arrangement_id, {"days": len(fresh), "source": source})
        missing = missing_years(await known_years(session, COUNTRY), clock.today())
    for year in missing:
        log("warning", "working_year_missing", code=str(year))


async def _told(session: AsyncSession, county_code: str, first: date, last: date) -> dict[date, WorkingDay]:
    told: dict[date, WorkingDay] = {}
    for word in await WorkingDays(session).between(county_code, first, last):
        if word.is_workday is not None:
            told[word.day] = word
    return told


def _rows(
    words: dict[date, Any], county_code: str, source: str, entered_by: str, arrangement_id: UUID
) -> list[dict[str, Any]]:
    told = {"county_code": county_code, "source": source, "entered_by": entered_by, "arrangement_id": arrangement_id}
    return [{**told, "day": day, "is_workday": worked, "name": name} for day, (worked, name) in words.items()]


def _contradictions(body: ArrangementBody) -> list[FieldError]:
    errors, seen = [], set()
    for field in ("rest_days", "workdays", "as_country"):
        for place, day in enumerate(getattr(body, field)):
            where = f"/{field}/{place}"
            if day.year != body.year:
                errors.append(FieldError(where, "day_of_another_year", "该日不在所填年份内。"))
            if day in seen:
                errors.append(FieldError(where, "day_twice", "同一日出现了两次。"))
            seen.add(day)
    if not seen and not body.whole_year:
        errors.append(FieldError("/rest_days", "nothing_arranged", "至少填写一个放假、上班或恢复全国安排的日子。"))
    return errors


def _length(year: int) -> int:
    return 366 if isleap(year) else 365


def _far(start: date, days: int) -> date:
    return start + timedelta(days=min(days, (date.max - start).days))
