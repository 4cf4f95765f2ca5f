"""What goes through, and what of it is changed on the way."""

import json

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.clients import Issuer, problem
from tests.gateway.houses import House, answer, raw

BILLS = "/treatment/v1/discharges"


async def test_each_prefix_goes_to_its_service(home: House, client: httpx.AsyncClient) -> None:
    await client.get("/contract/v1/residents?name=x")
    await client.get(BILLS)
    await client.get("/safety-net/v1/settlements")
    assert [asked.target for asked in home.contract.asked] == ["/contract/v1/residents?name=x"]
    assert [asked.target for asked in home.treatment.asked] == [BILLS]
    assert [asked.target for asked in home.safety_net.asked] == ["/safety-net/v1/settlements"]


async def test_the_token_endpoint_and_the_keys_are_contract_services(home: House, stranger: httpx.AsyncClient) -> None:
    assert (await stranger.post("/oauth/token", data={"grant_type": "client_credentials"})).status_code == 200
    assert (await stranger.get("/.well-known/jwks.json")).status_code == 200
    assert [asked.target for asked in home.contract.asked] == ["/oauth/token", "/.well-known/jwks.json"]
    assert home.contract.asked[0].body == b"grant_type=client_credentials"
    assert home.contract.asked[0].header("content-type") == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_method_body_and_answer_pass_unchanged(home: House, client: httpx.AsyncClient, method: str) -> None:
    async def does(_: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        home.treatment.asked[-1].body = message["body"]
        headers = [(b"content-type", b"application/json"), (b"etag", b'"3"'), (b"location", BILLS.encode() + b"/1")]
        await answer(send, 201, [*headers, (b"idempotency-replayed", b"true")], '{"名":"甲"}'.encode())

    home.treatment.does = does
    body = b"" if method == "GET" else '{"name": "测试甲"}'.encode()
    sent = {"Content-Type": "application/json", "Idempotency-Key": "k-1", "If-Match": '"2"', "Prefer": "wait=5"}
    got = await client.request(method, BILLS + "/%E7%94%B2?a=%20b&a=c", content=body, headers=sent)
    asked = home.treatment.asked[0]
    assert (asked.method, asked.target, asked.body) == (method, BILLS + "/%E7%94%B2?a=%20b&a=c", body)
    for name, value in sent.items():
        assert asked.header(name.lower()) == value
    assert asked.header("authorization") == client.headers["Authorization"]
    assert got.status_code == 201
    assert got.json() == {"名": "甲"}
    assert got.headers["etag"] == '"3"'
    assert got.headers["location"] == BILLS + "/1"
    assert got.headers["idempotency-replayed"] == "true"


async def test_the_service_gets_our_host_and_nothing_the_caller_did_not_say(home: House) -> None:
    await raw(
        home.port,
        b"POST /oauth/token HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}",
    )
    headers = dict(home.contract.asked[0].headers)
    request_id = headers.pop("x-request-id")
    assert len(request_id) == 36
    assert headers == {
        "host": f"127.0.0.1:{home.contract.port}",
        "content-length": "2",
        "x-forwarded-for": "127.0.0.1",
    }


async def test_who_asked_is_said_by_the_gateway_alone(home: House, client: httpx.AsyncClient) -> None:
    lies = {
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
    }
    await client.get(BILLS, headers=lies)
    asked = home.treatment.asked[0]
    assert asked.header("x-forwarded-for") == "127.0.0.1"
    assert all(asked.header(name.lower()) is None for name in list(lies)[1:])


async def test_hop_by_hop_headers_stay_here_in_both_directions(home: House, client: httpx.AsyncClient) -> None:
    async def does(_: Scope, __: Receive, send: Send) -> None:
        dropped = [(b"keep-alive", b"timeout=5"), (b"x-hop", b"1"), (b"upgrade", b"h2c")]
        kept = [(b"x-kept", b"1"), (b"x-kept", b"2"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        await answer(send, 200, [(b"connection", b"x-hop, keep-alive"), *dropped, *kept])

    home.treatment.does = does
    hops = {"Connection": "keep-alive, X-Mine", "X-Mine": "1", "TE": "trailers", "Keep-Alive": "5"}
    got = await client.get(BILLS, headers={**hops, "Proxy-Authorization": "Basic x", "X-Passed": "1"})
    asked = home.treatment.asked[0]
    for name in ("x-mine", "te", "keep-alive", "proxy-authorization", "upgrade"):
        assert asked.header(name) is None
    assert asked.header("x-passed") == "1"
    assert not {"keep-alive", "x-hop", "upgrade", "connection"} & set(got.headers)
    assert got.headers.get_list("x-kept") == ["1", "2"]
    assert got.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_a_connection_header_cannot_take_away_what_the_gateway_says(
    home: House, client: httpx.AsyncClient
) -> None:
    await client.get(BILLS, headers={"Connection": "X-Forwarded-For, X-Request-Id, Host"})
    asked = home.treatment.asked[0]
    assert asked.header("x-forwarded-for") == "127.0.0.1"
    assert asked.header("x-request-id")


async def test_the_request_id_is_kept_or_made_and_comes_back_once(home: House, client: httpx.AsyncClient) -> None:
    async def does(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, 200, [(b"x-request-id", b"of the service")])

    home.treatment.does = does
    got = await client.get(BILLS, headers={"X-Request-Id": "his-17"})
    assert got.headers.get_list("x-request-id") == ["his-17"]
    assert home.treatment.asked[0].header("x-request-id") == "his-17"
    for bad in ("x" * 129, "a b", "450223197503120006"):
        got = await client.get(BILLS, headers={"X-Request-Id": bad})
        made = got.headers["x-request-id"]
        assert made != bad
        assert home.treatment.asked[-1].header("x-request-id") == made
    refused = await client.get("/nowhere", headers={"X-Request-Id": "his-18"})
    assert problem(refused, 404, "not_found")["request_id"] == "his-18" == refused.headers["x-request-id"]


async def test_an_absolute_location_of_the_service_is_made_ours(home: House, client: httpx.AsyncClient) -> None:
    async def does(_: Scope, __: Receive, send: Send) -> None:
        origin = f"http://127.0.0.1:{home.treatment.port}".encode()
        await answer(send, 307, [(b"location", origin + BILLS.encode())])

    home.treatment.does = does
    got = await client.get(BILLS + "/")
    assert got.status_code == 307, "redirects are the caller's to follow"
    assert got.headers["location"] == BILLS


async def test_a_head_is_answered_as_a_get_without_its_body(home: House, client: httpx.AsyncClient) -> None:
    async def does(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, 200, [(b"etag", b'"1"')], b"x" * 300_000)

    home.treatment.does = does
    got = await client.head(BILLS)
    assert (got.status_code, got.content, got.headers["content-length"]) == (200, b"", "300000")
    assert got.headers["etag"] == '"1"'
    assert home.treatment.asked[0].method == "GET"


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none(home: House, client: httpx.AsyncClient, status: int) -> None:
    async def does(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, status, [])

    home.treatment.does = does
    for _ in range(2):
        got = await client.delete(BILLS + "/1")
        assert (got.status_code, got.content) == (status, b"")
        assert "transfer-encoding" not in got.headers


async def test_a_services_refusal_passes_as_it_is(home: House, client: httpx.AsyncClient) -> None:
    said = {"code": "unknown_institution", "detail": "没有这家机构。"}

    async def does(_: Scope, __: Receive, send: Send) -> None:
        kind = [(b"content-type", b"application/problem+json"), (b"retry-after", b"7")]
        await answer(send, 422, kind, json.dumps(said).encode())

    home.treatment.does = does
    got = await client.post(BILLS, json={})
    assert (got.status_code, got.json(), got.headers["retry-after"]) == (422, said, "7")
    assert got.headers["content-type"] == "application/problem+json"


async def test_a_compressed_answer_is_not_unpacked_on_the_way(home: House, client: httpx.AsyncClient) -> None:
    import gzip

    packed = gzip.compress(b"a" * 1000)

    async def does(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, 200, [(b"content-encoding", b"gzip")], packed)

    home.treatment.does = does
    got = await client.get(BILLS)
    assert got.headers["content-length"] == str(len(packed))
    assert got.content == b"a" * 1000


async def test_answers_about_patients_are_not_kept_by_caches(home: House, client: httpx.AsyncClient) -> None:
    got = await client.get(BILLS)
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["x-content-type-options"] == "nosniff"

    async def does(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, 200, [(b"cache-control", b"max-age=60")])

    home.safety_net.does = does
    got = await client.get("/safety-net/v1/policies")
    assert got.headers.get_list("cache-control") == ["max-age=60"]


async def test_options_names_the_methods_and_opens_nothing_to_other_sites(
    home: House, stranger: httpx.AsyncClient
) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    got = await stranger.options(BILLS, headers=asked)
    assert (got.status_code, got.content) == (204, b"")
    assert "POST" in got.headers["allow"]
    assert not [name for name in got.headers if name.startswith("access-control-")]
    assert home.treatment.asked == []


async def test_a_token_of_one_person_is_not_anothers(home: House, issuer: Issuer, client: httpx.AsyncClient) -> None:
    other = issuer.token("auditor")
    await client.get(BILLS)
    await client.get(BILLS, headers={"Authorization": f"Bearer {other}"})
    assert home.treatment.asked[1].header("authorization") == f"Bearer {other}"
