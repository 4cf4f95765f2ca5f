"""The country's working days as the package ``chinesecalendar`` has them: the State Council's yearly notices.

The package is data, and is asked by one job only; everybody else asks the table.
"""

from datetime import date, timedelta
from importlib.metadata import version

FIRST_YEAR = 2018
"""The first year in which a clock of the counties' plans runs."""

Day = tuple[bool, str]
"""Whether a day is worked, and what it is called where it is no ordinary one."""


def source() -> str:
    """The document behind every day of the table."""
    return f"国务院办公厅节假日安排通知（据 chinesecalendar {version('chinesecalendar')}）"


def country_days() -> dict[date, Day]:
    """Every day of every year that the package knows whole, from `FIRST_YEAR` on."""
    # Imported here: only where the worker runs is it needed.
    from chinese_calendar.constants import Holiday, holidays, workdays

    # A year's notice names its National Day; a year of which only the first days are named is not known yet.
    years = {day.year for day, name in holidays.items() if name == Holiday.national_day.value}
    days: dict[date, Day] = {}
    for year in sorted(year for year in years if year >= FIRST_YEAR):
        for day in days_of(year):
            free, made_up = holidays.get(day), workdays.get(day)
            if made_up is not None:
                days[day] = True, f"{Holiday(made_up).chinese}调休上班"
            elif free is not None:
                days[day] = False, Holiday(free).chinese
            else:
                days[day] = ordinary(day)
    return days


def ordinary(day: date) -> Day:
    """A day of which no notice speaks."""
    return (True, "") if day.weekday() < 5 else (False, "周末")


def days_of(year: int) -> list[date]:
    """The days of a year."""
    first = date(year, 1, 1)
    return [first + timedelta(days=number) for number in range((date(year + 1, 1, 1) - first).days)]
