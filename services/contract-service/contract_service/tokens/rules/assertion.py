"""A machine's own signed word about itself (RFC 7523, ``private_key_jwt``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from jwt.types import Options

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_SECONDS = 300
# How far the clocks of a hospital and of the county may be apart.
SKEW_SECONDS = 30
# The library would look at the clock itself; what it would check is checked below, and more strictly.
SIGNATURE_ONLY: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
# Who has no key is compared with this one, so that an unknown client takes as long as a known one.
NOBODYS_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----"""


@dataclass(frozen=True)
class Key:
    """A key a client registered: its public half, and the one algorithm it is good for."""

    key_id: str
    algorithm: str
    pem: str


@dataclass(frozen=True)
class Assertion:
    """An assertion that is good, if it was not used before."""

    jti: str
    expires_at: int


def client_named(text: str) -> str | None:
    """Who an assertion says it is of; nothing is proven by that."""
    try:
        subject = jwt.decode(text, options={"verify_signature": False}).get("sub")
    except (jwt.PyJWTError, ValueError):
        return None
    return subject if isinstance(subject, str) and 0 < len(subject) <= 120 and "\x00" not in subject else None


def proven(text: str, client_id: str, keys: Sequence[Key], audiences: Sequence[str], now: datetime) -> Assertion | None:
    """The assertion, if one of the client's keys signed it, it is meant for us, and it is of this moment."""
    try:
        named = jwt.get_unverified_header(text).get("kid")
    except jwt.PyJWTError:
        return None
    tried = [key for key in keys if named is None or key.key_id == named]
    for key in tried or [Key("", "EdDSA", NOBODYS_KEY)]:
        try:
            claims = jwt.decode(text, key.pem, algorithms=[key.algorithm], options=SIGNATURE_ONLY)
        except (jwt.PyJWTError, ValueError):
            continue
        return _checked(claims, client_id, audiences, int(now.timestamp())) if tried else None
    return None


def _checked(claims: dict[str, Any], client_id: str, audiences: Sequence[str], now: int) -> Assertion | None:
    audience, jti, expires_at = claims.get("aud"), claims.get("jti"), claims.get("exp")
    if isinstance(audience, list) and len(audience) == 1:
        # Meant for several, one of them could use it here.
        audience = audience[0]
    begins = [claims.get(name, now) for name in ("nbf", "iat")]
    if claims.get("iss") != client_id or claims.get("sub") != client_id or audience not in audiences:
        return None
    if not isinstance(jti, str) or not 8 <= len(jti) <= 200 or type(expires_at) is not int:
        return None
    if not all(type(begin) is int and begin <= now + SKEW_SECONDS for begin in begins):
        return None
    if not now - SKEW_SECONDS < expires_at <= now + LONGEST_SECONDS + SKEW_SECONDS:
        return None
    return Assertion(jti, expires_at)
