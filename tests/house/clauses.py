"""Which clause is claimed by which test: ``python -m tests.house.clauses`` (that is ``make clauses``).

The clauses stand in ``docs/clauses.yaml``; a test claims some with ``@pytest.mark.clause("A3-20", "R-12")``, and a
parametrised case with ``marks=pytest.mark.clause(…)``. The tests are only collected here, never run.

    python -m tests.house.clauses            the table, then the coverage
    python -m tests.house.clauses --tests    the names of the claiming tests too
    python -m tests.house.clauses --json     what was collected: node ids, and the ids each claims

Exits 1 when a test claims an id that does not exist, 2 when the tests can't be collected.
"""

import argparse
import contextlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REGISTER = ROOT / "docs" / "clauses.yaml"


class BadRegister(ValueError):
    """The register of clauses cannot be taken as it stands: where, and why."""


@dataclass(frozen=True)
class Clause:
    """One clause, or one worked case: what it obliges and where it stands."""

    id: str
    obliges: str
    place: str = ""
    module: str = ""
    later: int | None = None
    now: str = ""

    @property
    def stands(self) -> bool:
        """Whether what it obliges is built: then a test must claim it."""
        return self.later is None

    @property
    def prefix(self) -> str:
        """``A3`` of ``A3-20``."""
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Register:
    """All of ``docs/clauses.yaml``."""

    clauses: dict[str, Clause]
    cases: dict[str, Clause]
    not_software: dict[str, dict[str, str]]

    def everything(self) -> dict[str, Clause]:
        """Clauses and worked cases under one roof: what a test may claim."""
        return self.clauses | self.cases


@dataclass(frozen=True)
class Claims:
    """What pytest collected: each test's node id with the ids it claims, and what went wrong."""

    tests: dict[str, tuple[str, ...]]
    errors: tuple[str, ...] = ()

    def of(self, clause: str) -> list[str]:
        """The tests that claim a clause."""
        return [test for test, claimed in self.tests.items() if clause in claimed]

    def ids(self) -> set[str]:
        """Every id that is claimed."""
        return {clause for claimed in self.tests.values() for clause in claimed}


# --- reading the register ----------------------------------------------------------------------------------------


def read_register(path: Path = REGISTER) -> Register:
    """Read the register; a doubled id, an unknown word or a missing one raises `BadRegister` with its line."""
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    parts = dict(_entries(root, path.name))
    if set(parts) != {"clauses", "cases", "not_software"}:
        raise BadRegister(f"{path.name}: its parts are clauses, cases and not_software, not {sorted(parts)}")
    clauses = {
        clause: Clause(clause, **_words(node, path.name, {"obliges", "place", "module"}, {"later", "now"}))
        for clause, node in _entries(parts["clauses"], path.name)
    }
    cases = {}
    for case, node in _entries(parts["cases"], path.name):
        words = _words(node, path.name, {"about"}, {"later"})
        cases[case] = Clause(case, words.pop("about"), **words)
    if both := set(clauses) & set(cases):
        raise BadRegister(f"{path.name}: both clause and case: {sorted(both)}")
    left_out = {
        clause: _words(node, path.name, {"part", "why"}, set())
        for clause, node in _entries(parts["not_software"], path.name)
    }
    return Register(clauses, cases, left_out)


def _entries(node: yaml.Node | None, file: str) -> Iterator[tuple[str, yaml.Node]]:
    """A mapping's entries. YAML itself would let the last of two equal keys win without a word."""
    if not isinstance(node, yaml.MappingNode):
        raise BadRegister(f"{file}: a mapping is wanted here")
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            raise BadRegister(f"{file}:{key.start_mark.line + 1}: {key.value} stands here a second time")
        seen.add(key.value)
        yield key.value, value


def _words(node: yaml.Node, file: str, needed: set[str], allowed: set[str]) -> dict[str, Any]:
    line = node.start_mark.line + 1
    words: dict[str, Any] = {}
    for word, value in _entries(node, f"{file}:{line}"):
        if word not in needed | allowed:
            raise BadRegister(f"{file}:{line}: {word!r} is no word of this register")
        if not isinstance(value, yaml.ScalarNode) or not value.value.strip():
            raise BadRegister(f"{file}:{line}: {word} has no text")
        words[word] = value.value
    if missing := needed - set(words):
        raise BadRegister(f"{file}:{line}: {', '.join(sorted(missing))} is missing")
    if "later" in words:
        if not words["later"].isdigit():
            raise BadRegister(f"{file}:{line}: later is the number of an issue")
        words["later"] = int(words["later"])
    return words


# --- collecting the tests ----------------------------------------------------------------------------------------


class _Collector:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.tests: dict[str, tuple[str, ...]] = {}
        self.errors: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.tests[item.nodeid] = claimed_by(item.iter_markers("clause"))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")


