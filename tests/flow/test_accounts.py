"""Accounts on the running system, through the gateway: a vendor's key, a person's first day, keys that change."""

import json
import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contract_service.tokens.rules.assertion import KIND
from contract_service.tokens.rules.totp import code_at
from deploy.rotate_keys import AHEAD, rotated
from deploy.state import write_private
from shared.kit import clock
from tests.flow.conftest import System
from tests.flow.people import BILLS, a_bill, a_resident

ACCOUNTS = "/contract/v1/accounts"


def by_key(system: System, client_id: str, key: Ed25519PrivateKey, word: str | None = None) -> httpx.Response:
    """A token for an assertion, as a HIS asks."""
    now = int(time.time())
    said = {
        "iss": client_id,
        "sub": client_id,
        "aud": f"{system.url}/oauth/token",
        "exp": now + 120,
        "jti": str(uuid4()),
    }
    word = word or jwt.encode(said, key, algorithm="EdDSA")
    form = {"grant_type": "client_credentials", "client_assertion_type": KIND, "client_assertion": word}
    return httpx.post(f"{system.url}/oauth/token", data=form)


def test_a_vendors_key_posts_a_bill_and_no_assertion_comes_twice(system: System) -> None:
    key, administrator = Ed25519PrivateKey.generate(), system.user("administrator")
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    code = system.credentials["clients"]["county_hospital"]["institution_code"]
    wanted = {"client_id": "his.vendor", "institution_code": code, "public_key": pem}
    assert administrator.create(f"{ACCOUNTS}/clients", wanted).status_code == 201
    answer = by_key(system, "his.vendor", key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["ratelimit-policy"].startswith('"sign-in";q=')
    patient = a_resident()
    assert system.user("poverty_office").create("/contract/v1/residents", patient).status_code == 201
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}", "Idempotency-Key": str(uuid4())}
    posted = httpx.post(f"{system.url}{BILLS}", json=a_bill(code, patient), headers=headers)
    assert posted.status_code == 201, posted.text
    assert posted.headers["ratelimit-policy"] == '"client";q=4000;w=2'
    now = int(time.time())
    said = {
        "iss": "his.vendor",
        "sub": "his.vendor",
        "aud": f"{system.url}/oauth/token",
        "exp": now + 99,
        "jti": "once-only",
    }
    word = jwt.encode(said, key, algorithm="EdDSA")
    assert [by_key(system, "his.vendor", key, word).status_code for _ in range(2)] == [200, 401]


def test_a_person_s_first_day(system: System) -> None:
    wanted = {"username": "zhao.liu", "name": "测试经办", "roles": ["safety_net_office"]}
    made = system.user("administrator").create(f"{ACCOUNTS}/users", wanted).json()

    def ask(path: str, **form: str) -> Any:
        return httpx.post(f"{system.url}/oauth/{path}", data={"username": "zhao.liu", **form})

    first, second = made["first_password"], "lamb-wool-nine-rivers"
    assert ask("token", grant_type="password", password=first).json()["error"] == "password_change_required"
    assert ask("password", password=first, new_password=second).status_code == 200
    assert ask("token", grant_type="password", password=second).json()["error"] == "totp_enrolment_required"
    secret = ask("totp", password=second).json()["secret"]
    code = code_at(secret, int(time.time()) // 30)
    answer = ask("token", grant_type="password", password=second, totp=code)
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert httpx.get(f"{system.url}/safety-net/v1/settlements", headers=headers).status_code == 200
    assert httpx.get(f"{system.url}{ACCOUNTS}/users", headers=headers).status_code == 403
    refresh = answer.json()["refresh_token"]
    assert ask("revoke", token=refresh).status_code == 200
    assert ask("token", grant_type="refresh_token", refresh_token=refresh).status_code == 400


def test_keys_change_while_everything_runs(system: System) -> None:
    before = system.client("county_hospital")
    path = system.data / "secrets" / "signing-keys.json"
    # As if it had been published ten minutes ago.
    keys, fresh = rotated(json.loads(path.read_text(encoding="utf-8")), clock.now() - AHEAD)
    write_private(path, json.dumps(keys))
    until = time.monotonic() + 30
    while True:
        after = system.client("county_hospital")
        token = after.headers["authorization"].removeprefix("Bearer ")
        if jwt.get_unverified_header(token)["kid"] == fresh:
            break
        assert time.monotonic() < until, "the new key never signed"
        time.sleep(0.5)
    published = {key["kid"] for key in httpx.get(f"{system.url}/.well-known/jwks.json").json()["keys"]}
    assert published == set(keys["keys"])
    for caller in (before, after):
        for route in (BILLS, "/safety-net/v1/settlements", "/contract/v1/institutions"):
            assert caller.get(route).status_code == 200, route
