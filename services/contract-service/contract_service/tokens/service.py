"""The use cases: give tokens to machines and people, change a password, enrol an authenticator, sign out.

All of it is the service's own work: here nobody is known yet, so there is nobody whose scope could bound it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.accounts import rules as secrets
from contract_service.accounts import service as accounts
from contract_service.accounts.models import Client, ClientKey, User
from contract_service.accounts.service import Doorkeeper, account_name
from contract_service.errors import (
    DemoAccountFixed,
    InvalidClient,
    PasswordChangeRequired,
    RefreshRefused,
    SignInLocked,
    SignInRefused,
    TotpAlreadyEnrolled,
    TotpEnrolmentRequired,
    TotpRequired,
)
from contract_service.settings import Settings
from contract_service.tokens.models import RefreshToken
from contract_service.tokens.repository import RefreshTokens, UsedAssertions
from contract_service.tokens.rules import assertion, signing, totp
from contract_service.tokens.rules.signing import SigningKeys
from contract_service.tokens.schemas import EnrolmentRead, KeySetRead, SigningKeyRead, TokenRead
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import Database
from shared.kit.log import log
from shared.kit.problems import Invalid, Problem
from shared.kit.scope import SERVICE
from shared.kit.tokens import AUDIENCE

BOUND_TO = ("roles", "county_code", "institution_code", "township_code", "village_code", "department", "name")
# Each check of a password takes 19 MiB and a core for some 20 ms: a flood of them waits instead of filling the memory.
# And who waits is looked up again when it is his turn, so that a flood of guesses meets the lock it has caused.
_passwords = asyncio.Semaphore(2)
LOOK_AGAIN_SECONDS = 5.0
Done = TypeVar("Done")


class Issuer:
    """Who signs tokens, with which keys, and for how long they are good. New keys are taken up while it runs."""

    def __init__(self, settings: Settings, doorkeeper: Doorkeeper) -> None:
        self.settings, self.doorkeeper = settings, doorkeeper
        self._text, self._looked = settings.signing_keys, time.monotonic()
        self._keys = SigningKeys(self._text)

    @property
    def keys(self) -> SigningKeys:
        """The keys as their file has them, looked at again every few seconds."""
        path, now = self.settings.signing_keys_file, time.monotonic()
        if path is not None and now - self._looked > LOOK_AGAIN_SECONDS:
            self._looked = now
            try:
                text = path.read_text(encoding="utf-8").strip()
                if text != self._text:
                    self._keys, self._text = SigningKeys(text), text
                    log("info", "signing_keys_renewed", count=len(self._keys.public_halves()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                # The keys we have stay good; a half-written file must not stop the county's sign-ins.
                log("error", "signing_keys_not_read", error_type=type(error).__name__)
        return self._keys

    def token(self, account: Client | User, refresh_token: str | None = None) -> TokenRead:
        """A signed token for an account."""
        subject, seconds, now = account_name(account), self.settings.machine_token_seconds, clock.now()
        if isinstance(account, User):
            seconds = self.settings.person_token_seconds
        about = {name: getattr(account, name, None) for name in BOUND_TO}
        about |= {"iss": self.settings.token_issuer, "aud": AUDIENCE}
        claims = signing.claims_of(subject, int(now.timestamp()), seconds, about)
        return TokenRead(
            access_token=self.keys.sign(claims, now),
            expires_in=seconds,
            refresh_token=refresh_token,
            scope=" ".join(sorted(account.roles)),
        )

    def published(self) -> KeySetRead:
        """The public keys by which tokens are verified."""
        return KeySetRead(keys=[SigningKeyRead(kid=kid, x=half) for kid, half in self.keys.public_halves().items()])


@dataclass(frozen=True)
class ClientProof:
    """A client's name, and the secret or the assertion that shall prove it."""

    client_id: str
    client_secret: str | None = None
    assertion: str | None = None


@dataclass(frozen=True)
class PersonProof:
    """A person's name, password, and the code of his authenticator where he has one."""

    username: str
    password: str
    code: str | None = None


async def for_client(database: Database, issuer: Issuer, given: ClientProof, address: str) -> TokenRead:
    """A token for a hospital's system. Whatever is wrong, the answer and the work are the same."""
    doorkeeper = issuer.doorkeeper
    places = doorkeeper.machine_places(given.client_id, address)
    async with database.transaction(SERVICE) as session:
        if seconds := await doorkeeper.locked_seconds(session, places):
            raise SignInLocked(seconds)
        client, keys = await accounts.active_client(session, given.client_id)
        if await _is_client(session, issuer, given, client, keys) and client is not None:
            await doorkeeper.forgive(session, "client", client.client_id)
            grant = "client_credentials" if given.assertion is None else "private_key_jwt"
            _written_down(session, client, "signed_in", address, grant)
            return issuer.token(client)
        await doorkeeper.failed(session, places, given.client_id, address, "client")
    # Outside the transaction: that it failed must commit.
    raise InvalidClient


