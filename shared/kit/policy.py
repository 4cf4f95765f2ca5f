"""Dated law documents: read with the place of every word, kept on a shelf by county and date.

A document is read only through YAML's node graph: every scalar is text with file, line and column, so no YAML type
ever turns `no` into false or "0.90" into a float. What a document may say is its reader's business; how it is read,
refused and found by date is here.
"""

import difflib
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Generic, NoReturn, Protocol, TypeAlias, TypeVar

import yaml

from shared.kit.money import NotMoney, fen


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word stands: file, line and column, both counted from one."""

    file: str
    line: int
    column: int


class PolicyError(Exception):
    """A law document that cannot be taken as it stands: where, and what to write instead."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place.file}:{place.line}:{place.column}: {message}")
        self.place = place
        self.message = message


class NotInForce(LookupError):
    """No document of this county is in force on that day: no law, no number."""

    def __init__(self, county_code: str, day: date) -> None:
        super().__init__(f"county {county_code} has no policy in force on {day}")
        self.county_code = county_code
        self.day = day


@dataclass(frozen=True, slots=True)
class Text:
    """One scalar, as text."""

    text: str
    quoted: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; `words` holds the keys with their own places."""

    entries: Mapping[str, "Node"]
    words: Mapping[str, Text]
    place: Place

    def only(self, known: Collection[str], not_built: Collection[str] = ()) -> None:
        """Refuse every word that is not known here, with the nearest known one."""
        for word, key in self.words.items():
            if word in not_built and word not in known:
                refuse(key, f"{word!r} is a word this engine does not read yet; it reads: {', '.join(known)}")
            if word not in known:
                refuse(key, f"{word!r} is unknown here{_did_you_mean(word, known)}")

    def need(self, word: str) -> "Node":
        """The value of a word that may not be left out."""
        if word not in self.entries:
            refuse(self, f"{word!r} is missing here")
        return self.entries[word]

    def get(self, word: str) -> "Node | None":
        """The value of a word that may be left out."""
        return self.entries.get(word)


Node: TypeAlias = Text | Items | Table


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio as the document writes it (`90%`) and its exact value."""

    text: str
    value: Decimal


def refuse(node: Node, message: str) -> NoReturn:
    """Refuse what stands here."""
    raise PolicyError(node.place, message)


