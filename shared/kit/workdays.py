"""Counting working days (工作日): pure, from a calendar that somebody else keeps.

The day of the event does not count, the next one is the first. A day the calendar does not know is never guessed: in
China a weekend may be worked and a Wednesday be free by a notice of that year.
"""

from collections.abc import Mapping
from datetime import date, timedelta

Calendar = Mapping[date, bool]
"""Days, and whether each is worked."""

ONE = timedelta(days=1)


class DayUnknown(LookupError):
    """The calendar does not say whether this day is worked."""

    def __init__(self, day: date) -> None:
        super().__init__(f"nothing says whether {day} is worked")
        self.day = day


def is_worked(calendar: Calendar, day: date) -> bool:
    """Whether a day is worked; `DayUnknown` where the calendar is silent."""
    known = calendar.get(day)
    if known is None:
        raise DayUnknown(day)
    return known


def due(calendar: Calendar, start: date, days: int) -> date:
    """The last of ``days`` working days after the day of an event; a term of none ends on that day itself."""
    if days < 0:
        raise ValueError("a term has no fewer than no days")
    day = start
    while days:
        day += ONE
        days -= is_worked(calendar, day)
    return day


def left(calendar: Calendar, today: date, until: date) -> int:
    """The working days after today up to a due date; below nothing, those since it, today's among them."""
    if today <= until:
        return _worked(calendar, today, until)
    return -_worked(calendar, until, today)


def _worked(calendar: Calendar, after: date, until: date) -> int:
    span = (until - after).days
    return sum(is_worked(calendar, after + ONE * step) for step in range(1, span + 1))
