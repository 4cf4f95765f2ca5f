"""A pack with one word dropped or exchanged, for every word that carries weight."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import yaml

from safety_net_service.settlements.rules import parse_pack
from safety_net_service.settlements.rules.shape import VALUES
from shared.kit.policy import PolicyError

_UNUSED = re.compile(r"clause (\S+) is quoted but no value rests on it")
_EXCHANGES = {
    "cut_by": ("days", "admission", "discharge"),
    "short": ("hold", "cut"),
    "of": ("base", "in_scope", "personal"),
}


def word_changes(text: str) -> Iterator[tuple[str, str]]:
    """Each change by its name, with the changed pack's text. Quotes that nothing rests on any more go too."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for name, path, change in _places(root):
        changed = copy.deepcopy(root)
        change(_at(changed, path))
        yield name, _without_unused_quotes(changed)


def _at(root: Any, path: tuple[Any, ...]) -> Any:
    node = root
    for part in path:
        node = node.value[part] if isinstance(node, yaml.SequenceNode) else _value(node, part)
    return node


def _value(node: Any, key: str) -> Any:
    return next(value for word, value in node.value if word.value == key)


def _keys(node: Any) -> list[str]:
    return [word.value for word, _ in node.value]


def _drop_key(key: str) -> Any:
    def change(node: Any) -> None:
        node.value = [pair for pair in node.value if pair[0].value != key]

    return change


def _drop_item(index: int) -> Any:
    def change(node: Any) -> None:
        del node.value[index]

    return change


def _set(key: str, text: str) -> Any:
    def change(node: Any) -> None:
        _value(node, key).value = text

    return change


def _places(root: Any) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    yield from _exchange(root, ("in_force",), "cut_by", _EXCHANGES["cut_by"])
    for place, key in ((("eligible", "categories"), "categories"), (("counted", "names"), "counted")):
        for index, item in enumerate(_at(root, place).value):
            yield f"{key}/{item.value}", place, _drop_item(index)
    for code in _keys(_value(root, "exclusions")):
        yield f"exclusions/{code}", ("exclusions",), _drop_key(code)
    for name in _keys(_value(root, "values")):
        yield from _exchange(root, ("values", name), "is", VALUES[name].choices)
        if "or" in _keys(_at(root, ("values", name))):
            yield f"values/{name}/or", ("values", name), _drop_key("or")
    for index, step in enumerate(_value(root, "steps").value):
        yield from _of_step(root, index, step)


def _of_step(root: Any, index: int, step: Any) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    place, label = ("steps", index), f"steps/{index + 1}"
    yield f"{label}", ("steps",), _drop_item(index)
    keys = _keys(step)
    for key in ("when", "split", "limit"):
        if key in keys:
            yield f"{label}/{key}", place, _drop_key(key)
    if "when" in keys:
        for fact in _keys(_value(step, "when")):
            yield f"{label}/when/{fact}", (*place, "when"), _drop_key(fact)
    if "less" in keys:
        names = _value(step, "less").value
        for number, name in enumerate(names):
            if len(names) == 1:
                yield f"{label}/less/{name.value}", place, _drop_key("less")
            else:
                yield f"{label}/less/{name.value}", (*place, "less"), _drop_item(number)
    yield from _exchange(root, place, "of", _EXCHANGES["of"], label)
    if "limit" in keys:
        yield from _exchange(root, (*place, "limit"), "short", _EXCHANGES["short"], f"{label}/limit")


def _exchange(
    root: Any, place: tuple[Any, ...], key: str, choices: tuple[str, ...], label: str = ""
) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    found = _value(_at(root, place), key).value
    for choice in choices:
        if choice != found:
            yield f"{label or '/'.join(place)}/{key}={choice}", place, _set(key, choice)


def _without_unused_quotes(root: Any) -> str:
    while True:
        text = str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True))
        try:
            parse_pack(text, "changed")
        except PolicyError as error:
            unused = _UNUSED.search(error.message)
            if unused is None:
                return text
            _drop_key(unused[1])(_value(root, "clauses"))
        else:
            return text
