"""The use cases of an administrator: accounts of his own county made, locked, unlocked, reset; clients' keys."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.accounts import rules
from contract_service.accounts.models import Client, ClientKey, User
from contract_service.accounts.repository import Accounts
from contract_service.accounts.service import Doorkeeper, account_name
from contract_service.administration.schemas import ClientCreate, UserCreate
from contract_service.errors import AccountExists, AccountOfDeployment, OwnAccount, TooManyKeys
from contract_service.institutions import service as institutions
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.cursors import Page
from shared.kit.database import as_service
from shared.kit.fields import FieldError
from shared.kit.idempotency import Once
from shared.kit.problems import Invalid, NotFound

MOST_KEYS = 5
# Names the audit trail uses itself.
RESERVED = frozenset({"system", "unknown"})


async def make_user(
    session: AsyncSession, caller: Caller, once: Once, wanted: UserCreate
) -> tuple[User, str | None, bool]:
    """An account with its first password; when the request was seen before, the account as it stands, without."""
    if replay := await once.claim(session, caller):
        return await user(session, caller, replay.ids["username"]), None, True
    bound = wanted.model_dump(include={"institution_code", "township_code", "village_code", "department"})
    roles: list[str] = list(dict.fromkeys(wanted.roles))
    faults = rules.binding_faults(roles, bound, caller.county_code)
    if wanted.institution_code is not None and not await institutions.known(session, wanted.institution_code):
        faults.append(_unknown_institution())
    if faults:
        raise Invalid(faults)
    await _claim_name(session, wanted.username)
    password = rules.first_password()
    made = User(
        username=wanted.username,
        password_hash=await asyncio.to_thread(rules.HASHER.hash, password),
        name=wanted.name,
        roles=roles,
        county_code=caller.county_code,
        active=True,
        demo=False,
        must_change_password=True,
        created_by=caller.subject,
        created_at=clock.now(),
        **bound,
    )
    session.add(made)
    record(session, caller, "account_made", "account", wanted.username, {"roles": roles})
    await once.keep(session, caller, 201, username=wanted.username)
    return made, password, False


async def make_client(
    session: AsyncSession, caller: Caller, once: Once, wanted: ClientCreate
) -> tuple[Client, str | None, bool]:
    """An institution's own system, with a secret or a registered key; only of institutions this county registered."""
    if replay := await once.claim(session, caller):
        return await client(session, caller, replay.ids["client_id"]), None, True
    institution = await institutions.known(session, wanted.institution_code)
    if institution is None or institution.registered_by_county != caller.county_code:
        raise Invalid([_unknown_institution()])
    await _claim_name(session, wanted.client_id)
    secret = rules.new_secret() if wanted.public_key is None else None
    made = Client(
        client_id=wanted.client_id,
        secret_digest=rules.digest(secret) if secret else None,
        institution_code=wanted.institution_code,
        county_code=institution.county_code,
        administered_by=caller.county_code,
        roles=["hospital"],
        active=True,
        created_by=caller.subject,
        created_at=clock.now(),
    )
    session.add(made)
    await session.flush()
    if wanted.public_key is not None:
        session.add(_key(caller, wanted.client_id, wanted.public_key))
    record(session, caller, "account_made", "account", wanted.client_id, {"roles": ["hospital"]})
    # Others may no longer post this institution's bills for it.
    await institutions.clients_appeared(session, [wanted.institution_code])
    await once.keep(session, caller, 201, client_id=wanted.client_id)
    return made, secret, False


async def users(session: AsyncSession, caller: Caller, page: Page) -> list[User]:
    """One page of the county's users, newest first."""
    return await Accounts(session).users_of_county(caller.county_code, page)


async def clients(session: AsyncSession, caller: Caller, page: Page) -> list[Client]:
    """One page of the clients the county answers for, newest first."""
    return await Accounts(session).clients_of_county(caller.county_code, page)


async def user(session: AsyncSession, caller: Caller, username: str) -> User:
    """A user of the administrator's county."""
    found = await Accounts(session).user_of_county(username, caller.county_code)
    if found is None:
        raise NotFound
    return found


async def client(session: AsyncSession, caller: Caller, client_id: str) -> Client:
    """A client the administrator's county answers for."""
    found = await Accounts(session).client_of_county(client_id, caller.county_code)
    if found is None:
        raise NotFound
    return found