async def for_person(database: Database, issuer: Issuer, given: PersonProof, address: str) -> TokenRead:
    """Tokens for a member of staff: password, and the code of the authenticator; a demo's account has none."""

    async def sign_in(session: AsyncSession, user: User) -> TokenRead | Problem:
        if user.must_change_password:
            return PasswordChangeRequired()
        if not user.demo and user.totp_confirmed_at is None and not _confirm(issuer, user, given.code):
            return TotpEnrolmentRequired()
        _written_down(session, user, "signed_in", address, "password")
        return issuer.token(user, _give_refresh(session, issuer, user, None))

    return await _as_person(database, issuer, given, address, sign_in)


async def change_password(
    database: Database, issuer: Issuer, given: PersonProof, new_password: str, address: str
) -> None:
    """A new password by who knows the old one; every sign-in with the old one is over."""

    async def change(session: AsyncSession, user: User) -> Problem | None:
        if user.demo:
            return DemoAccountFixed()
        faults = secrets.password_faults(new_password, user.username, "/new_password")
        if faults or new_password == given.password:
            return Invalid(faults) if faults else Invalid(secrets.same_as_before("/new_password"))
        user.password_hash = await asyncio.to_thread(secrets.HASHER.hash, new_password)
        user.must_change_password, user.sessions_from = False, clock.now()
        _written_down(session, user, "password_changed", address)
        return None

    await _as_person(database, issuer, given, address, change)


async def enrol(database: Database, issuer: Issuer, given: PersonProof, address: str) -> EnrolmentRead:
    """A secret for an authenticator app. It counts once a sign-in with one of its codes has shown that it arrived."""

    async def give_secret(session: AsyncSession, user: User) -> EnrolmentRead | Problem:
        if user.demo:
            return DemoAccountFixed()
        if user.must_change_password:
            return PasswordChangeRequired()
        if user.totp_confirmed_at is not None:
            return TotpAlreadyEnrolled()
        secret = totp.new_secret()
        user.sealed_totp = issuer.doorkeeper.keyring.seal(secret)
        _written_down(session, user, "authenticator_given", address)
        uri = totp.enrolment_uri(secret, issuer.settings.token_issuer, user.username)
        return EnrolmentRead(secret=secret, otpauth_uri=uri)

    return await _as_person(database, issuer, given, address, give_secret)


async def for_refresh(database: Database, issuer: Issuer, refresh_token: str, address: str) -> TokenRead:
    """New tokens for a refresh token, which then is used up; used again, everything that came of that sign-in ends."""
    async with database.transaction(SERVICE) as session:
        tokens, now = RefreshTokens(session), clock.now()
        token = await tokens.of_hash(secrets.digest(refresh_token))
        user = await accounts.active_user(session, token.username) if token else None
        if token is not None and _runs(token, now):
            if user is not None and token.used_at is None and _still_signed_in(user, token):
                token.used_at = now
                _written_down(session, user, "signed_in", address, "refresh_token")
                return issuer.token(user, _give_refresh(session, issuer, user, token))
            await tokens.end_family(token.family, now)
            reused = token.used_at is not None
            log("warning", "refresh_token_reused" if reused else "refresh_of_ended_sign_in")
            if user is not None:
                _written_down(session, user, "sign_in_ended", address, "refresh_token_reused" if reused else "ended")
    # Outside the transaction: that the family ended must commit.
    raise RefreshRefused


async def sign_out(database: Database, refresh_token: str, address: str) -> None:
    """End a sign-in: its refresh tokens work no more. Whoever holds one may; an unknown one is no error (RFC 7009)."""
    async with database.transaction(SERVICE) as session:
        tokens, now = RefreshTokens(session), clock.now()
        token = await tokens.of_hash(secrets.digest(refresh_token))
        user = await accounts.active_user(session, token.username) if token else None
        if token is not None:
            await tokens.end_family(token.family, now)
        if user is not None:
            _written_down(session, user, "signed_out", address)


