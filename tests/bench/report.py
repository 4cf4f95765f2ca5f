"""The one table: as text for the terminal, as a page for docs/benchmarks.md, as JSON for programs."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from deploy.console import table
from deploy.settings import ROOT
from tests.bench.figures import Row, shown

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- written by make bench from here -->", "<!-- to here -->"
HEAD = ("row", "what", "ours", "baseline", "ratio", "target", "verdict")


@dataclass
class Report:
    """Everything one run found. ``troubles``: where counts did not agree; a figure beside one is worth nothing."""

    machine: str
    date: str
    commit: str
    load: str
    volumes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    costs: list[tuple[str, list[float]]] = field(default_factory=list)
    memory: list[tuple[str, list[float]]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For the terminal."""
        parts = [table(HEAD, [_cells(row) for row in self.rows])]
        parts += [f"{row.number}  {row.name}: {note}" for row in self.rows if (note := row.missing or row.note)]
        for title, lines in self._beside():
            parts.append(f"{title}\n{table(('part', 'median', 'runs'), lines, right=frozenset((1,)))}")
        return "\n\n".join([*parts, *self._heading(), *self._wrong()])

    def page(self) -> str:
        """For docs/benchmarks.md."""
        parts = ["\n".join(f"- {line}" for line in self._heading()), _markdown(HEAD, map(_cells, self.rows))]
        notes = [f"- {row.number}, {row.name}: {note}." for row in self.rows if (note := row.missing or row.note)]
        parts.append("\n".join(notes))
        for title, lines in self._beside():
            parts.append(f"**{title}**\n\n{_markdown(('part', 'median', 'runs'), lines)}")
        return "\n\n".join([*filter(None, parts), *self._wrong()])

    def json(self) -> str:
        """For programs; what is not a number is null."""
        rows = [{**asdict(row), "ratios": row.ratios, "value": row.value, "verdict": row.verdict} for row in self.rows]
        return json.dumps(_finite({**asdict(self), "rows": rows}), ensure_ascii=False)

    def _heading(self) -> list[str]:
        said = [f"Machine: {self.machine}", f"Date: {self.date}; commit {self.commit}", f"Load: {self.load}"]
        return said + [f"Data: {volume}" for volume in self.volumes]

    def _beside(self) -> Iterable[tuple[str, list[list[str]]]]:
        if self.costs:
            total = [sum(run) for run in zip(*(each for name, each in self.costs if name[0] != "–"), strict=True)]
            yield "Row 1: CPU for a bill by process, µs (load and drain)", _lines([*self.costs, ("all", total)])
        if self.memory:
            total = [sum(run) for run in zip(*(each for _, each in self.memory), strict=True)]
            yield "Row 7: memory by part, MB (PSS)", _lines([*self.memory, ("all", total)])

    def _wrong(self) -> list[str]:
        return [f"**The counts do not agree: {trouble}.**" for trouble in self.troubles]


def write(report: Report, page: Path = PAGE) -> None:
    """Put the report between the page's two marks; what a person wrote around them stays."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the marks between which the table stands")
    page.write_text(f"{before}{BEGIN}\n\n{report.page()}\n\n{END}{after}", encoding="utf-8")


def _cells(row: Row) -> list[str]:
    ratio = f"{shown(row.value)} ×" if row.baseline else ""
    return [
        row.number,
        row.name,
        _values(row.ours, row.unit),
        f"{row.baseline_name}: {_values(row.baseline, '')}" if row.baseline else "",
        ratio,
        str(row.target or ""),
        row.verdict,
    ]


def _values(values: Sequence[float], unit: str) -> str:
    if not values:
        return "–"
    each = f" ({', '.join(map(shown, values))})" if len(values) > 1 else ""
    return f"{shown(median(values))} {unit}".rstrip() + each


def _lines(named: Iterable[tuple[str, Sequence[float]]]) -> list[list[str]]:
    return [[name, f"{median(values):,.0f}", ", ".join(f"{v:,.0f}" for v in values)] for name, values in named]


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = "|" + "---|" * len(head)
    return "\n".join([f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)])


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
