"""Callers for tests: tokens of any role, and an HTTP client that speaks as one of them."""

import base64
import json
import os
import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

LUZHAI = "450223"


class Issuer:
    """The county's token issuer, as far as a verifier can tell."""

    def __init__(self) -> None:
        self.url = ""
        self.key = Ed25519PrivateKey.generate()
        secret = base64.b64encode(os.urandom(32)).decode()
        self.data_keys = json.dumps({"current": "k1", "keys": {"k1": secret}})

    def jwks(self) -> dict[str, Any]:
        """The public keys."""
        public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": "test", "alg": "EdDSA", "use": "sig"}]}

    def token(self, *roles: str, subject: str | None = None, seconds: int = 600, **claims: Any) -> str:
        """A token of these roles, bound as ``claims`` say (institution_code, township_code, …)."""
        now = int(time.time())
        content = {
            "iss": "three-batches",
            "aud": "three-batches",
            "sub": subject or f"test-{'-'.join(roles)}",
            "iat": now,
            "exp": now + seconds,
            "jti": str(uuid4()),
            "roles": list(roles),
            "county_code": LUZHAI,
            **claims,
        }
        return jwt.encode(content, self.key, algorithm="EdDSA", headers={"kid": "test"})


class Client(httpx.AsyncClient):
    """An HTTP client with a token; `create` posts with a fresh idempotency key."""

    async def create(self, path: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        """POST with an ``Idempotency-Key``."""
        return await self.post(path, json=body, headers={"Idempotency-Key": key or str(uuid4()), **headers})


def client_of(app: FastAPI, token: str | None = None) -> Client:
    """A client of an app in this process."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return Client(transport=transport, base_url="http://service", headers=headers, timeout=60)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refusal, checked to be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"]
    return body
