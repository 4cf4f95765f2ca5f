"""A caller of the gateway, as any hospital's or office's program would be: a token, then requests with retries."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from deploy.console import Unusable
from deploy.settings import read_settings

ATTEMPTS = 8
REQUEST_SECONDS = 60.0
# Answers that say "the same again, a little later"; a refusal is never among them.
PASSING = (429, 502, 503, 504)


@dataclass(frozen=True)
class Reply:
    """What the gateway answered."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """The stable code of a refusal; empty when it is none."""
        return str(self.body.get("code", "")) if self.status >= 400 else ""

    @property
    def trouble(self) -> str:
        """A refusal in one line: status, code, and which field."""
        fields = " ".join(str(error.get("pointer", "")) for error in self.body.get("errors") or [])
        return f"{self.status} {self.code or 'no problem document'} {fields}".rstrip()


def credentials() -> dict[str, Any]:
    """The accounts that the first start of the house wrote down."""
    path = read_settings().data / "credentials.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Unusable(f"{path} can't be read: start the house first with `make run`") from None
    return found


class Gateway:
    """The gateway of a running house, spoken to with the accounts of its ``credentials.json``."""

    def __init__(self, http: httpx.AsyncClient, credentials: Mapping[str, Any]) -> None:
        self._http, self._credentials = http, credentials
        self._tokens: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def get(self, who: str, path: str, **query: str) -> Reply:
        """Read something as ``who``, a client or a user by his name in the credentials."""
        return await self._ask("GET", who, path, {}, query=query)

    async def read(self, who: str, path: str, **query: str) -> dict[str, Any]:
        """The body of what ``who`` reads there. Raises `Unusable` when it is not to be had."""
        reply = await self.get(who, path, **query)
        if reply.status != 200:
            raise Unusable(f"{path} can't be read: {reply.trouble}")
        return reply.body

    async def post(self, who: str, path: str, body: Any, *, key: str, prefer: str | None = None) -> Reply:
        """Post something as ``who``; the key makes it safe to send again."""
        headers = {"Idempotency-Key": key, **({"Prefer": prefer} if prefer else {})}
        return await self._ask("POST", who, path, headers, body=body)

    async def _ask(
        self, method: str, who: str, path: str, headers: Mapping[str, str], *, body: Any = None, query: Any = None
    ) -> Reply:
        reply = Reply(0, {})
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
            token = await self._token(who)
            reply = await self._send(method, path, {**headers, "Authorization": f"Bearer {token}"}, body, query)
            if reply.status == 401:
                self._tokens.pop(who, None)
            elif reply.status not in (0, *PASSING) and reply.code != "request_in_progress":
                return reply
        return reply

    async def _send(self, method: str, path: str, headers: Mapping[str, str], body: Any, query: Any) -> Reply:
        url = str(self._credentials["gateway"]) + path
        try:
            answer = await self._http.request(method, url, headers=headers, json=body, params=query)
        except httpx.HTTPError:
            return Reply(0, {"code": "no_answer"})
        try:
            found = answer.json()
        except ValueError:
            found = None
        return Reply(answer.status_code, found if isinstance(found, dict) else {})

    async def _token(self, who: str) -> str:
        """A token that is still good for half a minute; callers that need the same one wait for one request."""
        async with self._asking.setdefault(who, asyncio.Lock()):
            good_until, token = self._tokens.get(who, (0.0, ""))
            if good_until > time.monotonic():
                return token
            reply = Reply(0, {})
            for attempt in range(ATTEMPTS):
                if attempt:
                    await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
                reply = await self._token_reply(who)
                if reply.status == 200:
                    token = str(reply.body["access_token"])
                    seconds = float(reply.body.get("expires_in", 60))
                    self._tokens[who] = (time.monotonic() + max(seconds - 30, 5), token)
                    return token
                if reply.status not in (0, *PASSING):
                    break
            raise Unusable(f"{who} gets no token from the gateway: {reply.trouble}")

    async def _token_reply(self, who: str) -> Reply:
        clients, users = self._credentials["clients"], self._credentials["users"]
        if who in clients:
            account = clients[who]
            form = {
                "grant_type": "client_credentials",
                "client_id": account["client_id"],
                "client_secret": account["client_secret"],
            }
        else:
            account = users[who]
            form = {"grant_type": "password", "username": account["username"], "password": account["password"]}
        try:
            answer = await self._http.post(f"{self._credentials['gateway']}/oauth/token", data=form)
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            return Reply(0, {"code": "no_answer"})
        return Reply(answer.status_code, found if isinstance(found, dict) else {})


@asynccontextmanager
async def gateway(credentials: Mapping[str, Any]) -> AsyncIterator[Gateway]:
    """The gateway of these credentials, for as long as it is needed."""
    limits = httpx.Limits(max_connections=32)
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS, limits=limits, trust_env=False) as http:
        yield Gateway(http, credentials)
