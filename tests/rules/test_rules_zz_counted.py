"""Runs last of the rules: how many drawn examples were really tried, over all properties."""

import pytest

from tests.rules.counting import PROMISED, RAN

AT_LEAST = 10_000


def test_ten_thousand_examples_were_tried() -> None:
    if set(RAN) != set(PROMISED):
        pytest.skip("only some of the properties were run")
    assert sum(RAN.values()) >= AT_LEAST, dict(RAN)
    few = {name: RAN[name] for name, promised in PROMISED.items() if RAN[name] * 2 < promised}
    assert not few, f"mostly discarded: {few}"
