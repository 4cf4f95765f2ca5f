"""What the rest of the service asks about accounts, who is locked out, and the accounts a deployment brings along."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.accounts import rules
from contract_service.accounts.models import Client, ClientKey, User
from contract_service.accounts.repository import Accounts, FailedSignIns
from contract_service.accounts.schemas import BootstrapAccounts
from contract_service.settings import Settings
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import SYSTEM, Caller
from shared.kit.database import Database, as_service
from shared.kit.log import log
from shared.kit.scope import SERVICE
from shared.kit.sealing import Keyring
from shared.kit.tokens import block_of

Place = tuple[str, str]
# Failures that lie longer back than this no longer count.
REMEMBERED = timedelta(hours=1)


@dataclass(frozen=True)
class Doorkeeper:
    """Who may try to come in: after some failures under one name, or from one address, nobody may for a while."""

    keyring: Keyring
    settings: Settings

    def person_places(self, username: str, address: str) -> list[Place]:
        """Where a person's failure counts: under the name, whether it exists or not, and at the address."""
        return [("account", self._name(username)), ("address", block_of(address))]

    def machine_places(self, client_id: str, address: str) -> list[Place]:
        """Where a machine's failure counts: under its name at this address alone. Nobody guesses its secret, and a
        stranger who knows its name must not be able to stop a hospital's bills."""
        return [("client", f"{self._name(client_id)}@{block_of(address)}")]

    async def locked_seconds(self, session: AsyncSession, places: Sequence[Place]) -> int:
        """For how long nobody may come in here; 0: he may."""
        now = clock.now()
        until = await FailedSignIns(session).locked_until(places, now)
        return max(1, int((until - now).total_seconds()) + 1) if until else 0

    async def failed(self, session: AsyncSession, places: Sequence[Place], name: str, address: str, why: str) -> None:
        """Write a refusal down and count it. Names that don't exist are not kept: they may be mistyped passwords."""
        failed, now, locked = FailedSignIns(session), clock.now(), 0
        for kind, place in places:
            count = await failed.failed(kind, place, now, now - REMEMBERED)
            seconds = self._patience(kind).seconds(count)
            if seconds:
                await failed.lock(kind, place, now + timedelta(seconds=seconds))
            locked = max(locked, seconds)
        account = await Accounts(session).named(name)
        name = account_name(account) if account else "unknown"
        county = account.county_code if account else ""
        who = Caller(name, frozenset(), county, address=address)
        record(session, who, "sign_in_refused", "account", name, {"why": why, "locked_seconds": locked})
        log("warning", "sign_in_refused", code=why)

    async def forgive(self, session: AsyncSession, kind: str, name: str) -> None:
        """Forget the failures under a name: it was he after all, or an administrator says so."""
        async with as_service(session):
            await FailedSignIns(session).forgive(kind, self._name(name))

    def _name(self, name: str) -> str:
        return self.keyring.digest(f"sign-in:{name}")

    def _patience(self, kind: str) -> rules.Patience:
        free = {
            "account": self.settings.account_free_failures,
            "client": self.settings.client_free_failures,
            "address": self.settings.address_free_failures,
        }
        return rules.Patience(free[kind], self.settings.lock_seconds, self.settings.longest_lock_seconds)


def account_name(account: Client | User) -> str:
    """The name under which an account's deeds are written down."""
    return account.client_id if isinstance(account, Client) else account.username


async def active_client(session: AsyncSession, client_id: str) -> tuple[Client | None, Sequence[ClientKey]]:
    """An active client with its keys."""
    accounts = Accounts(session)
    client = await accounts.client(client_id)
    return client, await accounts.keys(client_id) if client else []


async def active_user(session: AsyncSession, username: str, *, to_change: bool = False) -> User | None:
    """An active user."""
    return await Accounts(session).user(username, to_change=to_change)


async def has_client(session: AsyncSession, institution_code: str) -> bool:
    """Whether an institution's own system posts its bills, whichever county answers for it."""
    async with as_service(session):
        return await Accounts(session).has_client(institution_code)


async def bring_along(session: AsyncSession, keyring: Keyring, text: str) -> set[str]:
    """Keep the deployment's accounts up to date; the codes of all institutions that have a client.

    An entry that reads as it did at the last start costs nothing: only its keyed digest is compared.
    """
    try:
        wanted = BootstrapAccounts.model_validate_json(text)
    except ValidationError as error:
        # Pydantic's own text would quote secrets.
        places = ", ".join(".".join(str(part) for part in found["loc"]) for found in error.errors(include_input=False))
        raise ValueError(f"the accounts to bring along can't be read: {places}") from None
    accounts = Accounts(session)
    await accounts.one_at_a_time()
    known = await accounts.known(Client)
    clients = []
    for client in wanted.clients:
        row, entry = _row(keyring, client.model_dump())
        if known.get(client.client_id) != row["bootstrap_digest"]:
            row |= {"secret_digest": rules.digest(entry.pop("client_secret")), "administered_by": client.county_code}
            clients.append(row | entry)
    await accounts.put(Client, clients)
    known = await accounts.known(User)
    users = []
    for user in wanted.users:
        row, entry = _row(keyring, user.model_dump())
        if known.get(user.username) != row["bootstrap_digest"]:
            row["password_hash"] = await asyncio.to_thread(rules.HASHER.hash, entry.pop("password"))
            users.append(row | {"must_change_password": not user.demo, "sessions_from": clock.now()} | entry)
    await accounts.put(User, users)
    if clients or users:
        log("info", "accounts_brought_along", count=len(clients) + len(users))
    return await accounts.institutions_with_client()


async def forget_failures(database: Database) -> None:
    """Drop failed sign-ins that no longer count."""
    async with database.transaction(SERVICE) as session:
        await FailedSignIns(session).forget(clock.now() - REMEMBERED)


def _row(keyring: Keyring, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    content = json.dumps(entry, sort_keys=True, ensure_ascii=False)
    row = {"bootstrap_digest": keyring.digest(f"account:{content}"), "active": True, "created_by": SYSTEM.subject}
    return row, entry
