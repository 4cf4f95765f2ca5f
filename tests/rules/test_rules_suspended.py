"""The days of a stay on which the insurance was stopped (A3-09), against counting them one by one."""

import time
from datetime import date, timedelta

import pytest
from hypothesis import strategies as st

from safety_net_service.settlements.rules import InsuranceSpan, Patient, Span
from safety_net_service.settlements.rules.eligibility import suspended_days
from tests.rules.builders import a_bill, a_patient, settled
from tests.rules.counting import holds

days = st.dates(date(2018, 1, 1), date(2018, 3, 31))
spans = st.builds(Span, days, st.none() | days)
insurances = st.builds(
    InsuranceSpan,
    days,
    st.none() | days,
    st.sampled_from(["resident", "resident", "employee"]),
    st.lists(spans, max_size=4).map(tuple),
)


def _one_by_one(patient: Patient, first_day: date, last_day: date) -> int:
    stay = (first_day + timedelta(days=offset) for offset in range((last_day - first_day).days + 1))
    return sum(
        any(
            span.scheme == "resident" and span.covers(day) and any(stop.covers(day) for stop in span.suspended)
            for span in patient.insurance
        )
        for day in stay
    )


@pytest.mark.clause("A3-09", "R-49")
@holds(st.lists(insurances, max_size=4), days, st.integers(0, 90), examples=2000)
def test_suspended_days_are_those_counted_one_by_one(
    insurance: list[InsuranceSpan], first_day: date, more: int
) -> None:
    patient = a_patient(insurance=tuple(insurance))
    last_day = first_day + timedelta(days=more)
    assert suspended_days(patient, first_day, last_day) == _one_by_one(patient, first_day, last_day)


@pytest.mark.clause("A3-09")
def test_a_stay_of_two_thousand_years_is_judged_at_once() -> None:
    stops = tuple(Span(date(1950, 1, 1) + timedelta(days=2 * each)) for each in range(100))
    patient = a_patient(insurance=(InsuranceSpan(date(1, 1, 1), None, "resident", stops),))
    bill = a_bill(admitted_on=date(1, 1, 1))
    began = time.process_time()
    settled(bill, patient)
    # Day by day it took most of a second.
    assert time.process_time() - began < 0.2
