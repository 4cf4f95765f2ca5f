"""Who is asking, and whether the role may: every service verifies the token again, whatever the gateway said."""

import asyncio
import ipaddress
import re
import time
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote_to_bytes

import httpx
import jwt
from fastapi import Depends, Header, Request

from shared.kit.log import log
from shared.kit.outside import ALGORITHMS, OutsideIssuer
from shared.kit.problems import Problem, RoleNotAllowed, TemporarilyUnavailable, Unauthenticated

AUDIENCE = "three-batches"
Role = Literal[
    "hospital",
    "township_centre",
    "family_doctor",
    "village_committee",
    "health_bureau",
    "poverty_office",
    "hrss",
    "civil_affairs",
    "disabled_federation",
    "insurer",
    "safety_net_office",
    "department_leader",
    "department_head",
    "finance",
    "township_government",
    "poverty_workstation",
    "inspection_office",
    "auditor",
    "administrator",
]
ROLES: tuple[str, ...] = get_args(Role)
KEYS_SECONDS = 300.0
RETRY_SECONDS = 2.0
CACHE_SECONDS = 60.0
CACHE_SIZE = 10_000
REASON_LIMIT = 200
NUMBER = re.compile(r"[0-9]{15}")
# What a key endpoint that is away, or answers nonsense, may raise.
UNFETCHED = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError)
# How far an outside issuer's clock may be from ours.
SKEW_SECONDS = 30


class ReasonInvalid(Problem):
    status, code, title = 400, "reason_invalid", "X-Reason is not usable"
    detail = "X-Reason 应为不超过 200 字的文字，且不得含身份证号。"


@dataclass(frozen=True)
class Caller:
    """A person or a machine with a valid token, and what it is bound to."""

    subject: str
    roles: frozenset[str]
    county_code: str
    institution_code: str | None = None
    township_code: str | None = None
    village_code: str | None = None
    department: str | None = None
    address: str = field(default="", compare=False)
    reason: str = field(default="", compare=False)

    def scope(self) -> list[str | None]:
        """What a cursor is bound to beside the caller's name."""
        return [
            self.county_code,
            self.institution_code,
            self.township_code,
            self.village_code,
            " ".join(sorted(self.roles)),
        ]

    def has(self, *roles: str) -> bool:
        """Whether the caller holds one of these roles."""
        return not self.roles.isdisjoint(roles)


SYSTEM = Caller("system", frozenset(), "")
"""The system itself, for what it does because of an event or a clock."""


class IssuerKeys:
    """The public keys of one issuer, fetched when an unknown key id appears and kept while it is away."""

    def __init__(self, jwks_url: str, discovery_url: str = "", issuer: str = "") -> None:
        self.jwks_url, self.discovery_url, self.issuer = jwks_url, discovery_url, issuer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = self._missed = -KEYS_SECONDS
        self._fetching = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    def learn(self, key_set: dict[str, Any]) -> None:
        """Take the issuer's public keys: those fetched, or its own, which the issuer need not ask itself for."""
        self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(key_set).keys if key.key_id}
        self._fetched = time.monotonic()

    async def key(self, key_id: str) -> jwt.PyJWK:
        """The key of this id. Raises `Unauthenticated`, or `TemporarilyUnavailable` when no key can be had."""
        if key_id not in self._keys:
            await self._fetch_missed(key_id)
        elif self._old() and not self._fetching.locked():
            # Known keys are looked up anew beside the requests: a slow issuer must not make them wait.
            self._refreshing = asyncio.create_task(self._fetch())
        if key_id not in self._keys:
            if not self._keys:
                raise TemporarilyUnavailable("暂时无法核验令牌，请稍后重试。")
            raise Unauthenticated("访问令牌无效。")
        return self._keys[key_id]

    def _old(self) -> bool:
        """Whether it is time to ask the issuer again."""
        now = time.monotonic()
        return now - self._fetched > KEYS_SECONDS and now - self._tried > RETRY_SECONDS

    async def _fetch_missed(self, key_id: str) -> None:
        """Look for a key we don't have, at most once in two seconds: made-up key ids must not flood the issuer."""
        async with self._fetching:
            if key_id not in self._keys and time.monotonic() - self._missed >= RETRY_SECONDS:
                self._missed = time.monotonic()
                await self._ask()

    async def _fetch(self) -> None:
        async with self._fetching:
            await self._ask()

    async def _ask(self) -> None:
        self._tried = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
                url = self.jwks_url or await self._discovered(client)
                answer = (await client.get(url)).raise_for_status().json()
            self.learn(answer)
        except UNFETCHED as error:
            # The keys we have stay good: tokens go on being verified while the issuer is away.
            log("warning", "keys_not_fetched", error_type=type(error).__name__)

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        said = (await client.get(self.discovery_url)).raise_for_status().json()
        if said["issuer"] != self.issuer:
            raise ValueError("the discovery document is another issuer's")
        return str(said["jwks_uri"])


