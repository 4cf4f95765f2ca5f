"""The gateway's own pages: health, the merged document, and two plain pages that need no other host."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.clients import Issuer, problem
from tests.gateway.houses import House, house

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "x", "version": "1"},
    "paths": {
        "/treatment/v1/discharges": {
            "post": {
                "summary": "报送出院结算单 <script>alert(1)</script>",
                "tags": ["discharges"],
                "requestBody": {"content": {"application/json": {"schema": {}, "example": {"名": "</pre><b>"}}}},
                "responses": {"201": {"description": "已受理"}},
            }
        }
    },
}
PAGES = ["/", "/docs"]


async def test_alive_says_nothing_of_the_services(home: House, stranger: httpx.AsyncClient) -> None:
    home.treatment.ready = {"status": "unavailable"}
    assert (await stranger.get("/healthz")).json() == {"status": "ok"}
    assert (await stranger.head("/healthz")).status_code == 200
    problem(await stranger.post("/healthz"), 405, "method_not_allowed")


async def test_ready_asks_everyone(home: House, stranger: httpx.AsyncClient) -> None:
    got = await stranger.get("/readyz")
    assert (got.status_code, got.json()["status"], got.json()["not_ready"]) == (200, "ok", [])
    assert got.json()["services"].keys() == {"contract", "treatment", "safety-net"}
    home.treatment.ready = {"status": "unavailable", "database": False, "event_channel": True}
    got = await stranger.get("/readyz")
    assert (got.status_code, got.json()["not_ready"]) == (503, ["treatment: database"])


async def test_without_the_event_channel_bills_are_still_taken_and_it_is_said(
    home: House, stranger: httpx.AsyncClient
) -> None:
    home.safety_net.ready = {"status": "degraded", "database": True, "event_channel": False}
    got = await stranger.get("/readyz")
    assert got.status_code == 200
    assert (got.json()["status"], got.json()["not_ready"]) == ("degraded", ["safety-net: event_channel"])


async def test_ready_names_a_service_that_is_away(issuer: Issuer) -> None:
    async with house(issuer.url) as home:
        home.gateway.upstreams["contract"].connections.origin = "http://127.0.0.1:9"
        async with httpx.AsyncClient(base_url=home.url) as client:
            got = await client.get("/readyz")
    assert got.status_code == 503
    assert got.json()["not_ready"] == ["contract"]


async def test_the_document_is_one_of_all_services_and_kept_for_a_while(issuer: Issuer) -> None:
    async with house(issuer.url) as home, httpx.AsyncClient(base_url=home.url) as client:
        home.contract.document = home.safety_net.document = {"paths": {}}
        home.treatment.document = DOCUMENT
        got = (await client.get("/openapi.json")).json()
        assert got["openapi"] == "3.1.0"
        assert {"/treatment/v1/discharges", "/readyz"} <= got["paths"].keys()
        home.treatment.document = {"paths": {}}
        assert (await client.get("/openapi.json")).json() == got


async def test_without_a_service_there_is_no_document_yet(issuer: Issuer) -> None:
    async with house(issuer.url) as home, httpx.AsyncClient(base_url=home.url) as client:
        home.gateway.upstreams["contract"].connections.origin = "http://127.0.0.1:9"
        for path in ("/openapi.json", "/docs"):
            assert "contract" in problem(await client.get(path), 503, "temporarily_unavailable")["detail"]


class Reader(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note tags and where they point."""
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("href", "src", "action")]
        assert not [name for name, _ in attrs if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", PAGES)
async def test_pages_stand_alone_and_are_locked_down(issuer: Issuer, path: str) -> None:
    async with house(issuer.url) as home, httpx.AsyncClient(base_url=home.url) as client:
        home.contract.document = home.safety_net.document = {"paths": {}}
        home.treatment.document = DOCUMENT
        got = await client.get(path)
        assert got.status_code == 200
        reader = Reader()
        reader.feed(got.text)
        assert not reader.tags & {"script", "img", "link", "iframe", "form", "b"}
        assert reader.links
        assert all(re.match(r"/(?!/)", link) for link in reader.links), reader.links
        policy = got.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["x-frame-options"] == "DENY"
        assert got.headers["referrer-policy"] == "no-referrer"
        if path == "/docs":
            assert "报送出院结算单 &lt;script&gt;" in got.text
            assert "&lt;/pre&gt;" in got.text
        else:
            for link in reader.links:
                assert (await client.get(link)).status_code == 200, link
