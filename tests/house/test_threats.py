"""The table of threats: every control in it is shown by tests that are really there."""

import re
from collections.abc import Iterator

from tests.house.collection import names_of_tests
from tests.house.sources import ROOT, committed

TEST = re.compile(r"`([a-z_/]+\.py::test_[a-z0-9_]+)`")
HEAD = 3
# A line of a lock that begins a package, and what must follow it.
PACKAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==\S+")


def rows(section: str) -> list[list[str]]:
    """The rows of the table under a heading, as cells; the rows in bold only part it."""
    page = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    text = page.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not row[0].startswith("**")]


def without_test(table: list[list[str]], known: set[str]) -> Iterator[str]:
    """What is wrong with the tests that a table names."""
    for row in table:
        named = TEST.findall(row[-1])
        if len(row) != HEAD or not named:
            yield f"{row[0]}: no test shows it"
        yield from (f"{row[0]}: there is no {test}" for test in named if f"tests/{test}" not in known)
        if TEST.sub("", row[-1]).strip(" ,"):
            yield f"{row[0]}: {TEST.sub('', row[-1])!r} is no test"


def test_every_threat_that_is_held_names_tests_that_exist() -> None:
    known = {name for file in committed(".py") if file.path.startswith("tests/") for name in names_of_tests(file)}
    table = rows("Held")
    assert len(table) > 40
    assert list(without_test(table, known)) == []


def test_what_is_not_held_says_what_would() -> None:
    table = rows("Not held yet")
    assert len(table) > 10
    for row in table:
        assert len(row) == HEAD, row
        assert all(row), f"{row[0]}: something is left out"
        assert not TEST.search(" ".join(row)), f"{row[0]}: a test shows it: it belongs to the other table"


def test_a_row_without_a_test_or_with_a_lost_one_is_found() -> None:
    known = {"tests/a/test_b.py::test_c"}
    assert list(without_test([["x", "y", "`a/test_b.py::test_c`"]], known)) == []
    assert list(without_test([["x", "y", ""]], known)) == ["x: no test shows it"]
    lost = [["x", "y", "`a/test_b.py::test_lost`"]]
    assert list(without_test(lost, known)) == ["x: there is no a/test_b.py::test_lost"]
    assert list(without_test([["x", "y", "`a/test_b.py::test_c` and care"]], known)) == ["x: ' and care' is no test"]


def test_no_threat_stands_twice() -> None:
    threats = [row[0] for section in ("Held", "Not held yet") for row in rows(section)]
    assert len(threats) == len(set(threats))


def test_every_dependency_is_pinned_by_hash() -> None:
    locks = [file for file in committed(".lock") if file.path.startswith("requirements")]
    assert len(locks) >= 2
    for lock in locks:
        packages = re.split(r"\n(?=[A-Za-z0-9])", lock.text.strip())
        assert len(packages) > 10, lock.path
        for package in packages:
            assert PACKAGE.match(package), f"{lock.path}: {package[:60]!r} is not pinned to a version"
            assert "--hash=sha256:" in package, f"{lock.path}: {package[:60]!r} has no hash"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"-r requirements\S*\.lock", makefile)
    assert len(installs) >= 2
    assert len(re.findall(r"--require-hashes -r requirements\S*\.lock", makefile)) == len(installs)