class TokenVerifier:
    """Verifies our own tokens, and those of an outside issuer where the settings name one."""

    def __init__(self, jwks_url: str, issuer: str, outside: OutsideIssuer | None = None) -> None:
        self.issuer, self.outside = issuer, outside
        self._own = IssuerKeys(jwks_url)
        self._others = IssuerKeys(outside.jwks_url, outside.discovery, outside.issuer) if outside else None
        self._verified: dict[str, tuple[float, dict[str, Any]]] = {}

    def learn(self, key_set: dict[str, Any]) -> None:
        """Take our own public keys from who holds them."""
        self._own.learn(key_set)

    async def claims(self, token: str) -> dict[str, Any]:
        """The token's claims. Raises `Unauthenticated`, or `TemporarilyUnavailable` when no key can be had."""
        now = time.monotonic()
        known = self._verified.get(token)
        if known and known[0] > now and known[1]["exp"] > time.time():
            return known[1]
        try:
            claims = await (self._outside_claims(token) if self._is_outside(token) else self._own_claims(token))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("登录已过期，请重新取得访问令牌。") from None
        except (jwt.PyJWTError, ValueError, UnicodeError):
            raise Unauthenticated("访问令牌无效。") from None
        if len(self._verified) >= CACHE_SIZE:
            self._verified.clear()
        self._verified[token] = (now + CACHE_SECONDS, claims)
        return claims

    def _is_outside(self, token: str) -> bool:
        """Whose keys to look in. What it says of itself proves nothing: each issuer's keys open only its own tokens."""
        if self.outside is None:
            return False
        said = jwt.decode(token, options={"verify_signature": False})
        return bool(said.get("iss") == self.outside.issuer)

    async def _own_claims(self, token: str) -> dict[str, Any]:
        key = await self._own.key(str(jwt.get_unverified_header(token).get("kid")))
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            issuer=self.issuer,
            options={"require": ["exp", "iat", "sub", "iss", "aud"]},
        )
        return claims

    async def _outside_claims(self, token: str) -> dict[str, Any]:
        assert self.outside is not None
        assert self._others is not None
        head = jwt.get_unverified_header(token)
        key = await self._others.key(str(head.get("kid")))
        if key.algorithm_name != head.get("alg") or key.algorithm_name not in ALGORITHMS:
            raise Unauthenticated("访问令牌无效。")
        said: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self.outside.audience,
            issuer=self.outside.issuer,
            leeway=SKEW_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud"]},
        )
        claims = self.outside.mapping.claims(said)
        if claims is None:
            raise Unauthenticated("访问令牌缺少用户标识。")
        return claims


def caller_of(claims: dict[str, Any], address: str = "", reason: str = "") -> Caller:
    """The caller a token's claims describe."""
    roles = claims.get("roles")
    if not isinstance(roles, list) or not isinstance(claims.get("county_code"), str):
        raise Unauthenticated("访问令牌缺少角色或所属县。")
    return Caller(
        subject=claims["sub"],
        roles=frozenset(str(role) for role in roles) & frozenset(ROLES),
        county_code=claims["county_code"],
        institution_code=claims.get("institution_code"),
        township_code=claims.get("township_code"),
        village_code=claims.get("village_code"),
        department=claims.get("department"),
        address=address,
        reason=reason,
    )


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or len(token) > 8192:
        raise Unauthenticated
    return token.strip()


def address_of(request: Request) -> str:
    """Where a request came from: as the gateway says, which alone reaches the services."""
    forwarded = request.headers.get("x-forwarded-for", "").split(",")[0].strip()
    return forwarded or (request.client.host if request.client else "")


def reason_of(header: str) -> str:
    """Why a caller asks, for the audit trail: the words of ``X-Reason``, UTF-8 as it is or percent-encoded.

    It stands in the trail for ever, so what looks like an identity number is refused.
    """
    try:
        said = unquote_to_bytes(header.encode("latin-1")).decode("utf-8").strip()
    except UnicodeError:
        raise ReasonInvalid from None
    if (
        len(said) > REASON_LIMIT
        or (said and not said.isprintable())
        or NUMBER.search(unicodedata.normalize("NFKC", said))
    ):
        raise ReasonInvalid
    return said


@lru_cache(maxsize=4096)
def block_of(address: str) -> str:
    """What counts as one address: of the new kind (IPv6) every household has 2⁶⁴, so its whole /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))


async def signed_in(request: Request) -> Caller:
    """The caller of this request; 401 without a valid token."""
    verifier: TokenVerifier = request.app.state.verifier
    claims = await verifier.claims(bearer(request.headers.get("authorization")))
    return caller_of(claims, address_of(request), reason_of(request.headers.get("x-reason", "")))


class Allow:
    """A route's dependency: who may call it. A route without one is refused by a house test."""

    def __init__(self, *roles: str) -> None:
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise ValueError(f"no such role: {unknown}")
        self.roles = frozenset(roles)

    async def __call__(
        self,
        request: Request,
        _: Annotated[
            str | None,
            Header(
                alias="X-Reason", description="查阅或办理的事由，记入审计（不超过 200 字，UTF-8 或百分号编码；可不填）"
            ),
        ] = None,
    ) -> Caller:
        caller = await signed_in(request)
        if not caller.has(*self.roles):
            raise RoleNotAllowed
        return caller


EVERYONE = Allow(*ROLES)


def allowed(*roles: str) -> Any:
    """``caller: Annotated[Caller, allowed("hospital")]``: 401 without a token, 403 for other roles."""
    return Depends(Allow(*roles))


SignedIn = Annotated[Caller, Depends(EVERYONE)]


async def public() -> None:
    """A route that says so may be read by anyone, without a token (A0-01: 主动公开)."""
