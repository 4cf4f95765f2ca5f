"""Printed documents as somebody reads them: the text of each page, and the sample kept in docs/samples."""

import hmac
from collections.abc import Iterator
from itertools import combinations

import msgspec
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety_net_service.claims.formats.summary import Summary
from safety_net_service.notices.formats import sheets
from safety_net_service.notices.rules import LETTERS, Paper, agrees, as_printed, check_code
from shared.kit.typeset import GlyphMissing
from tests.papers.samples import FOLDER, NOTICE, SAMPLES, SUMMARY, a_signature

A5_LYING = (595, 421)
SLACK = 1
"""Points by which the boxes of neighbouring glyphs may overlap."""


def pages(pdf: bytes) -> list[str]:
    """The text of each page, without the spaces that only typesetting put there."""
    document = pypdfium2.PdfDocument(pdf)
    found = [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in document]
    document.close()
    return found


def collisions(pdf: bytes) -> Iterator[str]:
    """Pieces of text that lie upon one another, or leave the page."""
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        width, height = page.get_size()
        text = page.get_textpage()
        boxes = [text.get_rect(number) for number in range(text.count_rects())]
        for left, bottom, right, top in boxes:
            if left < 0 or bottom < 0 or right > width or top > height:
                yield f"outside the page: {text.get_text_bounded(left, bottom, right, top)!r}"
        for one, two in combinations(boxes, 2):
            wide = min(one[2], two[2]) - max(one[0], two[0])
            high = min(one[3], two[3]) - max(one[1], two[1])
            if wide > SLACK and high > SLACK:
                yield f"{text.get_text_bounded(*one)!r} lies upon {text.get_text_bounded(*two)!r}"
    document.close()


def plain(text: str) -> str:
    """Text without any white space."""
    return "".join(text.split())


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_sample_in_docs_says_what_is_printed_today(name: str) -> None:
    kept = pages((FOLDER / name).read_bytes())
    assert kept == pages(SAMPLES[name]())
    assert all(kept)
    assert list(collisions(SAMPLES[name]())) == []


@pytest.mark.clause("A3-25", "R-07", "R-32")
def test_the_three_sheets_are_for_hospital_patient_and_office_and_say_the_same() -> None:
    found = pages(SAMPLES["notice.pdf"]())
    titles = ["第一联：医疗机构存档", "第二联：患者留存", "第三联：医疗兜底保障办公室，作为拨付依据"]
    assert len(found) == len(titles)
    for page, title in zip(found, titles, strict=True):
        assert title in plain(page)
        assert all(other not in plain(page) for other in titles if other != title)
    assert len({plain(page).replace(title, "") for page, title in zip(found, titles, strict=True)}) == 1
    text = plain(found[2])
    for column in (
        "城乡居民基本医疗保险26000.00",
        "城乡居民大病保险6500.00",
        "商业补充保险4000.00",
        "民政医疗救助5000.00",
        "医疗兜底保障3500.00",
        "个人自付5000.00",
        "住院总费用（以上合计）50000.00",
        "出院时患者应付现金5000.00",
        "患者姓名：测试龘",
        "入院日期：2018-08-01",
        "第2次打印（补打）：患者联遗失",
        check_code(NOTICE, a_signature),
    ):
        assert column in text, column
    # What holds no money and is not in the plan's sheet is not shown.
    assert "乡镇卫生院补助" not in text
    assert "医保接口" not in text


def test_a_township_centres_half_is_shown_and_the_first_printing_is_the_original() -> None:
    amounts = {**NOTICE.amounts, "safety_net": "1750.00", "hospital_share": "1750.00"}
    paper = msgspec.structs.replace(NOTICE, amounts=amounts, number=1, reason=None)
    text = plain(pages(sheets.pdf(paper, "0000-0000-0000-0000"))[0])
    assert "乡镇卫生院补助1750.00" in text
    assert "第1次打印（原件）" in text
    assert "补打" not in text


