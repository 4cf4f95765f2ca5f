"""Dated facts: inclusive days, ``to: null`` is open, and the periods of one list never overlap."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from shared.kit.fields import Body, LawDate, refuse


class RegistryPeriod(Body):
    """Days on which something holds, both ends included."""

    first_day: LawDate = Field(alias="from", description="起始日（含）")
    last_day: LawDate | None = Field(default=None, alias="to", description="截止日（含）；null 为至今")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day is not None and self.last_day < self.first_day:
            raise refuse("dates_out_of_order", "截止日期早于起始日期。")
        return self


P = TypeVar("P", bound=RegistryPeriod)


def no_overlap(periods: list[P]) -> list[P]:
    """Two facts of one kind can't hold on one day: it would be open which of them a bill is judged by."""
    if overlapping(periods):
        raise refuse("periods_overlap", "同一列表中的时段重叠，请核对起止日期。")
    return periods


def overlapping(periods: Sequence[RegistryPeriod]) -> bool:
    """Whether two of the periods share a day."""
    ordered = sorted(periods, key=lambda period: period.first_day)
    return any((earlier.last_day or date.max) >= later.first_day for earlier, later in pairwise(ordered))


Periods = Annotated[list[RegistryPeriod], Field(max_length=100), AfterValidator(no_overlap)]
