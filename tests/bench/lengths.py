"""How long and how large everything is: in full, or shortened by ``SECONDS`` for a trial whose figures mean little."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Seconds of each kind of measuring, and how much there is of what."""

    runs: int = 3
    load: float = 60.0
    baseline: float = 30.0
    warm_up: float = 5.0
    wait: float = 30.0
    open_loop: float = 30.0
    proxy: float = 8.0
    decide: float = 5.0
    residents: int = 2000
    residents_growth: int = 300
    batch_lines: int = 5000
    reads: int = 100
    settlements_small: int = 10_000
    settlements_large: int = 1_000_000

    @property
    def full(self) -> bool:
        """Whether the figures are those that are promised."""
        return self == Lengths()


def lengths(seconds: float | None, runs: int | None) -> Lengths:
    """As given by ``SECONDS`` and ``RUNS``; in full without them."""
    if seconds is None:
        return Lengths() if runs is None else Lengths(runs=runs)
    tiny = seconds < 5
    return Lengths(
        runs=runs or 1,
        load=seconds,
        baseline=seconds,
        warm_up=min(seconds, 2.0),
        wait=seconds,
        open_loop=seconds,
        proxy=seconds,
        decide=seconds,
        residents=60 if tiny else 500,
        residents_growth=60,
        batch_lines=100 if tiny else 5000,
        reads=10 if tiny else 50,
        settlements_small=1000 if tiny else 10_000,
        settlements_large=3000 if tiny else 100_000,
    )
