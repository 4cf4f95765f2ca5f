"""Printed pages: the house's font, nothing but it, and no page with a gap."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from shared.kit.typeset import FONT, FormBroken, GlyphMissing, missing, pdf

FORM = '#let data = json(bytes(sys.inputs.data))\n#set text(font: "Noto Sans SC", fallback: false)\n#data.name'


def form(folder: Path, text: str = FORM) -> Path:
    path = folder / "form.typ"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_font_is_the_one_that_was_looked_at() -> None:
    page = (FONT.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(FONT.read_bytes()).hexdigest() in page
    assert "SIL OPEN FONT LICENSE" in (FONT.parent / "OFL.txt").read_text(encoding="utf-8")


def test_rare_characters_of_names_can_be_printed() -> None:
    # Of the first block and of the extensions A to E; · and • stand in names of many nations.
    assert missing(["龘靐㛃㮾䶮堃喆祎翀燚", "\U0002b5af\U0002cc56\U0002c35b\U00020164", "买买提·吐尔逊•"]) == []


def test_every_character_of_the_common_sets_can_be_printed() -> None:
    gbk = [bytes([first, second]) for first in range(0xB0, 0xF8) for second in range(0xA1, 0xFF)]
    texts = [pair.decode("gbk", "ignore") for pair in gbk]
    assert sum(map(len, texts)) > 6700
    assert [text for text in missing(texts) if not 0xE000 <= int(text[2:], 16) <= 0xF8FF] == []


def test_a_character_without_a_glyph_stops_the_page(tmp_path: Path) -> None:
    with pytest.raises(GlyphMissing) as error:
        pdf(form(tmp_path), {"name": "测\U00020bb7试\U0002a6d6", "more": ["\t"]})
    assert error.value.characters == ["U+0009", "U+20BB7", "U+2A6D6"]


def test_the_same_content_gives_the_same_bytes_and_other_content_others(tmp_path: Path) -> None:
    path = form(tmp_path)
    once = pdf(path, {"name": "测试甲"})
    assert once.startswith(b"%PDF-")
    assert pdf(path, {"name": "测试甲"}) == once != pdf(path, {"name": "测试乙"})


@pytest.mark.parametrize(
    "text",
    [
        FORM.replace("Noto Sans SC", "Some Other Font"),
        FORM.replace("#data.name", "#data.nobody"),
        FORM.replace("#data.name", "𠮷"),
    ],
)
def test_a_broken_form_is_never_printed(tmp_path: Path, text: str) -> None:
    folder = tmp_path / hashlib.sha256(text.encode()).hexdigest()
    folder.mkdir()
    with pytest.raises(FormBroken):
        pdf(form(folder, text), {"name": "测试甲"})


def test_no_service_loads_the_typesetter_before_it_prints() -> None:
    names = ("typst", "openpyxl", "chinese_calendar")
    asked = f"import sys, safety_net_service.main; sys.exit(any(name in sys.modules for name in {names}))"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
