"""The manners of the public contract (idempotency, lists, strict JSON) as contract-service keeps them."""

import json
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.clients import Client, problem
from tests.services.contract.registry import (
    INSTITUTIONS,
    RESIDENTS,
    AsRole,
    a_resident,
    an_institution,
    patched,
    registered,
    written_down,
)


async def test_a_creating_post_needs_a_usable_key(bureau: Client) -> None:
    for path, body in ((RESIDENTS, a_resident()), (INSTITUTIONS, an_institution())):
        problem(await bureau.post(path, json=body), 400, "idempotency_key_missing")
        problem(await bureau.create(path, body, key="k" * 256), 400, "idempotency_key_invalid")


async def test_a_repeated_post_reads_the_first_ids_as_they_stand_now(contract: FastAPI, bureau: Client) -> None:
    body, key = a_resident(), str(uuid4())
    first = await bureau.create(RESIDENTS, body, key=key)
    await patched(bureau, first.headers["location"], {"phone": "0772-7654321"})
    spaced = json.dumps(body, indent=4, sort_keys=True).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    again = await bureau.post(RESIDENTS, content=spaced, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["resident_id"] == first.json()["resident_id"]
    assert (again.json()["phone"], again.headers["etag"]) == ("0772-7654321", '"2"')
    rows = await written_down(contract, "idempotency_key", RESIDENTS)
    assert rows[-1].action == "replayed"


async def test_a_key_is_bound_to_content_caller_and_path(bureau: Client, poverty_office: Client) -> None:
    key, body = str(uuid4()), an_institution()
    assert (await bureau.create(INSTITUTIONS, body, key=key)).status_code == 201
    problem(await bureau.create(INSTITUTIONS, body | {"level": 3}, key=key), 422, "idempotency_key_reused")
    assert (await bureau.create(INSTITUTIONS, body, key=key)).headers["idempotency-replayed"] == "true"
    resident = a_resident()
    assert (await bureau.create(RESIDENTS, resident, key=key)).status_code == 201
    problem(await poverty_office.create(RESIDENTS, resident, key=key), 409, "resident_already_registered")


async def test_a_refusal_is_judged_anew(bureau: Client) -> None:
    key = str(uuid4())
    problem(
        await bureau.create(RESIDENTS, a_resident(village_code="150824100001"), key=key), 422, "village_outside_county"
    )
    assert (await bureau.create(RESIDENTS, a_resident(), key=key)).status_code == 201


async def test_pages_follow_each_other_newest_first(bureau: Client) -> None:
    household = f"P{uuid4().hex[:12]}"
    made = [(await registered(bureau, household_no=household))["resident_id"] for _ in range(5)]
    pages: list[list[str]] = []
    cursor: str | None = None
    while cursor is not None or not pages:
        params = {"household_no": household, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = (await bureau.get(RESIDENTS, params=params)).json()
        pages.append([item["resident_id"] for item in answer["items"]])
        cursor = answer["next_cursor"]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [resident for page in pages for resident in page] == made[::-1]


async def test_a_cursor_belongs_to_one_caller_scope_list_and_filter(bureau: Client, as_role: AsRole) -> None:
    for _ in range(2):
        await registered(bureau)
        await bureau.create(INSTITUTIONS, an_institution())
    params = {"limit": "1", "cursor": (await bureau.get(f"{RESIDENTS}?limit=1")).json()["next_cursor"]}
    assert (await bureau.get(RESIDENTS, params=params)).status_code == 200
    same_name = {"subject": "test-health_bureau"}
    for client, path, filters in (
        (as_role("poverty_office"), RESIDENTS, {}),
        (as_role("health_bureau", county_code="150824"), RESIDENTS, {}),
        (as_role("poverty_office", **same_name), RESIDENTS, {}),
        (bureau, INSTITUTIONS, {}),
        (bureau, RESIDENTS, {"village_code": "450223100001"}),
    ):
        problem(await client.get(path, params=params | filters), 400, "cursor_invalid")
    for broken in ("", "x", "AAAA", params["cursor"][:-4] + "AAAA", "测"):
        problem(await bureau.get(RESIDENTS, params={"cursor": broken}), 400, "cursor_invalid")


@pytest.mark.parametrize("path", [RESIDENTS, INSTITUTIONS])
async def test_limits_and_unknown_parameters_are_refused(path: str, bureau: Client) -> None:
    for limit in ("201", "0", "-1", "many"):
        problem(await bureau.get(path, params={"limit": limit}), 422, "field_invalid")
    assert (await bureau.get(path, params={"limit": "200"})).status_code == 200
    body = problem(await bureau.get(path, params={"identity_number": "450223197503120006"}), 422, "unknown_parameter")
    assert body["errors"][0]["pointer"] == "/identity_number"
    assert "450223197503120006" not in json.dumps(body)
    problem(await bureau.get(f"{path}?cursor=%00"), 422, "format_invalid")


def texts() -> dict[str, tuple[bytes, int, str]]:
    good = json.dumps(a_resident(), ensure_ascii=False)
    deep = good[:-1] + ', "x": ' + "[" * 32 + "]" * 32 + "}"
    deepest = good[:-1] + ', "x": ' + "[" * 31 + "]" * 31 + "}"
    return {
        "duplicate_key": (
            good.replace('"sex": "male"', '"sex": "male", "sex": "female"').encode(),
            400,
            "duplicate_key",
        ),
        "nested_duplicate": (
            good.replace('"from": "2016-01-01"', '"from": "2016-01-01", "from": "2017-01-01"').encode(),
            400,
            "duplicate_key",
        ),
        "nan": (good.replace("true", "NaN").encode(), 422, "number_not_finite"),
        "infinity": (good.replace("true", "-Infinity").encode(), 422, "number_not_finite"),
        "depth_33": (deep.encode(), 400, "nesting_too_deep"),
        "depth_32_is_only_unknown": (deepest.encode(), 422, "unknown_field"),
        "endless_depth": (b"[" * 100_000, 400, "nesting_too_deep"),
        "cut_off": (good[:-1].encode(), 400, "malformed_json"),
        "empty": (b"", 400, "malformed_json"),
        "not_utf8": (good.encode("gb18030"), 400, "malformed_json"),
        "nul": (good.replace("测试示例", "测\\u0000").encode(), 400, "malformed_json"),
        "half_a_pair": (good.replace("测试示例", "测\\ud800").encode(), 400, "malformed_json"),
        "full_width_digits": (
            good.replace('"450223100001"', '"４５０２２３１００００１"').encode(),
            422,
            "format_invalid",
        ),
        "number_for_text": (good.replace('"450223100001"', "450223100001").encode(), 422, "field_invalid"),
        "list": (b"[]", 422, "field_invalid"),
        "too_large": (good.encode() + b" " * (1024 * 1024 + 1 - len(good.encode())), 413, "body_too_large"),
    }


@pytest.mark.parametrize("case", texts())
async def test_json_that_an_ordinary_parser_would_let_pass_is_refused(case: str, bureau: Client) -> None:
    content, status, code = texts()[case]
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    problem(await bureau.post(RESIDENTS, content=content, headers=headers), status, code)


async def test_a_body_of_just_one_mebibyte_is_read(bureau: Client) -> None:
    content = json.dumps(a_resident()).encode()
    content += b" " * (1024 * 1024 - len(content))
    headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": str(uuid4())}
    assert (await bureau.post(RESIDENTS, content=content, headers=headers)).status_code == 201


async def test_another_media_type_is_refused(bureau: Client) -> None:
    for kind in ("text/plain", "application/xml", ""):
        headers = {"Content-Type": kind, "Idempotency-Key": str(uuid4())}
        answer = await bureau.post(RESIDENTS, content=json.dumps(a_resident()).encode(), headers=headers)
        problem(answer, 415, "unsupported_media_type")


async def test_the_request_id_comes_back(bureau: Client) -> None:
    answer = await bureau.get(f"{INSTITUTIONS}/H0", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-1"
    odd = await bureau.get(INSTITUTIONS, headers={"X-Request-Id": "a b"})
    assert odd.headers["x-request-id"] != "a b"


async def test_neither_name_nor_number_reaches_the_log(bureau: Client, capsys: pytest.CaptureFixture[str]) -> None:
    resident = await registered(bureau, name="测试日志")
    number = resident["identity"]["number"]
    await bureau.get(RESIDENTS, params={"name": "测试日志"})
    await bureau.post(f"{RESIDENTS}/search", json={"identity_number": number})
    await bureau.create(RESIDENTS, a_resident(number))
    logged = capsys.readouterr().err
    assert logged.count('"event":"request"') >= 4
    assert number not in logged
    assert "测试日志" not in logged


def posts(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every request body's examples: method, path, value."""
    found = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                assert content.get("examples"), (method, path, "has no example")
                if "json" in kind:
                    found += [(method, path, example["value"]) for example in content["examples"].values()]
    return found


async def test_every_request_has_an_example_that_works(contract: FastAPI, bureau: Client, as_role: AsRole) -> None:
    schema = contract.openapi()
    resident = await registered(bureau)
    own = an_institution()
    assert (await bureau.create(INSTITUTIONS, own)).status_code == 201
    ids = {"{resident_id}": resident["resident_id"], "{institution_code}": "H45022300100"}
    ids["{client_id}"] = "his.county-hospital"
    administrator = as_role("administrator")
    for method, path, value in posts(schema):
        real = path
        for name, known in ids.items():
            real = real.replace(name, known)
        if "/accounts/" in path:
            if value.get("institution_code"):
                value = value | {"institution_code": own["institution_code"]}
            answer = await administrator.create(real, value)
        elif method == "patch":
            match = (await bureau.get(real)).headers["etag"]
            answer = await patched(bureau, real, value, match)
        else:
            answer = await bureau.create(real, value)
        assert answer.status_code in (200, 201), (method, path, answer.text)


def test_every_route_has_a_chinese_title(contract: FastAPI) -> None:
    for path, methods in contract.openapi()["paths"].items():
        for method, operation in methods.items():
            assert any("\u4e00" <= character <= "\u9fff" for character in operation["summary"]), (method, path)
