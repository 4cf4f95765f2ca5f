"""A small OIDC provider, as a city might run one: a process of its own, with its own key, discovery and token endpoint.

It signs by itself (RSA, PKCS #1), without the library with which the house verifies.
"""

import base64
import json
import os
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

KEYS: dict[str, RSAPrivateKey] = {"city-1": generate_private_key(65537, 2048)}


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


async def discovery(request: Request) -> JSONResponse:
    """Where everything is (OpenID Connect Discovery)."""
    issuer = str(request.base_url).rstrip("/")
    endpoints = {"jwks_uri": f"{issuer}/keys", "token_endpoint": f"{issuer}/token"}
    return JSONResponse({"issuer": os.environ.get("PROVIDER_CLAIMS_TO_BE", issuer), **endpoints})


async def keys(_: Request) -> JSONResponse:
    """The public halves."""
    known = []
    for key_id, key in KEYS.items():
        numbers = key.public_key().public_numbers()
        halves = {"n": _number(numbers.n), "e": _number(numbers.e)}
        known.append({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, **halves})
    return JSONResponse({"keys": known})


async def token(request: Request) -> JSONResponse:
    """An access token that says what the test asks for, signed by the newest key."""
    wanted: dict[str, Any] = await request.json()
    now = int(time.time())
    claims = {"iss": str(request.base_url).rstrip("/"), "aud": "three-batches-county", "iat": now, "exp": now + 300}
    key_id, key = list(KEYS.items())[-1]
    head = {"alg": "RS256", "typ": "at+jwt", "kid": key_id, **wanted.get("head", {})}
    said = {name: value for name, value in {**claims, **wanted.get("claims", {})}.items() if value is not None}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, said))
    return JSONResponse({"access_token": f"{signed}.{_encoded(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"})


async def rotate(_: Request) -> JSONResponse:
    """A new key beside the others."""
    name = f"city-{len(KEYS) + 1}"
    KEYS[name] = generate_private_key(65537, 2048)
    return JSONResponse({"kid": name})


app = Starlette(
    routes=[
        Route("/.well-known/openid-configuration", discovery),
        Route("/keys", keys),
        Route("/token", token, methods=["POST"]),
        Route("/rotate", rotate, methods=["POST"]),
    ]
)
