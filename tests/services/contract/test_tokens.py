"""POST /oauth/token and the published keys: who gets a token, and what every other request is told."""

import asyncio
import base64
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI
from sqlalchemy import update

from contract_service.accounts.models import User
from contract_service.accounts.rules import digest
from contract_service.tokens.models import RefreshToken
from contract_service.tokens.rules.signing import SigningKeys
from shared.kit import clock
from shared.kit.scope import SERVICE
from tests.clients import Client, client_of, problem
from tests.services.contract.registry import INSTITUTIONS, AsRole, written_down

TOKEN = "/oauth/token"


@pytest.fixture
def anyone(as_role: AsRole) -> Client:
    return as_role()


@pytest.fixture
def machine(accounts: dict[str, Any]) -> dict[str, str]:
    """The form of a hospital's request."""
    known = accounts["clients"][0]
    form = {"client_id": known["client_id"], "client_secret": known["client_secret"]}
    return {"grant_type": "client_credentials", **form}


@pytest.fixture
def person(accounts: dict[str, Any]) -> dict[str, str]:
    """The form of a member of staff."""
    known = accounts["users"][0]
    return {"grant_type": "password", "username": known["username"], "password": known["password"]}


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    return found


async def test_a_machine_gets_a_short_token_bound_to_its_institution(
    contract: FastAPI, anyone: Client, machine: dict[str, str]
) -> None:
    answer = await anyone.post(TOKEN, data=machine)
    body, said = answer.json(), claims(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert {**body, "access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "hospital",
    }
    assert (said["iss"], said["aud"], said["sub"]) == ("three-batches", "three-batches", "county_hospital")
    assert (said["roles"], said["county_code"]) == (["hospital"], "450223")
    assert said["institution_code"] == "H45022300001"
    assert said["exp"] - said["iat"] == 600
    assert abs(said["iat"] - time.time()) < 5
    assert said["jti"] != claims(await anyone.post(TOKEN, data=machine))["jti"]
    async with client_of(contract, body["access_token"]) as client:
        assert (await client.get(INSTITUTIONS)).status_code == 200


async def test_a_client_may_show_its_secret_in_the_header(anyone: Client, machine: dict[str, str]) -> None:
    basic = httpx.BasicAuth(machine["client_id"], machine["client_secret"])
    answer = await anyone.post(TOKEN, data={"grant_type": "client_credentials"}, auth=basic)
    assert claims(answer)["sub"] == "county_hospital"


async def test_a_person_gets_a_token_that_says_what_he_is_bound_to(
    contract: FastAPI, anyone: Client, person: dict[str, str]
) -> None:
    answer = await anyone.post(TOKEN, data=person)
    said = claims(answer)
    assert answer.json()["expires_in"] == said["exp"] - said["iat"] == 900
    assert answer.json()["refresh_token"]
    bound = {name: said[name] for name in ("roles", "institution_code", "township_code", "name")}
    assert bound == {
        "roles": ["township_centre"],
        "institution_code": "H45022300100",
        "township_code": "450223100",
        "name": "测试卫生院人员",
    }
    assert "department" not in said
    rows = await written_down(contract, "account", "township_centre")
    assert (rows[-1].action, rows[-1].caller, rows[-1].detail) == (
        "signed_in",
        "township_centre",
        {"grant": "password"},
    )


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(
    contract: FastAPI, anyone: Client, person: dict[str, str]
) -> None:
    def renewed(token: str) -> Any:
        return anyone.post(TOKEN, data={"grant_type": "refresh_token", "refresh_token": token})

    first = (await anyone.post(TOKEN, data=person)).json()["refresh_token"]
    second = (await renewed(first)).json()["refresh_token"]
    third = (await renewed(second)).json()["refresh_token"]
    assert len({first, second, third}) == 3
    assert problem(await renewed(first), 400, "invalid_grant")["error"] == "invalid_grant"
    problem(await renewed(third), 400, "invalid_grant")
    rows = await written_down(contract, "account", "township_centre")
    assert rows[-1].detail == {"grant": "refresh_token_reused"}
    another = (await anyone.post(TOKEN, data=person)).json()["refresh_token"]
    assert (await renewed(another)).status_code == 200, "another sign-in is another family"


async def test_of_two_refreshes_at_once_one_works(anyone: Client, person: dict[str, str]) -> None:
    token = (await anyone.post(TOKEN, data=person)).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    answers = await asyncio.gather(*(anyone.post(TOKEN, data=form) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_an_expired_refresh_token_is_refused_and_forgotten_later(
    contract: FastAPI, anyone: Client, person: dict[str, str]
) -> None:
    from contract_service.tokens.service import forget_what_is_over

    token = (await anyone.post(TOKEN, data=person)).json()["refresh_token"]
    for age in (timedelta(seconds=1), timedelta(days=8)):
        async with contract.state.database.transaction(SERVICE) as session:
            mine = RefreshToken.token_hash == digest(token)
            await session.execute(update(RefreshToken).where(mine).values(expires_at=clock.now() - age))
        form = {"grant_type": "refresh_token", "refresh_token": token}
        problem(await anyone.post(TOKEN, data=form), 400, "invalid_grant")
        await forget_what_is_over(contract.state.database)
        async with contract.state.database.transaction(SERVICE) as session:
            assert (await session.get(RefreshToken, digest(token)) is None) == (age.days == 8)


async def test_a_closed_account_gets_nothing_more(contract: FastAPI, anyone: Client, person: dict[str, str]) -> None:
    token = (await anyone.post(TOKEN, data=person)).json()["refresh_token"]

    async def set_active(active: bool) -> None:
        async with contract.state.database.transaction(SERVICE) as session:
            await session.execute(update(User).where(User.username == person["username"]).values(active=active))

    await set_active(False)
    try:
        problem(await anyone.post(TOKEN, data=person), 401, "invalid_grant")
        form = {"grant_type": "refresh_token", "refresh_token": token}
        problem(await anyone.post(TOKEN, data=form), 400, "invalid_grant")
    finally:
        await set_active(True)


async def test_wrong_credentials_are_told_the_same_whatever_is_wrong(
    anyone: Client, machine: dict[str, str], person: dict[str, str]
) -> None:
    wrong: dict[str, list[dict[str, str]]] = {
        "invalid_client": [machine | {"client_secret": "wrong"}, machine | {"client_id": "nobody"}],
        "invalid_grant": [person | {"password": "wrong"}, person | {"username": "nobody"}],
    }
    for code, forms in wrong.items():
        answers = [problem(await anyone.post(TOKEN, data=form), 401, code) for form in forms]
        assert answers[0] | {"request_id": ""} == answers[1] | {"request_id": ""}
        assert answers[0]["error"] == code
    refused = await anyone.post(TOKEN, data=wrong["invalid_client"][0])
    assert refused.headers["www-authenticate"].startswith("Basic")


async def test_an_unknown_name_costs_the_same_work(
    anyone: Client, person: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from contract_service.accounts import rules

    kept: list[str | None] = []

    def same_password(_: str, hashed: str | None) -> bool:
        kept.append(hashed)
        return False

    monkeypatch.setattr(rules, "same_password", same_password)
    await anyone.post(TOKEN, data=person | {"username": "nobody"})
    assert kept == [None]
    monkeypatch.undo()
    assert rules.same_password("x", None) is False
    assert rules.NOBODYS_HASH.startswith("$argon2id$")


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MALFORMED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "json": (b'{"grant_type": "password"}', {"Content-Type": "application/json"}, 400, "invalid_request"),
    "no_type": (b"grant_type=password", {"Content-Type": ""}, 400, "invalid_request"),
    "multipart": (b"--x\r\n\r\n--x--", {"Content-Type": "multipart/form-data; boundary=x"}, 400, "invalid_request"),
    "empty": (b"", FORM, 400, "invalid_request"),
    "no_equals": (b"grant_type", FORM, 400, "invalid_request"),
    "twice": (b"grant_type=password&grant_type=password", FORM, 400, "invalid_request"),
    "not_utf8": (b"grant_type=password&username=%ff&password=x", FORM, 400, "invalid_request"),
    "raw_bytes": (b"grant_type=\xff", FORM, 400, "invalid_request"),
    "nul": (b"grant_type=password&username=a%00&password=x", FORM, 400, "invalid_request"),
    "many_fields": (b"&".join(b"f%d=1" % n for n in range(30)), FORM, 400, "invalid_request"),
    "long_field": (b"grant_type=password&username=" + b"a" * 3000, FORM, 400, "invalid_request"),
    "too_large": (b"grant_type=" + b"a" * 20_000, FORM, 413, "body_too_large"),
    "no_username": (b"grant_type=password&password=x", FORM, 400, "invalid_request"),
    "no_password": (b"grant_type=password&username=x", FORM, 400, "invalid_request"),
    "no_refresh_token": (b"grant_type=refresh_token&refresh_token=", FORM, 400, "invalid_request"),
    "no_secret": (b"grant_type=client_credentials&client_id=x", FORM, 400, "invalid_request"),
    "unknown_grant": (b"grant_type=authorization_code&code=x", FORM, 400, "unsupported_grant_type"),
    "unknown_refresh_token": (b"grant_type=refresh_token&refresh_token=x", FORM, 400, "invalid_grant"),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_what_is_no_token_request_is_a_problem_and_never_a_500(case: str, anyone: Client) -> None:
    content, headers, status, code = MALFORMED[case]
    body = problem(await anyone.post(TOKEN, content=content, headers=headers), status, code)
    assert status == 413 or body["error"] == code


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "more", "status", "code"),
    [
        ("Basic ???", "", 401, "invalid_client"),
        (basic(b"\xff:x"), "", 401, "invalid_client"),
        (basic(b"no-colon"), "", 401, "invalid_client"),
        (basic(b"a%00:x"), "", 401, "invalid_client"),
        (basic(b"a:x"), "&client_id=b", 401, "invalid_client"),
        (basic(b"a:x"), "&client_secret=x", 400, "invalid_request"),
        ("Bearer x", "", 400, "invalid_request"),
    ],
)
async def test_odd_client_headers_are_refused(header: str, more: str, status: int, code: str, anyone: Client) -> None:
    content = f"grant_type=client_credentials{more}"
    problem(await anyone.post(TOKEN, content=content, headers={**FORM, "Authorization": header}), status, code)


async def test_neither_secrets_nor_names_reach_the_log(
    anyone: Client, person: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await anyone.post(TOKEN, data=person)
    await anyone.post(TOKEN, data=person | {"password": "wrong-horse"})
    logged = capsys.readouterr().err
    assert "sign_in_refused" in logged
    assert person["password"] not in logged
    assert "wrong-horse" not in logged


def a_pem(key: Any = None) -> str:
    key = key or Ed25519PrivateKey.generate()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


async def test_the_public_half_is_published_and_verifies(anyone: Client, machine: dict[str, str]) -> None:
    answer = await anyone.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert {**key, "x": ""} == {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "test", "x": ""}
    token = (await anyone.post(TOKEN, data=machine)).json()["access_token"]
    assert jwt.get_unverified_header(token)["kid"] == "test"
    jwt.decode(token, jwt.PyJWK(key), algorithms=["EdDSA"], audience="three-batches")


def test_all_keys_are_published_and_the_current_one_signs() -> None:
    keys = SigningKeys(json.dumps({"current": "b", "keys": {"a": a_pem(), "b": a_pem()}}))
    assert list(keys.public_halves()) == ["a", "b"]
    assert jwt.get_unverified_header(keys.sign({"sub": "x"}, clock.now()))["kid"] == "b"


def test_only_ed25519_keys_are_taken_and_one_must_be_current() -> None:
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        SigningKeys(json.dumps({"current": "a", "keys": {"a": a_pem(generate_private_key(SECP256R1()))}}))
    with pytest.raises(ValueError, match="current"):
        SigningKeys(json.dumps({"current": "b", "keys": {"a": a_pem()}}))