def test_the_fullest_sheet_keeps_to_its_page() -> None:
    steps = [msgspec.structs.replace(NOTICE.steps[0], clause=f"A3-{20 + n % 4}") for n in range(8)]
    paper = msgspec.structs.replace(
        NOTICE,
        institution_name="广西壮族自治区柳州市鹿寨县" * 2 + "人民医院",
        patient_name="买买提·吐尔逊" * 2,
        bill_no="Z" * 64,
        admission_no="9" * 64,
        reason="患者联遗失" * 12,
        amounts=dict.fromkeys(NOTICE.amounts, "99999999999999.99"),
        steps=steps,
    )
    pdf = sheets.pdf(paper, "WWWW-WWWW-WWWW-WWWW")
    document = pypdfium2.PdfDocument(pdf)
    assert [tuple(map(round, page.get_size())) for page in document] == [A5_LYING] * 3
    document.close()
    assert list(collisions(pdf)) == []


def test_a_name_the_font_lacks_is_not_printed_with_a_gap() -> None:
    with pytest.raises(GlyphMissing):
        sheets.pdf(msgspec.structs.replace(NOTICE, patient_name="测\U00020bb7"), "0000-0000-0000-0000")


words = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
keys = st.binary(min_size=16, max_size=16)


@given(words, words, keys)
@settings(max_examples=60)
def test_the_code_is_bound_to_all_that_is_said(name: str, number: str, key: bytes) -> None:
    def sign(said: bytes) -> bytes:
        return hmac.digest(key, said, "sha256")[:16]

    paper = msgspec.structs.replace(NOTICE, patient_name=name, bill_no=number)
    code = check_code(paper, sign)
    assert len(code) == 19
    assert set(code) <= set(LETTERS) | {"-"}
    assert check_code(Paper.of(paper.without_name(), name), sign) == code
    assert check_code(msgspec.structs.replace(paper, patient_pays="5000.01"), sign) != code
    assert check_code(msgspec.structs.replace(paper, number=3), sign) != code
    assert check_code(msgspec.structs.replace(paper, patient_name=name + "一"), sign) != code


@given(st.text(alphabet=LETTERS, min_size=16, max_size=16))
def test_a_code_typed_carelessly_is_the_code_printed(letters: str) -> None:
    printed = "-".join(letters[place : place + 4] for place in range(0, 16, 4))
    typed = letters.lower().replace("0", "o").replace("1", "l")
    assert as_printed(typed) == as_printed(printed) == as_printed(printed.replace("-", " ")) == printed


def test_a_printing_agrees_with_its_settlement_and_with_no_other() -> None:
    amounts = {**NOTICE.amounts, "total": NOTICE.total, "patient_pays": NOTICE.patient_pays, "base": "50000.00"}
    assert agrees(NOTICE, amounts)
    for code in amounts.keys() - {"base"}:
        assert not agrees(NOTICE, {**amounts, code: "0.01"}), code


@pytest.mark.clause("A3-25")
def test_the_monthly_summary_has_its_head_on_each_page_and_one_total() -> None:
    found = [plain(page) for page in pages(SAMPLES["claim-summary.pdf"]())]
    assert len(found) == 2
    assert all("垫付兜底" in page for page in found)
    assert f"第2页，共{len(found)}页" in found[1]
    assert "每月垫付资金汇总表" in found[0]
    assert "合计（45例）900010.35531000.000.000.00135000.00144010.35" in found[1]
    assert "合计" not in found[0]


def test_a_claim_of_a_whole_county_hospital_is_summed_exactly() -> None:
    rows: list[tuple[tuple[str, ...], tuple[int, ...]]] = [
        (words, (10**11 + n, n, 0, 0, 0, 1)) for n, (words, _) in enumerate(SUMMARY.rows)
    ]
    assert Summary(SUMMARY.head, rows).sums == (45 * 10**11 + 990, 990, 0, 0, 0, 45)
