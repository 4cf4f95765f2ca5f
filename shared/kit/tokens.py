"""Tokens: whose they are, and whether they are true. Every service looks again, whatever the gateway said."""

import asyncio
import ipaddress
import time
from functools import lru_cache
from typing import Any

import httpx
import jwt

from shared.kit.log import log
from shared.kit.outside import ALGORITHMS, OutsideIssuer
from shared.kit.problems import TemporarilyUnavailable, Unauthenticated

AUDIENCE = "three-batches"
KEYS_SECONDS = 300.0
RETRY_SECONDS = 2.0
CACHE_SECONDS = 60.0
CACHE_SIZE = 10_000
# What a key endpoint that is away, or answers nonsense, may raise.
UNFETCHED = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError)
# How far an outside issuer's clock may be from ours.
SKEW_SECONDS = 30


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


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or len(token) > 8192:
        raise Unauthenticated
    return token.strip()


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
