"""Three documents become one."""

from typing import Any

import pytest

from gateway.errors import MalformedPath
from gateway.merge import merge, operations, with_nulls
from gateway.routes import checked_path


def a_document(path: str, schemas: dict[str, Any], body: str | None = None, **operation: Any) -> dict[str, Any]:
    """A service's document with one operation."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{body}"}}}
    more = {"requestBody": {"content": content}} if body else {}
    post = {"summary": "办", "responses": {"201": {"description": "x"}}, **more, **operation}
    return {"paths": {path: {"post": post}}, "components": {"schemas": schemas}}


SAME = {"type": "string"}


def test_schemas_of_one_name_stay_one_if_they_mean_the_same() -> None:
    merged = merge(
        {
            "contract": a_document("/contract/v1/a", {"Page": SAME}, "Page"),
            "treatment": a_document("/treatment/v1/a", {"Page": SAME}, "Page"),
        }
    )
    assert merged["components"]["schemas"]["Page"] == SAME
    assert "ContractPage" not in merged["components"]["schemas"]


def test_schemas_of_one_name_are_told_apart_with_all_that_leads_to_them() -> None:
    holder = {"properties": {"item": {"$ref": "#/components/schemas/Item"}}}
    merged = merge(
        {
            "contract": a_document("/contract/v1/a", {"Item": {"type": "string"}, "Page": holder}, "Page"),
            "safety-net": a_document("/safety-net/v1/a", {"Item": {"type": "integer"}, "Page": holder}, "Page"),
            "treatment": a_document("/treatment/v1/a", {"Other": SAME}, "Other"),
        }
    )
    schemas = merged["components"]["schemas"]
    assert schemas["ContractItem"] == {"type": "string"}
    assert schemas["SafetyNetItem"] == {"type": "integer"}
    assert schemas["SafetyNetPage"]["properties"]["item"] == {"$ref": "#/components/schemas/SafetyNetItem"}
    assert {"Item", "Page"}.isdisjoint(schemas)
    body = merged["paths"]["/safety-net/v1/a"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/SafetyNetPage"}
    assert schemas["Other"] == SAME


def test_only_what_the_gateway_lets_through_is_described() -> None:
    document = a_document("/contract/v1/a", {})
    document["paths"] |= {"/internal": {"get": {"responses": {}}}, "/treatment/v1/b": {"get": {"responses": {}}}}
    document["paths"]["/oauth/token"] = {"post": {"summary": "令牌的", "responses": {}}}
    paths = merge({"contract": document})["paths"]
    assert "/internal" not in paths
    assert "/treatment/v1/b" not in paths
    assert paths["/oauth/token"]["post"]["summary"] == "令牌的"


def test_refusals_and_security_are_said_of_every_operation() -> None:
    wrong = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}}
    document = a_document("/contract/v1/a", {"HTTPValidationError": {}}, responses={"422": wrong})
    document["paths"]["/safety-net/v1/policies/{pack}"] = {"get": {"responses": {}}}
    merged = merge(
        {"contract": document, "safety-net": {"paths": {"/safety-net/v1/policies": {"get": {"responses": {}}}}}}
    )
    assert "HTTPValidationError" not in str(merged)
    for path, _, operation in operations(merged["paths"]):
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
        public = not path.startswith("/contract/v1")
        assert (operation.get("security") == []) == public, path
    assert merged["security"] == [{"oauth2": []}, {"bearer": []}]


def test_examples_of_a_schema_stand_where_a_caller_looks() -> None:
    schema = {"type": "object", "examples": [{"a": 1}]}
    merged = merge({"contract": a_document("/contract/v1/a", {"Body": schema}, "Body")})
    content = merged["paths"]["/contract/v1/a"]["post"]["requestBody"]["content"]["application/json"]
    assert content["example"] == {"a": 1}


def test_required_nulls_come_back_into_examples() -> None:
    nullable = {"anyOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "null"}]}
    inner = {
        "properties": {"b": {"type": ["string", "null"]}, "a": {"type": "string"}, "c": {"type": "string"}},
        "required": ["b", "a", "c"],
    }
    outer = {
        "properties": {"one": nullable, "many": {"items": nullable}, "none": nullable},
        "required": ["none", "one"],
    }
    schemas = {"Inner": inner}
    full = with_nulls({"many": [{"a": "x"}], "one": {"a": "y"}}, outer, schemas)
    assert full == {"one": {"b": None, "a": "y"}, "many": [{"b": None, "a": "x"}], "none": None}
    assert list(full) == ["one", "many", "none"]


def test_the_services_documents_are_left_as_they_were() -> None:
    document = a_document("/contract/v1/a", {"Page": SAME}, "Page")
    before = repr(document)
    merge({"contract": document})
    assert repr(document) == before


@pytest.mark.parametrize("query", [b"a=\xff", b"a= b", b"a=\x00"])
def test_a_query_is_of_visible_characters(query: bytes) -> None:
    with pytest.raises(MalformedPath):
        checked_path(b"/treatment/v1/discharges", query)
