"""No pack is shipped with a number or a word that nobody would notice changing."""

from functools import cache

import pytest

from tests.house.policy_text import notice, plain, urad
from tests.policies import report
from tests.policies.report import Findings, examine, examine_all, examples_of, number_changes, with_number
from tests.rules.builders import POLICIES, PROOF_PACKS, luzhai_2018, luzhai_shelf

LUZHAI_FILE = POLICIES / "450223" / "settlement" / "2018-01-01.yaml"


@cache
def _found() -> dict[str, Findings]:
    return {each.pack.version: each for each in examine_all()}


@pytest.mark.parametrize("version", ["luzhai/2018.1", "urad_middle/2020.1"])
def test_every_number_of_a_shipped_pack_is_pinned_by_an_example(version: str) -> None:
    found = _found()[version]
    assert not found.failing
    assert not found.unpinned_numbers
    assert not set(found.unpinned_words) - set(report.CHANGES_NOTHING.get(version, {}))
    assert found.may_be_shipped
    assert found.examples >= found.numbers > 0


def test_every_shipped_pack_is_examined() -> None:
    assert set(_found()) == {pack.version for pack in luzhai_shelf()}


def test_a_pack_without_examples_has_every_number_unpinned() -> None:
    found = examine(PROOF_PACKS / "450223" / "settlement" / "2019-01-01.yaml", PROOF_PACKS)
    assert found.examples == 0
    assert not found.may_be_shipped
    # "101%" is refused by the loader and so needs no example; everything else could be another number.
    assert len(found.unpinned_numbers) == 2 * found.numbers - 1
    assert found.unpinned_numbers[0] == "450223/settlement/2019-01-01.yaml:5:18: 2019-01-01 could be 2019-01-02"


def test_one_point_less_is_noticed_where_it_stands() -> None:
    text = LUZHAI_FILE.read_text(encoding="utf-8")
    number = next(each for each in luzhai_2018().numbers if each.text == "90%")
    assert list(number_changes(number)) == ['"91%"', '"89%"']
    changed = with_number(text, number, '"89%"')
    assert changed.count('"89%"') == 1
    assert report.noticed(changed, examples_of(LUZHAI_FILE))
    assert not report.noticed(text, examples_of(LUZHAI_FILE))


def test_make_policies_says_what_it_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "examine_all", lambda: list(_found().values()))
    assert report.main() == 0
    said = capsys.readouterr().out
    assert "luzhai/2018.1  鹿扶领办发〔2018〕37号  2018-01-01 to 2018-12-31" in said
    assert "numbers 9, unpinned 0" in said
    unpinned = examine(PROOF_PACKS / "450223" / "settlement" / "2019-01-01.yaml", PROOF_PACKS)
    monkeypatch.setattr(report, "examine_all", lambda: [unpinned])
    assert report.main() == 1
    assert "2019-01-01 could be 2019-01-02" in capsys.readouterr().out


@pytest.mark.clause("A3-04", "A3-20", "A3-21", "A3-22", "A3-23")
def test_quotes_of_the_shipped_packs_are_the_words_of_the_documents() -> None:
    for pack in luzhai_shelf():
        source = {"A": notice(), "U": urad()}
        quoted = {clause: words for clause, words in pack.clauses.items() if clause[0] in source}
        assert quoted
        for clause, words in quoted.items():
            assert plain(words) in plain(source[clause[0]]), f"{pack.version} {clause}"


def test_every_value_of_luzhai_bears_a_clause_with_its_words() -> None:
    pack = luzhai_2018()
    cited = {
        pack.dates_clause,
        pack.eligible_clause,
        pack.counted_clause,
        *pack.exclusions.values(),
        *(value.clause for value in pack.values.values()),
        *(step.clause for step in pack.steps),
        *(step.split.clause for step in pack.steps if step.split),
    }
    assert cited == set(pack.clauses)
    assert {f"A3-{number:02}" for number in range(5, 17)} <= set(pack.exclusions.values())
