"""Reads settlement packs: every word known, every number quoted, every value with its clause, every clause quoted.

What is refused is refused with file, line and column before the pack is in force. What cannot be seen here is a wrong
but lawful number ("80%" for "90%"): that is what the worked examples beside each pack are for.
"""

import itertools
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

from safety_net_service.settlements.rules.facts import COUNTED_WITH_THE_BILL
from safety_net_service.settlements.rules.shape import (
    AMOUNTS,
    CATEGORIES,
    EXCLUSIONS,
    FACTS,
    PAYERS,
    VALUES,
    Limit,
    Number,
    SettlementPack,
    Split,
    StepRule,
    Value,
)
from shared.kit.policy import (
    Items,
    Node,
    PolicyError,
    Ratio,
    Shelf,
    Table,
    Text,
    as_count,
    as_day,
    as_items,
    as_money,
    as_ratio,
    as_table,
    as_text,
    as_word,
    as_words,
    parse_document,
    read_document,
    refuse,
)

PackShelf: TypeAlias = Shelf[SettlementPack]

_PACK_WORDS: Final = (
    "policy", "county", "source", "in_force", "eligible", "exclusions", "counted", "values", "steps", "clauses",
)  # fmt: skip
_STEP_WORDS: Final = ("pay", "when", "top_up", "rate", "decided_by", "of", "less", "limit", "split", "clause")
# Words of the language that no pack needs yet; they are refused by name so that nobody thinks them misspelt.
_LATER_PACK_WORDS: Final = ("classes", "watch")
_LATER_STEP_WORDS: Final = ("deductible", "bands", "per", "tilt", "watch")
_CLAUSE: Final = re.compile(r"[A-Z]{1,4}[0-9]?-[0-9]{1,3}[a-z]?")
_VERSION: Final = re.compile(r"[a-z][a-z0-9_]*/[0-9]{4}\.[0-9]{1,3}")
_MOST_MONTHS: Final = 1200


def load_shelf(folder: Path) -> PackShelf:
    """Every settlement pack under `folder`/<county>/settlement/<effective date>.yaml, on one shelf."""
    return Shelf(load_pack(path, folder) for path in pack_files(folder))


def pack_files(folder: Path) -> list[Path]:
    """The pack files of a folder of counties, without the examples that lie beside them."""
    return sorted(path for path in folder.glob("*/settlement/*.yaml") if not path.name.endswith(".examples.yaml"))


def load_pack(path: Path, folder: Path) -> SettlementPack:
    """One pack file; its name must be its effective date and its county folder its county."""
    pack = _Reader(read_document(path, path.relative_to(folder).as_posix())).pack()
    if path.stem != pack.first_day.isoformat():
        raise PolicyError(pack.place, f"the file is named {path.name}, but the pack is in force from {pack.first_day}")
    if path.parent.parent.name != pack.county_code:
        raise PolicyError(
            pack.place, f"the file lies in folder {path.parent.parent.name}, but the county is {pack.county_code}"
        )
    return pack


def parse_pack(text: str, name: str) -> SettlementPack:
    """One pack from its text; `name` is what its errors call it."""
    return _Reader(parse_document(text, name)).pack()


