"""Property tests that count themselves: what a run really tried is added up and checked in the last file."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

PROMISED: dict[str, int] = {}
RAN: Counter[str] = Counter()


def holds(*strategies: SearchStrategy[Any], examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property over `examples` drawn cases, the same ones in every run. Each one tried to its end is counted."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        name = f"{test.__module__}.{test.__name__}"
        PROMISED[name] = examples

        @functools.wraps(test)
        def counted(*drawn: Any, **named: Any) -> None:
            test(*drawn, **named)
            RAN[name] += 1

        chosen = settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        return chosen(given(*strategies)(counted))

    return decorate
