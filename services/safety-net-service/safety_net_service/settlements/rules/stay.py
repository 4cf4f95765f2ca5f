"""The days of a stay: how many, under which packs, which pack judges, and by which procedure the money flows."""

from dataclasses import dataclass
from datetime import date, timedelta

from safety_net_service.settlements.rules.facts import Bill
from safety_net_service.settlements.rules.outcome import Procedure
from safety_net_service.settlements.rules.pack import PackShelf
from safety_net_service.settlements.rules.shape import SettlementPack


@dataclass(frozen=True, slots=True)
class Slice:
    """Some days of a stay, both ends inclusive, and the pack that governs them (None: no policy)."""

    first_day: date
    last_day: date
    pack: SettlementPack | None

    @property
    def days(self) -> int:
        """How many days."""
        return (self.last_day - self.first_day).days + 1


def last_counted_day(admitted_on: date, discharged_on: date) -> date:
    """The day before the discharge, which does not count; the admission day does, so a same-day stay is one day."""
    return max(discharged_on - timedelta(days=1), admitted_on)


def cut(shelf: PackShelf, county_code: str, admitted_on: date, discharged_on: date) -> tuple[Slice, ...]:
    """Cut a stay at the packs it crosses (R-17, R-18).

    A pack cut by admission takes the whole stay admitted in its days and none other; one cut by discharge likewise
    by the discharge. Days outside every pack are cut by calendar year, for they are shown by year.
    """
    last_day = last_counted_day(admitted_on, discharged_on)
    at_admission = shelf.find(county_code, admitted_on)
    if at_admission is not None and at_admission.cut_by == "admission":
        return (Slice(admitted_on, last_day, at_admission),)
    at_discharge = shelf.find(county_code, discharged_on)
    if at_discharge is not None and at_discharge.cut_by == "discharge":
        return (Slice(admitted_on, last_day, at_discharge),)
    slices: list[Slice] = []
    for period in shelf.periods(county_code, admitted_on, last_day):
        if period.document is not None and period.document.cut_by == "days":
            slices.append(Slice(period.first_day, period.last_day, period.document))
        else:
            slices.extend(_by_year(period.first_day, period.last_day))
    return tuple(slices)


def _by_year(first_day: date, last_day: date) -> list[Slice]:
    slices: list[Slice] = []
    while first_day <= last_day:
        end = min(date(first_day.year, 12, 31), last_day)
        slices.append(Slice(first_day, end, None))
        first_day = end + timedelta(days=1)
    return slices


def judging_pack(slices: tuple[Slice, ...]) -> SettlementPack | None:
    """The pack in force on the admission date, or else the first one the stay reaches (C-12)."""
    return next((each.pack for each in slices if each.pack is not None), None)


def procedure(bill: Bill, pack: SettlementPack, in_county: bool) -> Procedure:
    """How the money reaches the patient, by the admission date (R-13, R-14, R-16): never how much."""
    if bill.admitted_on < pack.day("advance_from"):
        return "joint_review"
    if not in_county:
        return "insurance_window"
    return "hospital_advance" if bill.pay_later_agreement_no is not None else "joint_review"


def months_of_age(birth_date: date, day: date) -> int:
    """Full months by the calendar; where a month lacks the day of birth, it is full on the first of the next."""
    months = (day.year - birth_date.year) * 12 + day.month - birth_date.month
    return months - 1 if day.day < birth_date.day else months