async def lock(session: AsyncSession, caller: Caller, account: User | Client) -> None:
    """Nobody comes in with this account until it is unlocked; a token that was given lasts its few minutes."""
    if account_name(account) == caller.subject:
        raise OwnAccount
    account.active = False
    if isinstance(account, User):
        account.sessions_from = clock.now()
    record(session, caller, "account_locked", "account", account_name(account))


async def unlock(session: AsyncSession, caller: Caller, doorkeeper: Doorkeeper, account: User | Client) -> None:
    """Let an account in again, whether an administrator or its own failures locked it."""
    account.active = True
    await doorkeeper.forgive(session, "account" if isinstance(account, User) else "client", account_name(account))
    record(session, caller, "account_unlocked", "account", account_name(account))


async def reset_user(session: AsyncSession, caller: Caller, doorkeeper: Doorkeeper, account: User) -> str:
    """A new first password; the authenticator and every sign-in are forgotten (a lost telephone, a forgotten word)."""
    if account.username == caller.subject:
        raise OwnAccount
    if account.demo:
        raise AccountOfDeployment
    password = rules.first_password()
    account.password_hash = await asyncio.to_thread(rules.HASHER.hash, password)
    account.must_change_password = True
    account.sealed_totp = account.totp_confirmed_at = account.totp_used_step = None
    account.sessions_from = clock.now()
    await doorkeeper.forgive(session, "account", account.username)
    record(session, caller, "account_reset", "account", account.username)
    return password


async def reset_client(session: AsyncSession, caller: Caller, doorkeeper: Doorkeeper, account: Client) -> str:
    """A new secret in place of the old one, which ends at once."""
    secret = rules.new_secret()
    account.secret_digest = rules.digest(secret)
    await doorkeeper.forgive(session, "client", account.client_id)
    record(session, caller, "account_reset", "account", account.client_id)
    return secret


async def register_key(
    session: AsyncSession, caller: Caller, once: Once, client_id: str, public_key: str, withdraw_secret: bool
) -> tuple[ClientKey, bool]:
    """A client's new key, beside its others: it changes over without a moment in which neither is good."""
    account = await client(session, caller, client_id)
    if replay := await once.claim(session, caller):
        kept = await Accounts(session).key(client_id, replay.ids["key_id"])
        if kept is None:
            raise NotFound
        return kept, True
    accounts, key = Accounts(session), _key(caller, client_id, public_key)
    if len(await accounts.keys(client_id)) >= MOST_KEYS:
        raise TooManyKeys
    if await accounts.key(client_id, key.key_id):
        fault = FieldError("/public_key", "key_already_registered", "该公钥已登记过；停用的公钥不能再用。")
        raise Invalid([fault])
    session.add(key)
    if withdraw_secret:
        account.secret_digest = None
    record(session, caller, "key_registered", "account", client_id, {"key_id": key.key_id})
    await once.keep(session, caller, 201, key_id=key.key_id)
    return key, False


async def keys(session: AsyncSession, caller: Caller, client_id: str) -> Sequence[ClientKey]:
    """A client's keys in use."""
    await client(session, caller, client_id)
    return await Accounts(session).keys(client_id)


async def withdraw_key(session: AsyncSession, caller: Caller, client_id: str, key_id: str) -> ClientKey:
    """A key that proves nothing any more, for good."""
    await client(session, caller, client_id)
    key = await Accounts(session).key(client_id, key_id)
    if key is None:
        raise NotFound
    if key.withdrawn_at is None:
        key.withdrawn_at = clock.now()
        record(session, caller, "key_withdrawn", "account", client_id, {"key_id": key_id})
    return key


async def _claim_name(session: AsyncSession, name: str) -> None:
    accounts = Accounts(session)
    await accounts.one_at_a_time()
    async with as_service(session):
        taken = name in RESERVED or await accounts.taken(name)
    if taken:
        raise AccountExists


def _key(caller: Caller, client_id: str, pem: str) -> ClientKey:
    read = rules.read_public_key(pem)
    if read is None:
        detail = "不是可用的公钥：应为 PEM 形式的 Ed25519、P-256 或 2048 位以上 RSA 公钥。"
        raise Invalid([FieldError("/public_key", "public_key_unusable", detail)])
    key_id, algorithm, plain = read
    known: dict[str, Any] = {"registered_by": caller.subject, "registered_at": clock.now()}
    return ClientKey(client_id=client_id, key_id=key_id, algorithm=algorithm, public_key=plain, **known)


def _unknown_institution() -> FieldError:
    return FieldError("/institution_code", "institution_unknown", "该机构未在本县登记，请先由卫计局登记。")
