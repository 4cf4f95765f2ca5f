"""A clock whose hands a test moves, and members of staff made by an administrator."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from httpx import Response

from contract_service.tokens.rules.totp import code_at
from shared.kit import clock
from tests.clients import Client

ACCOUNTS = "/contract/v1/accounts"
USERS, CLIENTS = f"{ACCOUNTS}/users", f"{ACCOUNTS}/clients"
TOKEN, PASSWORD, TOTP, REVOKE = "/oauth/token", "/oauth/password", "/oauth/totp", "/oauth/revoke"
NEW_PASSWORD = "red-river-flows-east"


class Hands:
    """The service's clock, in the test's hands."""

    def __init__(self) -> None:
        self.moved = timedelta()
        self._real = clock.now

    def now(self) -> datetime:
        """What the service takes for this moment."""
        return self._real() + self.moved

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.moved += timedelta(seconds=seconds)


def a_user(**known: Any) -> dict[str, Any]:
    """What an administrator sends for a new member of staff."""
    return {"username": f"u{uuid4().hex[:10]}", "name": "测试人员", "roles": ["safety_net_office"], **known}


async def hired(administrator: Client, **known: Any) -> dict[str, Any]:
    """A new member of staff with his first password."""
    answer = await administrator.create(USERS, a_user(**known))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


class Person:
    """A member of staff at the token endpoint, from an address of his own."""

    def __init__(self, anyone: Client, hands: Hands, username: str, password: str) -> None:
        self.anyone, self.hands = anyone, hands
        self.username, self.password, self.secret = username, password, ""
        self.address = f"10.{uuid4().int % 250}.{uuid4().int % 250}.{uuid4().int % 250}"

    def code(self) -> str:
        """What his telephone shows."""
        return code_at(self.secret, int(self.hands.now().timestamp()) // 30)

    async def ask(self, path: str, **form: str) -> Response:
        """One form, sent from his address."""
        return await self.anyone.post(path, data=form, headers={"X-Forwarded-For": self.address})

    async def sign_in(self, password: str | None = None, **more: str) -> Response:
        """By password, and whatever else."""
        given = {"username": self.username, "password": password or self.password}
        return await self.ask(TOKEN, grant_type="password", **given, **more)

    async def change_password(self, new: str, **more: str) -> Response:
        """His own password."""
        return await self.ask(PASSWORD, username=self.username, password=self.password, new_password=new, **more)

    async def settle_in(self) -> "Person":
        """Change the first password and enrol an authenticator, as everybody does on his first day."""
        changed = await self.change_password(NEW_PASSWORD)
        assert changed.status_code == 200, changed.text
        self.password = NEW_PASSWORD
        given = await self.ask(TOTP, username=self.username, password=self.password)
        assert given.status_code == 200, given.text
        self.secret = given.json()["secret"]
        confirmed = await self.sign_in(totp=self.code())
        assert confirmed.status_code == 200, confirmed.text
        self.hands.move(30)
        return self
