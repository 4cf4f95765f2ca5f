"""What a broken pack says: file, line and column, before it is in force. Beside it the shelf's refusals and dates."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from safety_net_service.settlements.rules import PackShelf, load_pack, load_shelf, parse_pack
from shared.kit.policy import NotInForce, PolicyError, Shelf, parse_document, read_document
from tests.rules.builders import LUZHAI, POLICIES, PROOF_PACKS, URAD, day, luzhai_shelf, shelf_with_2019

BROKEN = Path(__file__).parent / "broken"
WHOLE = (BROKEN / "whole.yaml").read_text(encoding="utf-8")
REFUSALS: list[dict[str, Any]] = yaml.safe_load((BROKEN / "refusals.yaml").read_text(encoding="utf-8"))
CLAIMS = {"a ratio that is added": ("R-42",)}


def _changed(*changes: tuple[str, str]) -> str:
    text = WHOLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(
            each, id=each["name"], marks=[pytest.mark.clause(*CLAIMS[each["name"]])] if each["name"] in CLAIMS else []
        )
        for each in REFUSALS
    ],
)
def test_a_broken_pack_is_refused_where_it_is_broken(refusal: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_pack(_changed(*refusal["change"]), "broken.yaml")
    assert str(refused.value) == f"broken.yaml:{refusal['says']}"


def test_the_pack_that_is_broken_in_all_these_ways_is_whole() -> None:
    pack = parse_pack(WHOLE, "whole.yaml")
    assert (pack.version, len(pack.steps), len(pack.numbers)) == ("test/2018.1", 3, 9)
    assert len({each["name"] for each in REFUSALS}) == len(REFUSALS) >= 70


def _written(folder: Path, county: str, name: str, *changes: tuple[str, str]) -> Path:
    path = folder / county / "settlement" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_changed(*changes), encoding="utf-8")
    return path


YEAR_2019 = (("test/2018.1", "test/2019.1"), ("from: 2018-01-01, to: 2018-12-31", "from: 2019-01-01, to: none"))


def test_packs_of_one_county_may_not_overlap(tmp_path: Path) -> None:
    _written(tmp_path, LUZHAI, "2018-01-01.yaml", ("to: 2018-12-31", "to: 2019-01-01"))
    _written(tmp_path, LUZHAI, "2019-01-01.yaml", *YEAR_2019)
    with pytest.raises(PolicyError) as refused:
        load_shelf(tmp_path)
    said = "test/2019.1 begins on 2019-01-01, while test/2018.1 is still in force"
    assert str(refused.value) == f"{LUZHAI}/settlement/2019-01-01.yaml:1:9: {said}"


def test_an_open_pack_may_not_be_followed(tmp_path: Path) -> None:
    _written(tmp_path, LUZHAI, "2018-01-01.yaml", ("to: 2018-12-31", "to: none"))
    _written(tmp_path, LUZHAI, "2019-01-01.yaml", *YEAR_2019)
    with pytest.raises(PolicyError, match=r"while test/2018\.1 is still in force"):
        load_shelf(tmp_path)


def test_a_gap_between_packs_is_a_warning(tmp_path: Path) -> None:
    _written(tmp_path, LUZHAI, "2018-01-01.yaml", ("to: 2018-12-31", "to: 2018-11-30"))
    _written(tmp_path, LUZHAI, "2019-01-01.yaml", *YEAR_2019)
    assert load_shelf(tmp_path).warnings == (
        f"county {LUZHAI}: no policy between 2018-11-30 (test/2018.1) and 2019-01-01 (test/2019.1)",
    )


def test_packs_that_follow_each_other_leave_no_gap() -> None:
    assert shelf_with_2019().warnings == ()


def test_two_packs_may_not_bear_one_version(tmp_path: Path) -> None:
    _written(tmp_path, LUZHAI, "2018-01-01.yaml")
    _written(tmp_path, URAD, "2018-01-01.yaml", ('"450223"', f'"{URAD}"'))
    with pytest.raises(PolicyError, match=r"version 'test/2018\.1' is already that of another document"):
        load_shelf(tmp_path)


def test_a_file_is_named_by_its_effective_date(tmp_path: Path) -> None:
    path = _written(tmp_path, LUZHAI, "2018-01-02.yaml")
    with pytest.raises(PolicyError) as refused:
        load_pack(path, tmp_path)
    said = "the file is named 2018-01-02.yaml, but the pack is in force from 2018-01-01"
    assert str(refused.value) == f"{LUZHAI}/settlement/2018-01-02.yaml:1:9: {said}"


def test_a_file_lies_in_its_county(tmp_path: Path) -> None:
    path = _written(tmp_path, URAD, "2018-01-01.yaml")
    with pytest.raises(PolicyError, match=f"the file lies in folder {URAD}, but the county is {LUZHAI}"):
        load_pack(path, tmp_path)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xb9\xb8", "odd.yaml:1:1: the file is not UTF-8 text"),
        (b"", "odd.yaml:1:1: the document is empty"),
        (b"- a\n", "odd.yaml:1:1: a table of words must stand here"),
        (b"[a]: b\n", "odd.yaml:1:1: a single value must stand here, not a list or a table"),
    ],
)
def test_a_file_that_is_no_document(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "odd.yaml").write_bytes(raw)
    with pytest.raises(PolicyError) as refused:
        read_document(tmp_path / "odd.yaml", "odd.yaml")
    assert str(refused.value) == said


def test_no_scalar_becomes_anything_but_text() -> None:
    document = parse_document("a: no\nb: 0.90\nc: 2018-01-01\nd: ~\ne: 0o17\n", "types.yaml")
    assert [getattr(node, "text", None) for node in document.entries.values()] == [
        "no",
        "0.90",
        "2018-01-01",
        "~",
        "0o17",
    ]


def test_outside_its_dates_there_is_no_law() -> None:
    shelf = luzhai_shelf()
    assert shelf.in_force(LUZHAI, day("2018-12-31")).version == "luzhai/2018.1"
    for outside in ("2017-12-31", "2019-01-01"):
        with pytest.raises(NotInForce, match=f"county {LUZHAI} has no policy in force on {outside}"):
            shelf.in_force(LUZHAI, day(outside))
    with pytest.raises(NotInForce):
        shelf.in_force("000000", day("2018-06-01"))


def _periods(shelf: PackShelf, first: str, last: str) -> list[tuple[date, date, str | None]]:
    return [
        (each.first_day, each.last_day, each.document.version if each.document else None)
        for each in shelf.periods(LUZHAI, day(first), day(last))
    ]


def test_periods_cover_every_day_once() -> None:
    shelf = shelf_with_2019()
    assert _periods(shelf, "2017-12-30", "2020-01-02") == [
        (day("2017-12-30"), day("2017-12-31"), None),
        (day("2018-01-01"), day("2018-12-31"), "luzhai/2018.1"),
        (day("2019-01-01"), day("2019-12-31"), "luzhai/2019.1"),
        (day("2020-01-01"), day("2020-01-02"), None),
    ]
    assert _periods(shelf, "2018-12-31", "2018-12-31") == [(day("2018-12-31"), day("2018-12-31"), "luzhai/2018.1")]
    assert _periods(shelf, "2021-01-01", "2021-01-02") == [(day("2021-01-01"), day("2021-01-02"), None)]
    with pytest.raises(ValueError, match="lies before"):
        shelf.periods(LUZHAI, day("2018-01-02"), day("2018-01-01"))


def test_the_shipped_packs_leave_no_gap_and_the_proof_packs_load() -> None:
    assert luzhai_shelf().warnings == ()
    assert {pack.version for pack in luzhai_shelf()} == {"luzhai/2018.1", "urad_middle/2020.1"}
    assert {pack.version for pack in load_shelf(PROOF_PACKS)} == {"luzhai/2019.1", "yongshou/2017.1"}
    assert Shelf(load_shelf(POLICIES)).of_version("luzhai/2018.1") is not None
