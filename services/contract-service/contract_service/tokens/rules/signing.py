"""The issuer's signing keys: which signs when, and what is published."""

import base64
import json
import secrets
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


class SigningKeys:
    """The issuer's Ed25519 keys by their id. The public halves of all are published, also of one that signs later.

    ``{"current": kid, "keys": {kid: PEM}, "signs_from": {kid: moment}}``: the current one signs until the moment of
    another has come.
    """

    def __init__(self, text: str) -> None:
        data = json.loads(text)
        self.current: str = data["current"]
        self._keys: dict[str, Ed25519PrivateKey] = {}
        for key_id, pem in data["keys"].items():
            key = load_pem_private_key(pem.encode(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise ValueError(f"signing key {key_id} is not an Ed25519 key")
            self._keys[key_id] = key
        if self.current not in self._keys:
            raise ValueError("the current signing key is not among the keys")
        starts = [(datetime.fromisoformat(moment), key_id) for key_id, moment in data.get("signs_from", {}).items()]
        if any(key_id not in self._keys or start.tzinfo is None for start, key_id in starts):
            raise ValueError("a key that is to sign is not among the keys, or its moment has no time zone")
        self._starts = sorted(starts)

    def signing(self, now: datetime) -> str:
        """The key that signs at this moment."""
        begun = [key_id for start, key_id in self._starts if start <= now]
        return begun[-1] if begun else self.current

    def sign(self, claims: dict[str, Any], now: datetime) -> str:
        """A signed token."""
        key_id = self.signing(now)
        return jwt.encode(claims, self._keys[key_id], algorithm="EdDSA", headers={"kid": key_id})

    def public_halves(self) -> dict[str, str]:
        """The public halves by key id, as a JWK bears them (RFC 8037)."""
        raw = {
            key_id: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for key_id, key in self._keys.items()
        }
        return {key_id: base64.urlsafe_b64encode(half).rstrip(b"=").decode() for key_id, half in raw.items()}


def claims_of(subject: str, issued_at: int, seconds: int, about: dict[str, Any]) -> dict[str, Any]:
    """What a token says: who, in which roles, bound to what, from when until when."""
    claims = {
        "sub": subject,
        "iat": issued_at,
        "exp": issued_at + seconds,
        "jti": secrets.token_urlsafe(16),
    }
    return claims | {name: value for name, value in about.items() if value}


def new_refresh_token() -> str:
    """A token nobody can guess; only its digest is kept."""
    return secrets.token_urlsafe(32)