def _did_you_mean(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


# --- reading -----------------------------------------------------------------------------------------------------


def read_document(path: Path, name: str | None = None) -> Table:
    """Read one document from a file. `name` is what its errors call it; the path as given if left out."""
    shown = name or str(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(Place(shown, 1, 1), "the file is not UTF-8 text") from error
    return parse_document(text, shown)


def parse_document(text: str, name: str) -> Table:
    """Read one document from its text. Anchors, aliases, tags, duplicate keys and a second document are refused."""
    try:
        _refuse_shortcuts(text, name)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        raise PolicyError(place, f"this is not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise PolicyError(place, "this is not YAML: a character that may not stand in it") from error
    if root is None:
        raise PolicyError(Place(name, 1, 1), "the document is empty")
    return as_table(_convert(root, name))


def _refuse_shortcuts(text: str, name: str) -> None:
    """What the node graph no longer shows (an alias is already replaced there) is looked for in the events."""
    documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise PolicyError(place, "one file holds one document")
        elif isinstance(event, yaml.AliasEvent):
            raise PolicyError(place, f"alias '*{event.anchor}': write the value out, law is read without jumping")
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            raise PolicyError(place, f"anchor '&{event.anchor}': write the value out, law is read without jumping")
        elif tag:
            raise PolicyError(place, f"tag {tag!r}: every value is text, tags are not read")


def _convert(node: yaml.Node, name: str) -> Node:
    place = Place(name, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.ScalarNode):
        return Text(node.value, node.style is not None, place)
    if isinstance(node, yaml.SequenceNode):
        return Items(tuple(_convert(item, name) for item in node.value), place)
    entries: dict[str, Node] = {}
    words: dict[str, Text] = {}
    for key_node, value_node in node.value:
        key = as_text(_convert(key_node, name))
        if key.text in entries:
            refuse(key, f"{key.text!r} stands here twice; first in line {words[key.text].place.line}")
        entries[key.text] = _convert(value_node, name)
        words[key.text] = key
    return Table(entries, words, place)


# --- values ------------------------------------------------------------------------------------------------------


def as_text(node: Node) -> Text:
    """A single value."""
    if not isinstance(node, Text):
        refuse(node, "a single value must stand here, not a list or a table")
    return node


def as_table(node: Node) -> Table:
    """A table of words."""
    if not isinstance(node, Table):
        refuse(node, "a table of words must stand here")
    return node


def as_items(node: Node) -> tuple[Node, ...]:
    """A list with at least one entry."""
    if not isinstance(node, Items):
        refuse(node, "a list must stand here: [...]")
    if not node.items:
        refuse(node, "the list is empty")
    return node.items


def as_word(node: Node, known: Collection[str], what: str) -> str:
    """One word of a closed list."""
    text = as_text(node)
    if text.text not in known:
        refuse(text, f"{what} {text.text!r} is unknown{_did_you_mean(text.text, known)}")
    return text.text


def as_words(node: Node, known: Collection[str], what: str) -> tuple[str, ...]:
    """A list of words of a closed list, none twice."""
    words: list[str] = []
    for item in as_items(node):
        word = as_word(item, known, what)
        if word in words:
            refuse(item, f"{what} {word!r} stands in the list twice")
        words.append(word)
    return tuple(words)


_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def as_day(node: Node) -> date:
    """A day of law, `2018-07-01`."""
    text = as_text(node)
    if _DAY.fullmatch(text.text) is None:
        refuse(text, f"{text.text!r} is not a day; write it as 2018-07-01")
    try:
        return date.fromisoformat(text.text)
    except ValueError:
        refuse(text, f"{text.text} is a day that does not exist")


_BARE_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9_,]*(\.[0-9]*)?([eE][+-]?[0-9]+)?%?")
_RATIO: Final = re.compile(r"(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?%")
_SIGNED_RATIO: Final = re.compile(r"[+-][0-9.]+%")


def _quoted_number(node: Node, write: str = 'money "5000.00", ratio "60%"') -> Text:
    text = as_text(node)
    if not text.quoted and _BARE_NUMBER.fullmatch(text.text):
        refuse(text, f"{text.text} must stand in quotes: {write}")
    if _SIGNED_RATIO.fullmatch(text.text):
        refuse(text, f'{text.text!r}: say "+5 points" (百分点, added) or "×50%" (multiplied)')
    if not text.text.isascii():
        refuse(text, f"{text.text!r} is not written with plain digits and signs: {write}")
    return text


def as_money(node: Node) -> int:
    """An amount in fen, written `"5000.00"`."""
    text = _quoted_number(node)
    try:
        return fen(text.text)
    except NotMoney:
        refuse(text, f'{text.text!r} is not money; write it as "5000.00"')


def as_ratio(node: Node) -> Ratio:
    """A ratio from 0% to 100%, written `"60%"`."""
    text = _quoted_number(node)
    if _RATIO.fullmatch(text.text) is None:
        refuse(text, f'{text.text!r} is not a ratio; write it as "60%"')
    value = Decimal(text.text[:-1]) / 100
    if value > 1:
        refuse(text, f"{text.text} is more than the whole")
    return Ratio(text.text, value)


def as_count(node: Node, most: int) -> int:
    """A whole number from 1 to `most`, written `"12"`."""
    text = _quoted_number(node, 'a whole number "12"')
    if re.fullmatch(r"[1-9][0-9]{0,5}", text.text) is None or int(text.text) > most:
        refuse(text, f'{text.text!r} is not a whole number from 1 to {most}; write it as "12"')
    return int(text.text)


# --- the shelf ---------------------------------------------------------------------------------------------------


class Dated(Protocol):
    """What the shelf must know of a document."""

    @property
    def county_code(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def first_day(self) -> date: ...
    @property
    def last_day(self) -> date | None: ...
    @property
    def place(self) -> Place: ...


D = TypeVar("D", bound=Dated)


@dataclass(frozen=True, slots=True)
class Period(Generic[D]):
    """Some days on which one document is in force, or none (`document` is None)."""

    first_day: date
    last_day: date
    document: D | None


class Shelf(Generic[D]):
    """The documents of one kind, by county and date. Overlapping dates are refused; gaps are warned of."""

    def __init__(self, documents: Iterable[D]) -> None:
        self._of_county: dict[str, list[D]] = {}
        self._of_version: dict[str, D] = {}
        for document in sorted(documents, key=lambda each: (each.county_code, each.first_day)):
            if document.version in self._of_version:
                raise PolicyError(document.place, f"version {document.version!r} is already that of another document")
            self._of_version[document.version] = document
            self._of_county.setdefault(document.county_code, []).append(document)
        self.warnings: tuple[str, ...] = tuple(self._look_at_dates())

    def _look_at_dates(self) -> Iterable[str]:
        for county_code, documents in self._of_county.items():
            for former, later in itertools.pairwise(documents):
                if former.last_day is None or later.first_day <= former.last_day:
                    raise PolicyError(
                        later.place,
                        f"{later.version} begins on {later.first_day}, while {former.version} is still in force",
                    )
                if later.first_day > former.last_day + timedelta(days=1):
                    yield (
                        f"county {county_code}: no policy between {former.last_day} ({former.version}) "
                        f"and {later.first_day} ({later.version})"
                    )

    def __iter__(self) -> Iterator[D]:
        return iter(self._of_version.values())

    def of_version(self, version: str) -> D | None:
        """The document that bears this version."""
        return self._of_version.get(version)

    def of_county(self, county_code: str) -> tuple[D, ...]:
        """Every document of a county, oldest first."""
        return tuple(self._of_county.get(county_code, ()))

    def only(self, versions: Collection[str]) -> "Shelf[D]":
        """The shelf as it stood for a case that rested on these versions and no others."""
        return Shelf(document for version, document in self._of_version.items() if version in versions)

    def find(self, county_code: str, day: date) -> D | None:
        """The document in force that day, or None."""
        for document in self._of_county.get(county_code, ()):
            if document.first_day <= day and (document.last_day is None or day <= document.last_day):
                return document
        return None

    def in_force(self, county_code: str, day: date) -> D:
        """The document in force that day. Outside its dates there is no law, and asking raises NotInForce."""
        document = self.find(county_code, day)
        if document is None:
            raise NotInForce(county_code, day)
        return document

    def periods(self, county_code: str, first_day: date, last_day: date) -> tuple[Period[D], ...]:
        """The days from first to last, both inclusive, cut where the document changes; gaps are periods too."""
        if last_day < first_day:
            raise ValueError(f"{last_day} lies before {first_day}")
        found: list[Period[D]] = []
        day = first_day
        for document in self._of_county.get(county_code, ()):
            if document.first_day > last_day or (document.last_day is not None and document.last_day < day):
                continue
            if document.first_day > day:
                found.append(Period(day, document.first_day - timedelta(days=1), None))
                day = document.first_day
            end = last_day if document.last_day is None else min(document.last_day, last_day)
            found.append(Period(day, end, document))
            day = end + timedelta(days=1)
            if day > last_day:
                break
        if day <= last_day:
            found.append(Period(day, last_day, None))
        return tuple(found)
