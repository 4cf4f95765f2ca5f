"""Figures: medians, percentiles, a row of the table with its ratio, target and verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of the values do not exceed; not a number without any."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


@dataclass(frozen=True)
class Target:
    """What a figure must be: at least or at most so much of ``unit`` (``×``: times the baseline)."""

    sign: str
    bound: float
    unit: str = "×"

    def met(self, value: float) -> bool:
        """Whether a value meets it; not a number never does."""
        return value >= self.bound if self.sign == "≥" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:,.10g} {self.unit}".strip()


@dataclass
class Row:
    """One figure: ours and the baseline's value of each run, in run order, and what they must amount to.

    Without a baseline the figure itself is held against the target; without a target it is only shown. ``note`` says
    what belongs beside it; ``missing`` why there is none.
    """

    number: str
    name: str
    unit: str
    ours: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    baseline_name: str = ""
    target: Target | None = None
    note: str = ""
    missing: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours to the baseline, run by run."""
        return [one / other if other else math.nan for one, other in zip(self.ours, self.baseline, strict=False)]

    @property
    def value(self) -> float:
        """What is held against the target: the median of the ratios, or of the figures where nothing is beside them."""
        values = self.ratios if self.baseline else self.ours
        return median(values) if values else math.nan

    @property
    def verdict(self) -> str:
        """Met or missed; empty where nothing was asked."""
        if self.missing:
            return "not measured"
        if self.target is None:
            return ""
        return "met" if self.target.met(self.value) else "**missed**"


def shown(value: float) -> str:
    """A figure as a person reads it: three digits or all of a whole part."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "never"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
