"""One OpenAPI 3.1 document out of the three services', as a caller at the gateway sees them.

Pure: documents in, document out. The services describe their routes; what holds for all of them (who is asking, how a
refusal looks) is said here once.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.routes import EXACT, is_public
from gateway.words import DESCRIPTION, GATEWAY_PATHS, PROBLEM_SCHEMA, SECURITY_SCHEMES

Document = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "patch", "options", "head", "trace")
SCHEMAS = "#/components/schemas/"
REFUSED_WITHOUT = ("idempotency-key", "if-match")
# The framework's own answer to wrong fields; ours is a problem document.
NOT_OURS = ("HTTPValidationError", "ValidationError")


def merge(documents: Mapping[str, Document]) -> Document:
    """The documents of the services, by service, as one."""
    apart = {service: _own_paths(service, copy.deepcopy(document)) for service, document in documents.items()}
    renamed = _names(apart)
    schemas: Document = {"Problem": PROBLEM_SCHEMA}
    paths: Document = {}
    for service, document in apart.items():
        names = renamed[service]
        for name, schema in document["components"]["schemas"].items():
            schemas[names.get(name, name)] = _point_to(schema, names)
        paths |= _point_to(document["paths"], names)
    paths |= copy.deepcopy(GATEWAY_PATHS)
    for path, method, operation in operations(paths):
        _complete(path, method, operation, schemas)
    for schema in schemas.values():
        if "examples" in schema:
            schema["examples"] = [with_nulls(example, schema, schemas) for example in schema["examples"]]
    return {
        "openapi": "3.1.0",
        "info": {"title": "三个一批 Three Batches", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"oauth2": []}, {"bearer": []}],
        "tags": _tags(paths),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "拒绝或失败（RFC 9457）：code 供程序判断，detail 给经办人看。",
                    "content": {"application/problem+json": {"schema": {"$ref": SCHEMAS + "Problem"}}},
                }
            },
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, str, Document]]:
    """Each operation with its path and method."""
    for path, item in paths.items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _own_paths(service: str, document: Document) -> Document:
    """A service's document with those of its paths that are reached through the gateway."""
    prefix = f"/{service}/v1/"
    document["paths"] = {
        path: item
        for path, item in document.get("paths", {}).items()
        if path.startswith(prefix) or EXACT.get(path) == service
    }
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in NOT_OURS:
        schemas.pop(name, None)
    for _, _, operation in operations(document["paths"]):
        wrong_fields = operation["responses"].get("422")
        if wrong_fields and "HTTPValidationError" in json.dumps(wrong_fields):
            del operation["responses"]["422"]
    return document


def _names(documents: Mapping[str, Document]) -> dict[str, dict[str, str]]:
    """New names for schemas that bear one name and mean different things: ``TreatmentPage``, ``ContractPage``."""
    schemas = {service: document["components"]["schemas"] for service, document in documents.items()}
    clashing = {"Problem"}
    while True:
        seen: Document = {}
        found = set(clashing)
        for service, own in schemas.items():
            names = {name: f"{service}/{name}" for name in clashing}
            for name, schema in own.items():
                # What leads to a schema that differs is itself different.
                meaning = _point_to(schema, names)
                if seen.setdefault(name, meaning) != meaning:
                    found.add(name)
        if found == clashing:
            break
        clashing = found
    return {
        service: {name: service.title().replace("-", "") + name for name in clashing if name in own}
        for service, own in schemas.items()
    }


def _point_to(part: Any, names: Mapping[str, str]) -> Any:
    """A copy whose references to renamed schemas follow them."""
    if isinstance(part, dict):
        return {
            key: _reference(value, names) if key == "$ref" else _point_to(value, names) for key, value in part.items()
        }
    if isinstance(part, list):
        return [_point_to(item, names) for item in part]
    return part


def _reference(target: Any, names: Mapping[str, str]) -> Any:
    if isinstance(target, str) and target.startswith(SCHEMAS):
        name = target.removeprefix(SCHEMAS)
        return SCHEMAS + names.get(name, name)
    return target


def _complete(path: str, method: str, operation: Document, schemas: Document) -> None:
    """Add what a service leaves to the gateway: security, the shape of refusals, examples where they are looked for."""
    operation["responses"].setdefault("default", {"$ref": "#/components/responses/Problem"})
    if is_public(method.upper(), path):
        operation["security"] = []
    for parameter in operation.get("parameters", []):
        # The services refuse their absence with codes of their own (400, 428), so the framework thinks them optional.
        if parameter["in"] == "header" and parameter["name"].lower() in REFUSED_WITHOUT:
            parameter["required"] = True
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content.get("schema", {})
        found = schemas.get(str(schema.get("$ref", "")).removeprefix(SCHEMAS), schema)
        if "example" not in content and "examples" not in content and found.get("examples"):
            content["example"] = found["examples"][0]
        if "example" in content:
            content["example"] = with_nulls(content["example"], schema, schemas)
        for named in content.get("examples", {}).values():
            if "value" in named:
                named["value"] = with_nulls(named["value"], schema, schemas)


def with_nulls(value: Any, schema: Document, schemas: Document) -> Any:
    """The framework leaves every null out of its document, those of examples too. Required fields get theirs back."""
    schema = schemas.get(str(schema.get("$ref", "")).removeprefix(SCHEMAS), schema)
    for choice in schema.get("anyOf", []):
        # Which of several shapes an example has is seen by its fields; null is none of them.
        if choice.get("type") != "null" and isinstance(value, dict | list):
            return with_nulls(value, choice, schemas)
    if isinstance(value, list):
        return [with_nulls(item, schema.get("items", {}), schemas) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    full = {name: with_nulls(item, properties.get(name, {}), schemas) for name, item in value.items()}
    for name in schema.get("required", []):
        if name not in full and _nullable(properties.get(name, {})):
            full[name] = None
    order = [*(name for name in properties if name in full), *(name for name in full if name not in properties)]
    return {name: full[name] for name in order}


def _nullable(schema: Document) -> bool:
    kinds = schema.get("type")
    return any(choice.get("type") == "null" for choice in schema.get("anyOf", [])) or (
        isinstance(kinds, list) and "null" in kinds
    )


def _tags(paths: Mapping[str, Any]) -> list[Document]:
    names = [tag for _, _, operation in operations(paths) for tag in operation.get("tags", [])]
    return [{"name": name} for name in dict.fromkeys(names)]
