"""`make policies`: load every pack, run its examples, and name what no example would notice.

A wrong but lawful number loads without a word. So each number of each pack is changed by the least there is (one yuan,
one point, one month, one day, up and down) and an example beside the pack must fail; a number that none notices is
unpinned, and no pack is shipped with one. Words (a condition, a counted payer, an exclusion) are dropped or exchanged
likewise; one that nothing notices needs an example, or a line in CHANGES_NOTHING saying why.

Exits 1 on a pack that does not load, an example that fails, an unpinned number, or an unpinned word without its line.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from safety_net_service.settlements.rules import PackShelf, SettlementPack, load_pack, pack_files, parse_pack
from safety_net_service.settlements.rules.pack import load_shelf
from safety_net_service.settlements.rules.shape import Number
from shared.kit.money import fen, yuan
from shared.kit.policy import PolicyError, Shelf
from tests.policies.cases import Case, read_cases
from tests.policies.words import word_changes
from tests.rules.builders import POLICIES

CHANGES_NOTHING: Mapping[str, Mapping[str, str]] = {}
"""By pack version: the word, and why no bill can show it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one pack's examples notice and what not."""

    pack: SettlementPack
    examples: int
    failing: tuple[str, ...]
    numbers: int
    unpinned_numbers: tuple[str, ...]
    words: int
    unpinned_words: tuple[str, ...]

    @property
    def may_be_shipped(self) -> bool:
        """Whether somebody who changes a word or number of it unawares is told."""
        known = CHANGES_NOTHING.get(self.pack.version, {})
        return not (self.failing or self.unpinned_numbers or set(self.unpinned_words) - set(known))


def examples_of(path: Path) -> list[Case]:
    """The worked examples beside a pack; a pack without any has only unpinned numbers."""
    beside = path.with_name(f"{path.stem}.examples.yaml")
    return read_cases(beside) if beside.exists() else []


def noticed(text: str, examples: list[Case]) -> bool:
    """Whether the changed pack is refused or lets an example fail."""
    try:
        shelf: PackShelf = Shelf([parse_pack(text, "changed")])
    except PolicyError:
        return True
    return any(case.misses(shelf) for case in examples)


def number_changes(number: Number) -> Iterator[str]:
    """The nearest other numbers, up and down."""
    if number.kind == "day":
        day = date.fromisoformat(number.text)
        yield from ((day + timedelta(days=step)).isoformat() for step in (1, -1))
        return
    for step in (1, -1):
        if number.kind == "money":
            changed = fen(number.text) + 100 * step
            text = yuan(changed) if changed >= 0 else ""
        elif number.kind == "months":
            text = str(int(number.text) + step)
        else:
            points = Decimal(number.text.removesuffix("%")) + step
            text = f"{points}%" if points >= 0 else ""
        if text:
            yield f'"{text}"'


def with_number(text: str, number: Number, changed: str) -> str:
    """The pack's text with one number replaced where it stands."""
    lines = text.splitlines(keepends=True)
    line, start = lines[number.place.line - 1], number.place.column - 1
    stands = number.text if line[start : start + 1] != '"' else f'"{number.text}"'
    assert line[start : start + len(stands)] == stands, f"{number} does not stand where it was read"
    lines[number.place.line - 1] = line[:start] + changed + line[start + len(stands) :]
    return "".join(lines)


def unpinned_numbers(path: Path, pack: SettlementPack, examples: list[Case]) -> Iterator[str]:
    """Every number that could be another one without any example noticing."""
    text = path.read_text(encoding="utf-8")
    for number in pack.numbers:
        for changed in number_changes(number):
            if not noticed(with_number(text, number, changed), examples):
                place = number.place
                yield f"{place.file}:{place.line}:{place.column}: {number.text} could be {changed}"


def examine(path: Path, folder: Path) -> Findings:
    """Load a pack, run its examples, change each of its numbers and words."""
    pack = load_pack(path, folder)
    examples = examples_of(path)
    shelf: PackShelf = Shelf([pack])
    failing = tuple(miss for case in examples for miss in case.misses(shelf))
    changes = list(word_changes(path.read_text(encoding="utf-8")))
    return Findings(
        pack=pack,
        examples=len(examples),
        failing=failing,
        numbers=len(pack.numbers),
        unpinned_numbers=tuple(unpinned_numbers(path, pack, examples)) if not failing else (),
        words=len(changes),
        unpinned_words=tuple(name for name, text in changes if not noticed(text, examples)) if not failing else (),
    )


def examine_all(folder: Path = POLICIES) -> list[Findings]:
    """Every pack of a folder."""
    return [examine(path, folder) for path in pack_files(folder)]


def say(line: str) -> None:
    """One line to the console."""
    sys.stdout.write(f"{line}\n")


def tell(findings: Findings) -> None:
    """What was found in one pack, for a reader."""
    pack = findings.pack
    say(f"{pack.version}  {pack.source}  {pack.first_day} to {pack.last_day or 'replaced'}")
    say(f"  examples {findings.examples}, failing {len(findings.failing)}")
    say(f"  numbers {findings.numbers}, unpinned {len(findings.unpinned_numbers)}")
    say(f"  words {findings.words}, unpinned {len(findings.unpinned_words)}")
    for line in (*findings.failing, *findings.unpinned_numbers):
        say(f"  ! {line}")
    known = CHANGES_NOTHING.get(pack.version, {})
    for name in findings.unpinned_words:
        say(f"  - {name}: {known.get(name, 'no example notices this')}")


def main() -> int:
    """Examine the shipped packs; 1 when one of them may not be shipped."""
    try:
        shelf = load_shelf(POLICIES)
        found = examine_all()
    except PolicyError as error:
        say(f"! {error}")
        return 1
    for findings in found:
        tell(findings)
    for warning in shelf.warnings:
        say(f"note: {warning}")
    return 0 if all(each.may_be_shipped for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
