"""Printed pages (PDF): a form and what it is filled with, set in the one font that comes with the house.

No other font is ever used. A character it has no glyph for (a rare one of somebody's name) would be left out, or be an
empty box on a paper that people sign: such a page is not made at all. The typesetter is loaded when the first page is
made, never when a service starts, and gives the interpreter back to others while it works: call it in a thread.
"""

import json
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

FONTS = Path(__file__).parent / "fonts"
FONT = FONTS / "NotoSansSC-Regular.ttf"


class GlyphMissing(ValueError):
    """Text that can't be printed; ``characters`` are the code points the font lacks (``U+20BB7``)."""

    def __init__(self, characters: list[str]) -> None:
        super().__init__(f"the font has no {' '.join(characters)}")
        self.characters = characters


class FormBroken(RuntimeError):
    """A form that can't be set as it should be: a word for its author, not for who prints."""


def pdf(form: Path, content: dict[str, Any]) -> bytes:
    """The form filled with this content (JSON values; the form reads them as ``sys.inputs.data``).

    The same form and content give the same bytes. Raises `GlyphMissing`.
    """
    # Imported here: 80 MB of typesetter are nothing a service needs to start with.
    import typst

    source = _source(form)
    if lacking := missing(_texts(content)):
        raise GlyphMissing(lacking)
    data = {"data": json.dumps(content, ensure_ascii=False)}
    try:
        page, warnings = typst.compile_with_warnings(
            source, font_paths=_fonts(), sys_inputs=data, format="pdf", timestamp=0, pdf_tags=False
        )
    except typst.TypstError as error:
        raise FormBroken(f"{form.name}: {error.message}") from None
    if warnings:
        raise FormBroken(f"{form.name}: {warnings[0].message}")
    assert isinstance(page, bytes)
    return page


def missing(texts: Iterable[str]) -> list[str]:
    """The characters of these texts that the font has no glyph for, as code points, each once."""
    starts, ends = _coverage(FONT)
    lacking = {}
    for character in set().union(*texts):
        place = bisect_right(starts, ord(character)) - 1
        if place < 0 or ord(character) > ends[place]:
            lacking[ord(character)] = f"U+{ord(character):04X}"
    return [lacking[code] for code in sorted(lacking)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


@cache
def _source(form: Path) -> bytes:
    source = form.read_text(encoding="utf-8")
    if lacking := missing([source.replace("\n", "")]):
        raise FormBroken(f"{form.name}: the font has no {' '.join(lacking)}")
    return source.encode()


@cache
def _fonts() -> Any:
    import typst

    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])


@cache
def _coverage(font: Path) -> tuple[list[int], list[int]]:
    """The runs of characters a TrueType font has glyphs for: first and last of each (its ``cmap``, format 12)."""
    with font.open("rb") as file:
        tables = file.read(2048)
        entry = tables.index(b"cmap", 12)
        start, length = struct.unpack_from(">LL", tables, entry + 8)
        file.seek(start)
        cmap = file.read(length)
    (encodings,) = struct.unpack_from(">H", cmap, 2)
    offsets = [struct.unpack_from(">4xL", cmap, 4 + 8 * encoding)[0] for encoding in range(encodings)]
    offset = next(offset for offset in offsets if struct.unpack_from(">H", cmap, offset) == (12,))
    (groups,) = struct.unpack_from(">L", cmap, offset + 12)
    runs = [struct.unpack_from(">LL", cmap, offset + 16 + 12 * group) for group in range(groups)]
    return [first for first, _ in runs], [last for _, last in runs]
