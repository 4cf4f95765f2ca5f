"""The one API document of the house: whole, in Chinese, with an example for each body, and honest about tokens."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from contract_service.main import app as contract
from gateway.errors import NoSuchPath
from gateway.merge import SCHEMAS, merge, operations
from gateway.pages import docs_page, examples
from gateway.routes import PUBLIC, is_public, service_of
from safety_net_service.main import app as safety_net
from shared.kit.caller import Allow, public
from treatment_service.main import app as treatment

APPS: dict[str, FastAPI] = {"contract": contract, "treatment": treatment, "safety-net": safety_net}
MERGED = merge({name: app.openapi() for name, app in APPS.items()})
OPERATIONS = [(f"{method.upper()} {path}", operation) for path, method, operation in operations(MERGED["paths"])]
CHINESE = re.compile("[\u4e00-\u9fff]")
KINDS = {"string", "integer", "number", "boolean", "object", "array", "null"}

each = pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])


def bodies(operation: dict[str, Any]) -> dict[str, Any]:
    """The kinds of body an operation takes."""
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return content


def everything(part: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document with its place, examples left out: they hold data, not words of OpenAPI."""
    if isinstance(part, dict):
        yield place, part
        for key, value in part.items():
            if key not in ("example", "examples", "default", "enum", "const"):
                yield from everything(value, f"{place}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(part, list):
        for number, item in enumerate(part):
            yield from everything(item, f"{place}/{number}")


def resolve(reference: str) -> Any:
    """What a reference points to; KeyError when it points nowhere."""
    found: Any = MERGED
    for key in reference.removeprefix("#/").split("/"):
        found = found[key.replace("~1", "/").replace("~0", "~")]
    return found


def test_the_document_has_the_parts_openapi_asks_for() -> None:
    assert MERGED["openapi"].startswith("3.1.")
    assert {"title", "version"} <= MERGED["info"].keys()
    assert MERGED["servers"] == [{"url": "/"}], "wherever the document was read is where the requests go"
    known = {"openapi", "info", "servers", "security", "tags", "paths", "components"}
    assert MERGED.keys() == known
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(names) == len(set(names))
    for kind in MERGED["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in kind)


def test_every_reference_leads_somewhere() -> None:
    for place, part in everything(MERGED):
        if isinstance(part.get("$ref"), str):
            assert part["$ref"].startswith("#/components/"), place
            assert resolve(part["$ref"]) is not None


def test_no_schema_is_left_over() -> None:
    said = {part["$ref"] for _, part in everything(MERGED) if isinstance(part.get("$ref"), str)}
    assert {SCHEMAS + name for name in MERGED["components"]["schemas"]} <= said


def test_schemas_use_words_of_json_schema() -> None:
    for place, part in everything(MERGED["components"]["schemas"]):
        kinds = part.get("type")
        if place.endswith("/properties") or not isinstance(kinds, str | list):
            continue
        assert set([kinds] if isinstance(kinds, str) else kinds) <= KINDS, place
        assert set(part.get("required", [])) <= part.get("properties", {}).keys(), place
        assert "nullable" not in part, f"{place}: a word of OpenAPI 3.0"


@each
def test_an_operation_is_well_formed(name: str, operation: dict[str, Any]) -> None:
    path = name.split(" ")[1]
    parameters = operation.get("parameters", [])
    assert len({(parameter["name"], parameter["in"]) for parameter in parameters}) == len(parameters)
    in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"{([^}]+)}", path))
    for parameter in parameters:
        assert parameter["in"] in ("path", "query", "header", "cookie")
        assert parameter["in"] != "path" or parameter["required"] is True
        assert "schema" in parameter
    assert operation["responses"]
    for status, answer in operation["responses"].items():
        assert re.fullmatch(r"[1-5][0-9][0-9]|default", status)
        assert "$ref" in answer or answer["description"]
    for requirement in operation["security"] if "security" in operation else MERGED["security"]:
        assert requirement.keys() <= MERGED["components"]["securitySchemes"].keys()


@each
def test_an_operation_is_named_in_chinese(name: str, operation: dict[str, Any]) -> None:
    assert CHINESE.search(operation.get("summary", "")), f"{name}: summary {operation.get('summary')!r}"
    assert operation.get("tags"), name


@each
def test_an_operation_declares_how_it_refuses(name: str, operation: dict[str, Any]) -> None:
    refusal = operation["responses"]["default"]
    refusal = resolve(refusal["$ref"]) if "$ref" in refusal else refusal
    assert refusal["content"].keys() == {"application/problem+json"}, name
    for status, answer in operation["responses"].items():
        if status[0] in "45" and "content" in answer and name != "GET /readyz":
            assert answer["content"].keys() == {"application/problem+json"}, f"{name}: {status}"


@each
def test_a_body_has_an_example_with_every_required_field(name: str, operation: dict[str, Any]) -> None:
    assert "requestBody" not in operation or bodies(operation), name
    for kind, content in bodies(operation).items():
        assert examples(content), f"{name}: no example of {kind}"
        for example in examples(content):
            assert not isinstance(example, str) or kind != "application/json"
            assert not list(complaints(example, content["schema"], name)), name


def complaints(value: Any, schema: dict[str, Any], place: str) -> Iterator[str]:
    """Fields an example lacks or has too many, all the way down. A choice is left to the service itself."""
    if "$ref" in schema:
        schema = resolve(schema["$ref"])
    if isinstance(value, list):
        for item in value:
            yield from complaints(item, schema.get("items", {}), place + "[]")
    if isinstance(value, dict) and "properties" in schema:
        yield from (f"{place}: {field} is missing" for field in schema.get("required", []) if field not in value)
        unknown = value.keys() - schema["properties"].keys()
        if schema.get("additionalProperties") is False and unknown:
            yield f"{place}: unknown {unknown}"
        for field, item in value.items():
            yield from complaints(item, schema["properties"].get(field, {}), f"{place}.{field}")


def callables(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """All that is called before a route."""
    for inner in dependant.dependencies:
        if inner.call is not None:
            yield inner.call
        yield from callables(inner)


def routes() -> Iterator[tuple[str, str, str, set[Any]]]:
    """Every route of every service: service, method, path, and what is called before it."""
    for service, app in APPS.items():
        for route in iter_route_contexts(app.routes):
            if dependant := getattr(route, "dependant", None):
                for method in route.methods or ():
                    yield service, method, str(route.path), set(callables(dependant))


def reached(path: str) -> str | None:
    """The service the gateway would ask; None when nobody comes there from outside."""
    try:
        return service_of(path)
    except NoSuchPath:
        return None


def test_the_gateway_lets_in_without_a_token_where_the_service_does_and_nowhere_else() -> None:
    found = 0
    for service, method, path, called in routes():
        if reached(path) != service:
            continue
        assert is_public(method, path) == (public in called), f"{method} {path}"
        assert public in called or any(isinstance(call, Allow) for call in called), f"{method} {path}: open to all"
        found += public in called
    assert found >= len(PUBLIC)


def test_the_document_says_which_those_are() -> None:
    for name, operation in OPERATIONS:
        method, path = name.split(" ")
        expected: list[str] | None = [] if is_public(method, path) or reached(path) is None else None
        assert operation.get("security") == expected, name


def test_every_route_that_can_be_reached_is_described() -> None:
    described = {name for name, _ in OPERATIONS}
    hidden = {f"{method} {path}" for service, method, path, _ in routes() if reached(path) == service} - described
    assert not hidden


def test_the_readable_page_shows_every_operation() -> None:
    page = docs_page(MERGED).decode()
    assert page.count("<details>") == len(OPERATIONS)
