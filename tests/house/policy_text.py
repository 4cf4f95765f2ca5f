"""The two source documents, and the places in them that ``docs/clauses.yaml`` points to."""

import re
import unicodedata
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "docs" / "policy"
NOTICE = POLICY / "luzhai-2018.txt"
REPORT = POLICY / "urad-middle-banner-2020.txt"

NO_WORDS = "no words"
PLANS = {
    "慢病": "“慢病签约服务管理一批”实施方案",
    "大病": "“大病集中救治一批”实施方案",
    "兜底": "“重病兜底保障一批”实施方案",
}
PLACE = re.compile(
    r"(慢病|大病|兜底) (前言|([一二三四五六七八九十])(\([一二三四五六七八九十]\))?([0-9]+)?(\([0-9]\))?)"
)


def plain(text: str) -> str:
    """Text as it is compared: one width for brackets and commas, no white space."""
    return "".join(unicodedata.normalize("NFKC", text).split())


@cache
def notice() -> str:
    """The Luzhai notice, as printed."""
    return NOTICE.read_text(encoding="utf-8")


@cache
def urad() -> str:
    """The report from Urad Middle Banner, as printed."""
    return REPORT.read_text(encoding="utf-8")


def words_at(places: str) -> str | None:
    """The text at one or more places (``兜底 前言; 兜底 一``); None when one of them is nowhere."""
    found = [_words_at(place) for place in places.split("; ")]
    return None if None in found else "\n".join(text for text in found if text)


def _words_at(place: str) -> str | None:
    """The text at a place such as ``兜底 三(二)6``; None when there is no such place."""
    document, _, rest = place.partition(" ")
    if document == "通知":
        head, tail = notice().split("\n" + PLANS["慢病"])[0], notice().split("\n公开方式")[-1]
        return _lines_with(f"{head}\n公开方式{tail}", rest)
    if document == "乌中旗":
        return next((line for line in urad().splitlines() if line.startswith(rest + ",")), None)
    if not (match := PLACE.fullmatch(place)):
        return None
    lines = _plan(document)
    if match[2] == "前言":
        return "\n".join(_until(lines, r"一、"))
    steps = [(match[3] + "、", r"[一二三四五六七八九十]、")]
    if match[4]:
        steps.append((match[4], r"\([一二三四五六七八九十]\)"))
    if match[5]:
        steps.append((match[5] + ".", r"[0-9]+\."))
    if match[6]:
        steps.append((match[6].strip("(") if match[6] else "", r"[0-9]\)"))
    for heading, sibling in steps:
        start = next((number for number, line in enumerate(lines) if line.startswith(heading)), None)
        if start is None:
            return None
        lines = [lines[start], *_until(lines[start + 1 :], sibling)]
    return "\n".join(lines)


def _plan(name: str) -> list[str]:
    """The lines of one plan, from below its title to the next plan's."""
    lines = [line.strip() for line in notice().splitlines() if line.strip()]
    names = list(PLANS)
    start = lines.index(PLANS[name])
    after = names.index(name) + 1
    end = lines.index(PLANS[names[after]]) if after < len(names) else lines.index("公开方式:主动公开")
    return lines[start + 1 : end]


def _until(lines: list[str], heading: str) -> list[str]:
    """The lines before the first that begins like a heading."""
    stop = next((number for number, line in enumerate(lines) if re.match(heading, line)), len(lines))
    return lines[:stop]


def _lines_with(text: str, words: str) -> str | None:
    return "\n".join(line for line in text.splitlines() if words in line) or None
