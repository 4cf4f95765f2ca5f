"""The worked cases: what the law makes of a bill, exact to the fen, with decision, reasons, procedure and years."""

from pathlib import Path
from typing import Any

import pytest

from safety_net_service.settlements.rules import PackShelf, load_shelf
from shared.kit.policy import Shelf
from tests.policies.cases import Case, read_cases
from tests.rules.builders import POLICIES, PROOF_PACKS, YONGSHOU, luzhai_shelf, shelf_with_2019

CASES = [case for path in sorted((Path(__file__).parent / "cases").glob("*.yaml")) for case in read_cases(path)]
EXAMPLES = [case for path in sorted(POLICIES.glob("*/settlement/*.examples.yaml")) for case in read_cases(path)]


def _shelf(name: str) -> PackShelf:
    if name == "with_2019":
        return shelf_with_2019()
    if name == "yongshou":
        return Shelf(load_shelf(PROOF_PACKS).of_county(YONGSHOU))
    assert name == "shipped"
    return luzhai_shelf()


def _params(cases: list[Case]) -> list[Any]:
    return [pytest.param(case, id=case.name, marks=pytest.mark.clause(*case.clauses)) for case in cases]


@pytest.mark.parametrize("case", _params(CASES))
def test_a_worked_case_comes_out_as_written(case: Case) -> None:
    assert not case.misses(_shelf(case.packs))


@pytest.mark.parametrize("case", _params(EXAMPLES))
def test_an_example_beside_a_pack_comes_out_as_written(case: Case) -> None:
    assert not case.misses(luzhai_shelf())


def test_every_case_has_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert len(names) >= 40


def test_a_case_that_is_not_met_says_where_and_what() -> None:
    case = next(each for each in CASES if each.name == "C-01")
    wrong = Case(case.name, (), case.packs, {}, case.inputs, {"safety_net": "3200.01", "decision": "pass"}, case.where)
    assert wrong.misses(luzhai_shelf()) == [f"C-01 ({case.where}): safety_net is '3200.00', expected '3200.01'"]
