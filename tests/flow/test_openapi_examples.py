"""Every request example of the merged OpenAPI, posted as it stands to the demo county."""

import json
from typing import Any
from uuid import uuid4

import httpx

from tests.flow.conftest import Caller, System

# In the order in which a county would do it; who asks; which ids of former answers stand in the path.
STORY = (
    ("post", "/contract/v1/institutions", "health_bureau"),
    ("patch", "/contract/v1/institutions/{institution_code}", "health_bureau"),
    ("post", "/contract/v1/residents", "poverty_office"),
    ("post", "/contract/v1/residents/search", "poverty_office"),
    ("patch", "/contract/v1/residents/{resident_id}", "poverty_office"),
    ("post", "/safety-net/v1/settlements/estimate", "county_hospital"),
    ("post", "/treatment/v1/discharges", "county_hospital"),
    ("post", "/safety-net/v1/notices/{settled_id}/prints", "county_hospital"),
    ("post", "/safety-net/v1/notices/{settled_id}/prints/{number}/signature", "county_hospital"),
    ("post", "/safety-net/v1/claims", "county_hospital"),
    ("post", "/safety-net/v1/claims/{claim_id}/lines/{place}/return", "safety_net_office"),
    ("post", "/treatment/v1/discharges/batch", "county_hospital"),
    ("post", "/treatment/v1/discharges/{discharge_id}/corrections", "county_hospital"),
    ("post", "/safety-net/v1/settlements/{settlement_id}/decisions", "safety_net_office"),
    ("post", "/safety-net/v1/working-days/arrangements", "health_bureau"),
    ("post", "/treatment/v1/discharges/{discharge_id}/void", "county_hospital"),
    ("post", "/contract/v1/accounts/users", "administrator"),
    ("post", "/oauth/password", None),
    ("post", "/oauth/totp", None),
    ("post", "/contract/v1/accounts/clients", "administrator"),
    ("post", "/contract/v1/accounts/clients/{client_id}/keys", "administrator"),
    ("post", "/oauth/token", None),
    ("post", "/oauth/revoke", None),
)


# What of an answer a later request needs.
KEPT = ("claim_id", "institution_code", "resident_id", "discharge_id", "client_id", "first_password")


def examples(document: dict[str, Any]) -> dict[tuple[str, str], tuple[str, Any]]:
    """The example of each request body, with its media type."""
    found = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                known = content.get("example")
                if known is None:
                    known = next(iter(content["examples"].values()))["value"]
                found[method, path] = (kind, known)
    return found


def test_every_example_is_accepted_as_it_stands(system: System) -> None:
    document = httpx.get(f"{system.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    told = examples(document)
    assert {(method, path.replace("settled_id", "settlement_id")) for method, path, _ in STORY} == set(told)
    # Something that a person must decide: one of the demo bills that are held for a name or a cause.
    held = system.user("safety_net_office").get("/safety-net/v1/settlements", params={"state": "held"}).json()["items"]
    undecided = [one for one in held if one["reasons"][0]["code"] == "insurance_suspended"]
    ids: dict[str, str] = {"settlement_id": undecided[0]["settlement_id"], "number": "1", "place": "1"}
    for method, path, who in STORY:
        kind, example = told[method, path.replace("settled_id", "settlement_id")]
        if path == "/oauth/password":
            example = {**example, "password": ids["first_password"]}
        answer = ask(system, who, method, path.format(**ids), kind, example)
        assert answer.status_code in (200, 201), (path, answer.text)
        if answer.headers["content-type"] != "application/json":
            continue
        body = answer.json()
        ids |= {name: str(body[name]) for name in KEPT if name in body}
        if path == "/treatment/v1/discharges":
            ids["settled_id"] = body["settlement"]["settlement_id"]


def ask(system: System, who: str | None, method: str, path: str, kind: str, example: Any) -> httpx.Response:
    """Send one example as its media type."""
    if kind == "application/x-www-form-urlencoded":
        return (
            token_by_example(system, example) if path == "/oauth/token" else httpx.post(system.url + path, data=example)
        )
    assert who is not None
    caller: Caller = system.client(who) if who in system.credentials["clients"] else system.user(who)
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": kind, "Prefer": "wait=10"}
    if method == "patch":
        headers["If-Match"] = caller.get(path).headers["etag"]
    content = example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)
    return caller.request(method, path, content=content.encode(), headers=headers)


def token_by_example(system: System, example: dict[str, str]) -> httpx.Response:
    """The token example, with an account that exists here in place of its invented one."""
    account = system.credentials["clients"]["county_hospital"]
    known = {name: account[name] for name in ("client_id", "client_secret")}
    assert set(example) == {"grant_type", *known}
    return httpx.post(f"{system.url}/oauth/token", data={**example, **known})