class _Reader:
    """Reads one pack and remembers which clauses it cites and where its numbers stand."""

    def __init__(self, root: Table) -> None:
        self.root = root
        self.cited: dict[str, Text] = {}
        self.numbers: list[Number] = []

    def pack(self) -> SettlementPack:
        root = self.root
        root.only(_PACK_WORDS, _LATER_PACK_WORDS)
        in_force = as_table(root.need("in_force"))
        first_day, last_day = self.dates(in_force)
        cut_by = cast("Literal['days', 'admission', 'discharge']", self.word(in_force, "cut_by", _CUTS, "cutting"))
        eligible = as_table(root.need("eligible"))
        eligible.only(("categories", "clause"))
        counted = as_table(root.need("counted"))
        counted.only(("names", "clause"))
        exclusions = self.exclusions(as_table(root.need("exclusions")))
        values = self.values(as_table(root.need("values")), exclusions)
        steps = self.steps(as_items(root.need("steps")), cut_by, values)
        version = self.version(as_text(root.need("policy")))
        pack = SettlementPack(
            version=version.text,
            county_code=self.county(as_text(root.need("county"))),
            source=self.not_empty(root.need("source"), "the source"),
            first_day=first_day,
            last_day=last_day,
            cut_by=cut_by,
            dates_clause=self.clause(in_force),
            categories=as_words(eligible.need("categories"), CATEGORIES, "category"),
            eligible_clause=self.clause(eligible),
            exclusions=exclusions,
            counted=as_words(counted.need("names"), COUNTED_WITH_THE_BILL, "payer"),
            counted_clause=self.clause(counted),
            values=values,
            steps=steps,
            clauses=self.quotes(as_table(root.need("clauses"))),
            numbers=tuple(self.numbers),
            place=version.place,
        )
        self.refuse_cut_fund_with_split(pack)
        return pack

    # --- the frame ---

    def version(self, node: Text) -> Text:
        if _VERSION.fullmatch(node.text) is None:
            refuse(node, f'{node.text!r} is not a version; write it as "luzhai/2018.1"')
        return node

    def county(self, node: Text) -> str:
        if re.fullmatch(r"[0-9]{6}", node.text) is None or not node.quoted:
            refuse(node, f'{node.text!r} is not a county; write its six digits in quotes, "450223"')
        return node.text

    def dates(self, table: Table) -> tuple[date, date | None]:
        table.only(("from", "to", "cut_by", "clause"))
        first_day = self.day(table.need("from"))
        end = as_text(table.need("to"))
        if end.text == "none":
            return first_day, None
        last_day = self.day(end)
        if last_day < first_day:
            refuse(end, f"the pack ends on {last_day}, before it begins on {first_day}")
        return first_day, last_day

    def exclusions(self, table: Table) -> dict[str, str]:
        table.only(tuple(EXCLUSIONS))
        return {code: self.cite(as_text(node)) for code, node in table.entries.items()}

    def quotes(self, table: Table) -> dict[str, str]:
        quotes = {word: self.not_empty(node, f"the quote of {word}") for word, node in table.entries.items()}
        for clause, cited in self.cited.items():
            if clause not in quotes:
                refuse(cited, f"clause {clause} has no quote under 'clauses'")
        for clause, word in table.words.items():
            if clause not in self.cited:
                refuse(word, f"clause {clause} is quoted but no value rests on it")
        return quotes

    # --- named parameters ---

    def values(self, table: Table, exclusions: Mapping[str, str]) -> dict[str, Value]:
        table.only(tuple(VALUES))
        for name, kind in VALUES.items():
            wanted = not kind.needed_by or any(code in exclusions for code in kind.needed_by)
            if name not in table.entries and wanted and not kind.in_when:
                refuse(table, f"value {name!r} is missing{_because(kind.needed_by)}")
            if name in table.entries and not wanted:
                refuse(table.words[name], f"value {name!r} serves an exclusion that this pack does not have")
        return {name: self.value(name, as_table(node)) for name, node in table.entries.items()}

    def value(self, name: str, table: Table) -> Value:
        kind = VALUES[name]
        found: str | int | date
        others: tuple[str, ...] = ()
        if kind.kind == "choice":
            table.only(("is", "or", "clause"))
            found = as_word(table.need("is"), kind.choices, "reading")
            other = table.get("or")
            if other is not None:
                others = as_words(other, kind.choices, "reading")
                if found in others:
                    refuse(other, f"reading {found!r} is the one taken; 'or' names the others")
        else:
            table.only(("is", "clause"))
            node = table.need("is")
            found = self.day(node) if kind.kind == "day" else self.months(node)
        return Value(name, found, others, self.clause(table))

    # --- the steps ---

    def steps(self, nodes: tuple[Node, ...], cut_by: str, values: Mapping[str, Value]) -> tuple[StepRule, ...]:
        facts = dict(FACTS)
        for name, value in values.items():
            if VALUES[name].in_when:
                facts[name] = (str(value.value), *value.others)
        paid: list[str] = []
        steps: list[StepRule] = []
        limits: dict[str, Limit] = {}
        for node in nodes:
            step = self.step(as_table(node), facts, paid, cut_by)
            if step.limit is not None:
                same = limits.setdefault(step.limit.name, step.limit)
                if (same.most_fen, same.per, same.short) != (step.limit.most_fen, step.limit.per, step.limit.short):
                    refuse(node, f"limit {step.limit.name!r} is not the same here as in an earlier step")
            steps.append(step)
            if step.pay not in paid:
                paid.append(step.pay)
        self.refuse_silence(steps, facts)
        return tuple(steps)

    def step(self, table: Table, facts: Mapping[str, tuple[str, ...]], paid: list[str], cut_by: str) -> StepRule:
        table.only(_STEP_WORDS, _LATER_STEP_WORDS)
        pay = self.word(table, "pay", PAYERS, "payer")
        known = (*AMOUNTS, *paid)
        way, ratio = self.way(table)
        less = table.get("less")
        limit, split = table.get("limit"), table.get("split")
        clause = self.clause(table)
        return StepRule(
            pay=pay,
            way=way,
            ratio=ratio,
            of=self.word(table, "of", known, "amount"),
            less=as_words(less, known, "amount") if less is not None else (),
            when=self.conditions(table.get("when"), facts),
            limit=self.limit(as_table(limit), cut_by, clause) if limit is not None else None,
            split=self.split(as_table(split), pay, clause) if split is not None else None,
            clause=clause,
            place=table.place,
        )

    def way(self, table: Table) -> tuple[Literal["top_up", "rate", "office"], Ratio | None]:
        ways = [word for word in ("top_up", "rate", "decided_by") if word in table.entries]
        if not ways:
            refuse(table, "the step does not say how much: top_up, rate or decided_by")
        if len(ways) > 1:
            refuse(table.words[ways[1]], f"{ways[0]!r} and {ways[1]!r}: a step says one way how much")
        node = table.need(ways[0])
        if ways[0] == "decided_by":
            as_word(node, ("office",), "decider")
            return "office", None
        if isinstance(node, Table) and "by" in node.entries:
            refuse(node.words["by"], "'by' is a word this engine does not read yet; it reads one ratio here")
        return cast("Literal['top_up', 'rate']", ways[0]), self.ratio(node)

    def conditions(self, node: Node | None, facts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if node is None:
            return {}
        table = as_table(node)
        table.only(tuple(facts))
        conditions: dict[str, tuple[str, ...]] = {}
        for fact, value in table.entries.items():
            known = facts[fact]
            words = as_words(value, known, fact) if isinstance(value, Items) else (as_word(value, known, fact),)
            conditions[fact] = words
        return conditions

    def limit(self, table: Table, cut_by: str, around: str) -> Limit:
        table.only(("yuan", "per", "of", "name", "short", "clause"))
        per = self.word(table, "per", ("ever", "year", "stay"), "limit per")
        if per == "stay":
            refuse(table.need("per"), "a limit per stay is not read yet; it reads: ever, year")
        if per == "year" and cut_by == "days":
            refuse(table.need("per"), "a pack cut by days can't count by the year: one stay would stand in two years")
        if self.word(table, "of", ("fund", "person"), "limit of") == "person":
            refuse(table.need("of"), "a limit of a person is not read yet; it reads: fund")
        return Limit(
            name=self.not_empty(table.need("name"), "the name of the limit"),
            most_fen=self.money(table.need("yuan")),
            per=cast("Literal['ever', 'year']", per),
            short=cast("Literal['hold', 'cut']", self.word(table, "short", ("hold", "cut"), "short")),
            clause=self.clause(table, around),
        )

    def split(self, table: Table, pay: str, around: str) -> Split:
        table.only((pay, "hospital_share", "clause"))
        first = as_table(table.need(pay))
        first.only(("share", "round"))
        self.word(first, "round", ("down",), "rounding")
        self.word(table, "hospital_share", ("rest",), "the other share")
        return Split(self.ratio(first.need("share")), self.clause(table, around))

    def refuse_silence(self, steps: list[StepRule], facts: Mapping[str, tuple[str, ...]]) -> None:
        """Every situation the conditions tell apart must have its step, and every reading offered must be asked for."""
        asked = {fact for step in steps for fact in step.when}
        for name in facts:
            if name in VALUES and name not in asked:
                words = as_table(self.root.need("values")).words
                refuse(words[name], f"value {name!r} is set, but no step asks for it")
        names = sorted(asked)
        for combination in itertools.product(*(facts[name] for name in names)):
            situation = dict(zip(names, combination, strict=True))
            if not any(step.applies(situation) for step in steps):
                said = ", ".join(f"{name} is {value}" for name, value in situation.items())
                refuse(self.root.need("steps"), f"no step says who pays when {said}")

    def refuse_cut_fund_with_split(self, pack: SettlementPack) -> None:
        for step in pack.steps:
            if step.split is not None and step.limit is not None and step.limit.short == "cut":
                raise PolicyError(step.place, "a step that is split can't be cut at the fund's limit; use short: hold")

    # --- small things ---

    def clause(self, table: Table, around: str | None = None) -> str:
        node = table.get("clause")
        if node is None and around is not None:
            return around
        if node is None:
            refuse(table, "no clause: say which one this rests on")
        return self.cite(as_text(node))

    def cite(self, node: Text) -> str:
        if _CLAUSE.fullmatch(node.text) is None:
            refuse(node, f"{node.text!r} is not a clause; write it as A3-20")
        self.cited.setdefault(node.text, node)
        return node.text

    def word(self, table: Table, name: str, known: tuple[str, ...], what: str) -> str:
        return as_word(table.need(name), known, what)

    def not_empty(self, node: Node, what: str) -> str:
        text = as_text(node)
        if not text.text.strip():
            refuse(text, f"{what} is empty")
        return text.text

    def day(self, node: Node) -> date:
        self.note("day", as_text(node))
        return as_day(node)

    def months(self, node: Node) -> int:
        self.note("months", as_text(node))
        return as_count(node, _MOST_MONTHS)

    def money(self, node: Node) -> int:
        self.note("money", as_text(node))
        return as_money(node)

    def ratio(self, node: Node) -> Ratio:
        ratio = as_ratio(node)
        self.note("ratio", as_text(node))
        return ratio

    def note(self, kind: Literal["ratio", "money", "months", "day"], node: Text) -> None:
        self.numbers.append(Number(kind, node.text, node.place))


_CUTS: Final = ("days", "admission", "discharge")


def _because(codes: tuple[str, ...]) -> str:
    return f"; {', '.join(codes)} cannot be judged without it" if codes else ""
