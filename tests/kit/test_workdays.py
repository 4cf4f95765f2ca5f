"""Counting working days: the county's worked cases, and what holds of every calendar."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_net_service.workdays.formats.country import country_days
from shared.kit.workdays import Calendar, DayUnknown, due, left

COUNTRY = {day: worked for day, (worked, _) in country_days().items()}
FIRST = date(2018, 1, 1)
# Counted apart from this code, with two packages that agreed on every day.
WORKDAYS = {2018: 250, 2019: 250, 2020: 249, 2021: 250, 2022: 249, 2023: 249, 2024: 251, 2025: 248, 2026: 248}
WORKED_WEEKENDS = {
    2018: "02-11 02-24 04-08 04-28 09-29 09-30 12-29",
    2019: "02-02 02-03 04-28 05-05 09-29 10-12",
    2020: "01-19 04-26 05-09 06-28 09-27 10-10",
    2026: "01-04 02-14 02-28 05-09 09-20 10-10",
}


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """A year and a half of days, none of them more than ten free days from the next one worked."""
    worked = draw(st.lists(st.booleans(), min_size=550, max_size=550))
    return {FIRST + timedelta(days=n): free or n % 11 == 0 for n, free in enumerate(worked)}


days = st.integers(min_value=0, max_value=30)
starts = st.integers(min_value=0, max_value=180).map(lambda n: FIRST + timedelta(days=n))


@pytest.mark.clause("C-20")
def test_a_batch_received_on_a_friday_in_august() -> None:
    review = due(COUNTRY, date(2018, 8, 3), 7)
    returned = due(COUNTRY, review, 3)
    paid = due(COUNTRY, returned, 5)
    assert (review, returned, paid) == (date(2018, 8, 14), date(2018, 8, 17), date(2018, 8, 24))


@pytest.mark.clause("C-20b")
def test_a_batch_received_before_the_autumn_holidays() -> None:
    review = due(COUNTRY, date(2018, 9, 20), 7)
    returned = due(COUNTRY, review, 3)
    paid = due(COUNTRY, returned, 5)
    assert (review, returned, paid) == (date(2018, 9, 30), date(2018, 10, 10), date(2018, 10, 17))


def test_the_countrys_years_are_whole_and_as_counted_elsewhere() -> None:
    for year, count in WORKDAYS.items():
        of_year = {day: worked for day, worked in COUNTRY.items() if day.year == year}
        assert len(of_year) == (date(year + 1, 1, 1) - date(year, 1, 1)).days
        assert sum(of_year.values()) == count, year
    for year, named in WORKED_WEEKENDS.items():
        worked = [day for day, worked in COUNTRY.items() if day.year == year and worked and day.weekday() > 4]
        assert [f"{day:%m-%d}" for day in worked] == named.split()


def test_a_day_nobody_told_of_is_never_guessed() -> None:
    with pytest.raises(DayUnknown) as unknown:
        due(COUNTRY, max(COUNTRY), 1)
    assert unknown.value.day == max(COUNTRY) + timedelta(days=1)
    with pytest.raises(DayUnknown):
        left({FIRST: True}, FIRST, FIRST + timedelta(days=1))
    with pytest.raises(ValueError, match="no fewer"):
        due(COUNTRY, FIRST, -1)


def test_days_left_and_days_late() -> None:
    friday, tuesday = date(2018, 8, 3), date(2018, 8, 14)
    assert left(COUNTRY, friday, tuesday) == 7
    assert left(COUNTRY, tuesday, tuesday) == 0
    assert left(COUNTRY, date(2018, 8, 15), tuesday) == -1
    # Over a weekend nobody gets later.
    assert left(COUNTRY, date(2018, 8, 19), date(2018, 8, 17)) == 0


@given(calendars(), starts, days)
def test_a_term_ends_on_a_day_worked_with_as_many_before_it(calendar: Calendar, start: date, term: int) -> None:
    end = due(calendar, start, term)
    counted = [day for day in calendar if start < day <= end and calendar[day]]
    assert len(counted) == term
    assert end == (counted[-1] if counted else start)
    assert left(calendar, start, end) == term


@given(calendars(), starts, days, days)
def test_one_term_after_another_is_their_sum(calendar: Calendar, start: date, first: int, second: int) -> None:
    assert due(calendar, due(calendar, start, first), second) == due(calendar, start, first + second)


@given(calendars(), starts, days, st.integers(min_value=0, max_value=90))
def test_a_day_more_off_never_brings_the_end_forward(calendar: Calendar, start: date, term: int, off: int) -> None:
    rested = {**calendar, start + timedelta(days=off): False}
    assert due(rested, start, term) >= due(calendar, start, term)


@given(calendars(), starts, st.integers(min_value=-60, max_value=60))
def test_what_is_left_and_what_is_late_mirror_each_other(calendar: Calendar, start: date, span: int) -> None:
    other = max(FIRST, start + timedelta(days=span))
    assert left(calendar, start, other) == -left(calendar, other, start)
