"""The clocks of a claim (A3-25(4), (5); R-15, R-50). Pure."""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Term:
    """How many working days a step has, and which words give them."""

    step: str
    days: int
    clause: str


OFFICE_REVIEW = Term("office_review", 7, "A3-25")
DEPARTMENTS = Term("departments", 3, "A3-25")
TERMS = {"submitted": OFFICE_REVIEW, "reviewed": DEPARTMENTS}
"""The term that runs in each state. The Office's begins with the receipt of the complete batch (R-50), the departments'
when they receive it from the Office (R-15)."""


def month_end(first: date) -> date:
    """The last day of the month that begins on this day."""
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