async def forget_what_is_over(database: Database) -> None:
    """Drop refresh tokens that expired a week ago (until then a copied one is still recognised) and old assertions."""
    async with database.transaction(SERVICE) as session:
        await RefreshTokens(session).forget(clock.now() - timedelta(days=7))
        await UsedAssertions(session).forget(clock.now() - timedelta(hours=1))


async def _as_person(
    database: Database,
    issuer: Issuer,
    given: PersonProof,
    address: str,
    act: Callable[[AsyncSession, User], Awaitable[Done | Problem]],
) -> Done:
    """Act as a person who has proved to be one. Whatever is wrong, the answer and the work are the same.

    A `Problem` that ``act`` gives back is raised after the commit: what was counted and written down stays.
    """
    doorkeeper = issuer.doorkeeper
    places = doorkeeper.person_places(given.username, address)
    async with _passwords:
        async with database.transaction(SERVICE) as session:
            seconds = await doorkeeper.locked_seconds(session, places)
            user = await accounts.active_user(session, given.username)
        if seconds:
            log("warning", "sign_in_refused", code="locked")
            raise SignInLocked(seconds)
        # No connection is held here: a flood of sign-ins must not keep the registry's work from the database.
        kept = user.password_hash if user else None
        same = await asyncio.to_thread(secrets.same_password, given.password, kept)
        async with database.transaction(SERVICE) as session:
            user = await accounts.active_user(session, given.username, to_change=True)
            if not same or user is None or user.password_hash != kept:
                await doorkeeper.failed(session, places, given.username, address, "password")
                done: Done | Problem = SignInRefused()
            elif user.totp_confirmed_at is not None and given.code is None:
                done = TotpRequired()
            elif user.totp_confirmed_at is not None and not _use_code(issuer, user, str(given.code)):
                await doorkeeper.failed(session, places, given.username, address, "code")
                done = SignInRefused()
            else:
                await doorkeeper.forgive(session, "account", user.username)
                done = await act(session, user)
    if isinstance(done, Problem):
        raise done
    return done


def _use_code(issuer: Issuer, user: User, code: str) -> bool:
    """Whether this is a code of the person's authenticator that nobody has used; it is used up by that."""
    if user.sealed_totp is None:
        return False
    secret = issuer.doorkeeper.keyring.open(user.sealed_totp)
    step = totp.matching_step(secret, code, int(clock.now().timestamp()), user.totp_used_step)
    if step is not None:
        user.totp_used_step = step
    return step is not None


def _confirm(issuer: Issuer, user: User, code: str | None) -> bool:
    """Whether a first code shows that the authenticator has the secret; from now on there is no way in without."""
    if code is None or not _use_code(issuer, user, code):
        return False
    user.totp_confirmed_at = clock.now()
    return True


async def _is_client(
    session: AsyncSession, issuer: Issuer, given: ClientProof, client: Client | None, keys: Any
) -> bool:
    if given.assertion is None:
        return secrets.same_secret(given.client_secret or "", client.secret_digest if client else None)
    registered: list[ClientKey] = list(keys)
    word = assertion.proven(
        given.assertion,
        given.client_id,
        [assertion.Key(key.key_id, key.algorithm, key.public_key) for key in registered],
        issuer.settings.token_endpoints(),
        clock.now(),
    )
    if word is None or client is None:
        return False
    expires = datetime.fromtimestamp(word.expires_at, clock.CHINA)
    return await UsedAssertions(session).use(client.client_id, secrets.digest(word.jti), expires)


def _runs(token: RefreshToken, now: datetime) -> bool:
    return token.revoked_at is None and token.expires_at > now


def _still_signed_in(user: User, token: RefreshToken) -> bool:
    return user.sessions_from is None or token.signed_in_at >= user.sessions_from


def _give_refresh(session: AsyncSession, issuer: Issuer, user: User, former: RefreshToken | None) -> str:
    token, now = signing.new_refresh_token(), clock.now()
    signed_in_at = former.signed_in_at if former else now
    over = signed_in_at + timedelta(seconds=issuer.settings.session_seconds)
    RefreshTokens(session).give(
        RefreshToken(
            token_hash=secrets.digest(token),
            family=former.family if former else uuid4(),
            username=user.username,
            signed_in_at=signed_in_at,
            issued_at=now,
            expires_at=min(over, now + timedelta(seconds=issuer.settings.refresh_token_seconds)),
        )
    )
    return token


def _written_down(
    session: AsyncSession, account: Client | User, action: str, address: str, grant: str | None = None
) -> None:
    name = account_name(account)
    who = Caller(name, frozenset(account.roles), account.county_code, address=address)
    record(session, who, action, "account", name, {"grant": grant} if grant else None)
