"""Functions that look like tests and would never run."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tests.house.sources import File

# The ways a hurried hand writes "test": pytest collects none of these.
SLIPS = {"tset", "tets", "etst", "tes", "tst", "tesst", "teest", "ttest", "etest", "tesr", "twst", "rtest"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def hidden_tests(file: File) -> Iterator[str]:
    """Tests of one file that pytest passes over: misspelt, nested, doubled, in a class or file of the wrong name."""
    collected = file.name.startswith("test_") or file.name.endswith("_test.py")
    yield from _in(file, file.tree, collected=collected, inside=None)


def _in(file: File, node: ast.AST, *, collected: bool, inside: ast.AST | None) -> Iterator[str]:
    doubled = Counter(child.name for child in ast.iter_child_nodes(node) if isinstance(child, Function))
    for child in ast.iter_child_nodes(node):
        where = f"{file.path}:{getattr(child, 'lineno', 0)}"
        if isinstance(child, Function):
            if _slip(child.name):
                yield f"{where}: {child.name} is misspelt: pytest does not run it"
            if child.name.startswith("test_"):
                if isinstance(inside, Function):
                    yield f"{where}: {child.name} stands inside {inside.name}: pytest does not run it"
                elif isinstance(inside, ast.ClassDef) and not _collected_class(inside):
                    yield f"{where}: {child.name} stands in {inside.name}, which pytest does not collect"
                elif not collected:
                    yield f"{where}: {child.name} stands in a file that is not named test_….py"
                elif doubled[child.name] > 1:
                    yield f"{where}: {child.name} stands here twice: only the last one runs"
            yield from _in(file, child, collected=collected, inside=child)
        elif isinstance(child, ast.ClassDef):
            if _slip(child.name):
                yield f"{where}: class {child.name} is misspelt: pytest does not collect it"
            yield from _in(file, child, collected=collected, inside=child)
        else:
            yield from _in(file, child, collected=collected, inside=inside)


def _slip(name: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().lstrip("_").split("_")
    return len(words) > 1 and words[0] in SLIPS


def _collected_class(node: ast.ClassDef) -> bool:
    made = any(isinstance(child, Function) and child.name == "__init__" for child in node.body)
    return node.name.startswith("Test") and not made


def names_of_tests(file: File) -> Iterator[str]:
    """The tests a file holds, as pytest names them: ``tests/a/test_b.py::test_c``."""
    for node in file.tree.body:
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield f"{file.path}::{node.name}"
        elif isinstance(node, ast.ClassDef) and _collected_class(node):
            for child in node.body:
                if isinstance(child, Function) and child.name.startswith("test_"):
                    yield f"{file.path}::{node.name}::{child.name}"
