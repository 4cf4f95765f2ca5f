"""The two source documents are kept as printed, and what is said about them is true of them."""

import re
from typing import Any

import pytest
import yaml

from tests.house.clauses import ROOT, read_register
from tests.house.policy_text import POLICY, notice, plain, urad, words_at
from tests.house.sources import committed

HIGHER: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (ROOT / "docs" / "higher-documents.yaml").read_text(encoding="utf-8")
)
NUMBER = re.compile(r"[\u4e00-\u9fff]+〔[0-9]{4}〕[0-9]+号")


@pytest.mark.parametrize(
    ("place", "begins"),
    [
        ("兜底 三(二)6", "6.县外定点医院就医"),
        ("兜底 三(二)10", "10.年满12个月"),
        ("兜底 六(二)1(4)", "4)医疗兜底保障办公室应在7个工作日"),
        ("慢病 四(三)", "(三)强化督导检查"),
        ("大病 前言", "为深入贯彻落实自治区卫生计生委"),
        ("乌中旗 精准施治", "精准施治,“3个1”机制"),
    ],
)
def test_a_place_is_found_in_the_text(place: str, begins: str) -> None:
    assert (words_at(place) or "").startswith(begins)


@pytest.mark.parametrize("place", ["兜底 三(二)12", "兜底 九", "慢病 三(九)", "特病 一", "乌中旗 精准什么", "兜底"])
def test_a_place_that_is_not_there_is_not_found(place: str) -> None:
    assert words_at(place) is None


def test_every_damaged_piece_stands_in_the_text_as_printed() -> None:
    page = (POLICY / "damaged-text.md").read_text(encoding="utf-8")
    pieces = re.findall(r"`([^`]*[\u4e00-\u9fff*][^`]*|[0-9]{7})`", page)
    missing = [piece for piece in pieces if not piece.startswith("R-") and plain(piece) not in plain(notice())]
    assert not missing, f"said to be damaged, but not in the text: {missing}"
    assert len(pieces) >= 20


def test_page_furniture_is_gone() -> None:
    for text in (notice(), urad()):
        assert not re.search(r"@|://|版权所有|备案|Navigation|字体大小|打印本页|0772-|ICP", text)


def test_the_notice_is_kept_once() -> None:
    for words in ("救助报销金额=住院总费用×90%—已救助报销总额", "公开方式:主动公开"):
        assert notice().count(words) == 1


def test_every_quote_of_a_pack_stands_where_its_clause_says() -> None:
    """Quotes of the two documents only: a reading is in our words, another county's text is not here."""
    known, looked_at = read_register().clauses, 0
    for file in committed(".yaml"):
        content = yaml.safe_load(file.text) if "/policies/" in file.path and file.path.startswith("services/") else {}
        for clause, quote in (content.get("clauses") or {}).items() if isinstance(content, dict) else ():
            if clause in known and not clause.startswith("R-"):
                words = plain(words_at(known[clause].place) or "")
                assert plain(quote) in words, f"{file.path}: {clause} does not say {quote!r}"
                looked_at += 1
    assert looked_at >= 15, "the shipped packs quote at least this often"


@pytest.mark.clause("R-25")
def test_the_masked_disease_stays_masked() -> None:
    assert re.findall(r"\*+", notice()) == ["*" * 15]
    assert "*" * 15 in (words_at("大病 一(一)") or "")
    # The likeliest guess is a treatment after transplants; its tell-tale word stands nowhere in what we ship.
    word = "抗" + "排斥"
    guessing = [file.path for file in committed() if word in file.text]
    assert not guessing, f"a guess at the masked disease: {guessing}"


@pytest.mark.clause("A1-01", "A2-01", "A3-02")
def test_the_register_holds_every_higher_document_the_sources_cite() -> None:
    held = {entry["number"] for entry in HIGHER["documents"]}
    mended = re.sub(r"〕([0-9]+) 号", r"〕\1号", notice()).replace("(2017)55号", "〔2017〕55号")
    cited = set(NUMBER.findall(mended + urad()))
    assert len(cited) == 10
    assert held - {None} == cited
    by_clause = {clause: {e["number"] for e in HIGHER["documents"] if clause in e["cited_by"]} for clause in ("A1-01",)}
    assert by_clause["A1-01"] == {"国卫办基层函〔2017〕928号"}
    assert {e["number"] for e in HIGHER["documents"] if "A2-01" in e["cited_by"]} == {"桂卫医发〔2017〕20号"}
    assert len([e for e in HIGHER["documents"] if "A3-02" in e["cited_by"]]) == 3


def test_every_higher_document_is_cited_as_the_register_says() -> None:
    known = read_register().clauses
    for entry in HIGHER["documents"]:
        assert set(entry) - {"printed"} == {
            "number", "title", "issued_by", "level", "date", "text_held", "cited_by",
        }  # fmt: skip
        assert plain(entry["title"]) in plain(notice()), entry["title"]
        assert entry["number"] is None or plain(entry.get("printed", entry["number"])) in plain(notice())
        for clause in entry["cited_by"]:
            assert plain(entry["title"]) in plain(words_at(known[clause].place) or ""), (clause, entry["title"])


def test_no_date_of_a_higher_document_is_made_up() -> None:
    """The sources give no day for any of them, and we hold none of the texts."""
    assert all(entry["date"] is None and entry["text_held"] is False for entry in HIGHER["documents"])
    assert all((ROOT / entry["file"]).exists() for entry in HIGHER["sources"])


def test_what_is_named_without_a_number_stands_in_the_sources() -> None:
    both = plain(notice() + urad())
    for entry in HIGHER["unnamed"] + HIGHER["missing_attachments"]:
        assert plain(entry["words"]) in both, entry
        assert set(entry["cited_by"]) <= set(read_register().clauses)