def claimed_by(marks: Iterable[pytest.Mark]) -> tuple[str, ...]:
    """The ids in a test's `clause` marks, each once, in the order of the marks."""
    return tuple(dict.fromkeys(str(clause) for mark in marks for clause in mark.args))


def collect(folder: str = "tests") -> Claims:
    """Collect the tests below a folder in this process, without running one."""
    found = _Collector()
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", folder], plugins=[found])
    errors = list(found.errors)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and not errors:
        errors.append(quiet.getvalue().strip() or f"pytest ended with {code}")
    return Claims(found.tests, tuple(errors))


# --- the table ---------------------------------------------------------------------------------------------------


def table(register: Register, claims: Claims, *, names: bool = False) -> list[str]:
    """One line a clause: id, number of tests, status, module, what it obliges; the columns of one width come first."""
    lines = [f"{'clause':7} {'tests':>5}  {'status':8} {'module':34} obliges"]
    for clause in register.everything().values():
        tests = claims.of(clause.id)
        status = "stands" if clause.stands else f"later {clause.later}"
        lines.append(f"{clause.id:7} {len(tests):5}  {status:8} {clause.module:34} {clause.obliges}")
        if clause.now:
            lines.append(f"{'':58} so far: {clause.now}")
        if names:
            lines += [f"{'':16}{test}" for test in tests]
    return lines


def coverage(title: str, clauses: Mapping[str, Clause], claims: Claims) -> list[str]:
    """How many are claimed, of all and of those that stand, in all and by prefix. Shares are cut, never rounded up."""
    claimed = claims.ids()
    lines = []
    for prefix in ["", *dict.fromkeys(clause.prefix for clause in clauses.values())]:
        of_all = [clause for clause in clauses.values() if prefix in ("", clause.prefix)]
        standing = [clause for clause in of_all if clause.stands]
        lines.append(
            f"{title if not prefix else '':22} {prefix or 'all':4}"
            f" claimed of all {_share(of_all, claimed):>18}   of those that stand {_share(standing, claimed):>18}"
        )
    return lines


def _share(clauses: list[Clause], claimed: set[str]) -> str:
    if not clauses:
        return "none"
    done = sum(clause.id in claimed for clause in clauses)
    hundredths = done * 10_000 // len(clauses)
    return f"{done}/{len(clauses)} {hundredths // 100}.{hundredths % 100:02d} %"


def unknown(register: Register, claims: Claims) -> list[str]:
    """Ids that tests claim and the register does not have, each with a test that claims it."""
    known = register.everything()
    return [f"{clause}: claimed by {claims.of(clause)[0]}" for clause in sorted(claims.ids() - set(known))]


def unclaimed(register: Register, claims: Claims) -> list[Clause]:
    """Clauses and cases that stand and that no test claims."""
    claimed = claims.ids()
    return [clause for clause in register.everything().values() if clause.stands and clause.id not in claimed]


def report(register: Register, claims: Claims, *, names: bool = False) -> list[str]:
    """The whole page: table, parts left to people, coverage, what is missing."""
    lines = [*table(register, claims, names=names), "", "parts of clauses that no program can do:"]
    lines += [f"{clause:7} {entry['part']}: {entry['why']}" for clause, entry in register.not_software.items()]
    lines += ["", *coverage("clauses", register.clauses, claims), *coverage("worked cases", register.cases, claims)]
    by_issue = Counter(clause.later for clause in register.clauses.values() if clause.later is not None)
    lines += ["", "waiting: " + ", ".join(f"issue {issue}: {count}" for issue, count in sorted(by_issue.items()))]
    if missing := unclaimed(register, claims):
        lines += ["", "stand and are claimed by no test: " + " ".join(clause.id for clause in missing)]
    if wrong := unknown(register, claims):
        lines += ["", "claimed, but no such clause:", *wrong]
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print the page; the exit code says whether every claim is a clause."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.clauses", description="which test claims which clause")
    parser.add_argument("--tests", action="store_true", help="name the tests")
    parser.add_argument("--json", action="store_true", help="what was collected, for a program")
    chosen = parser.parse_args(arguments)
    register, claims = read_register(), collect()
    if chosen.json:
        sys.stdout.write(json.dumps({"tests": claims.tests, "errors": claims.errors}, ensure_ascii=False) + "\n")
        return 2 if claims.errors else 0
    sys.stdout.write("\n".join(report(register, claims, names=chosen.tests)) + "\n")
    for error in claims.errors:
        sys.stderr.write(f"not collected: {error}\n")
    if claims.errors:
        return 2
    return 1 if unknown(register, claims) else 0


if __name__ == "__main__":
    sys.exit(main())
