"""Signing keys change while everything runs: published ahead, signing from a moment on, old tokens good to the end."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from fastapi import FastAPI

from contract_service.tokens import service
from contract_service.tokens.rules.signing import SigningKeys
from contract_service.tokens.service import Issuer
from deploy.console import Unusable
from deploy.rotate_keys import AHEAD, KEPT, replaced, rotate, rotated
from deploy.secrets import signing_key
from shared.kit import clock
from shared.kit.problems import Unauthenticated
from shared.kit.tokens import KEYS_SECONDS, TokenVerifier
from tests.clients import client_of
from tests.services.contract.staff import TOKEN, Hands


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A key file as the first start makes it."""
    path = tmp_path / "signing-keys.json"
    path.write_text(json.dumps({"current": "s1", "keys": {"s1": signing_key()}}), encoding="utf-8")
    return path


@pytest.fixture
def issuer_of(contract: FastAPI, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """The running service, signing by this file, which it looks at whenever it is asked."""
    settings = contract.state.settings.model_copy(
        update={"signing_keys": path.read_text(encoding="utf-8"), "signing_keys_file": path}
    )
    issuer = Issuer(settings, contract.state.doorkeeper)
    monkeypatch.setattr(service, "LOOK_AGAIN_SECONDS", -1.0)
    before, contract.state.issuer = contract.state.issuer, issuer
    yield issuer
    contract.state.issuer = before


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_a_key_is_published_first_and_signs_later_and_nobody_is_turned_away(
    contract: FastAPI, issuer_of: Issuer, path: Path, hands: Hands, accounts: dict[str, Any]
) -> None:
    known = accounts["clients"][0]
    form = {
        "grant_type": "client_credentials",
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
    }
    assert issuer_of is contract.state.issuer
    async with client_of(contract) as anyone:

        async def published() -> list[str]:
            return [key["kid"] for key in (await anyone.get("/.well-known/jwks.json")).json()["keys"]]

        async def token() -> str:
            return str((await anyone.post(TOKEN, data=form)).json()["access_token"])

        before = await token()
        assert (kid(before), await published()) == ("s1", ["s1"])
        said = rotate(path, at_once=False)
        assert said.startswith("s2 is published now and signs from")
        assert (kid(await token()), await published()) == ("s1", ["s1", "s2"])
        hands.move(AHEAD.total_seconds() - 5)
        assert kid(await token()) == "s1"
        hands.move(10)
        after = await token()
        assert (kid(after), await published()) == ("s2", ["s1", "s2"])
        verifier = TokenVerifier("http://127.0.0.1:9/", "three-batches")
        verifier.learn((await anyone.get("/.well-known/jwks.json")).json())
        assert (await verifier.claims(before))["sub"] == known["client_id"], "an old token is good to its end"
        hands.move(KEPT.total_seconds() + 1)
        rotate(path, at_once=False)
        assert await published() == ["s2", "s3"]


def test_a_file_that_cant_be_read_changes_nothing(issuer_of: Issuer, path: Path) -> None:
    for broken in ("", "{", "[]", '{"current": "x", "keys": {}}', '{"current": "x", "keys": {"x": "no key"}}'):
        path.write_text(broken, encoding="utf-8")
        assert list(issuer_of.keys.public_halves()) == ["s1"]
    path.unlink()
    assert list(issuer_of.keys.public_halves()) == ["s1"]


def test_a_key_is_ahead_long_enough_for_every_service_to_hear_of_it() -> None:
    assert timedelta(seconds=KEYS_SECONDS) * 2 <= AHEAD
    assert timedelta(seconds=900) * 2 <= KEPT


def test_one_key_after_the_other() -> None:
    first, now = {"current": "s1", "keys": {"s1": signing_key()}}, clock.now()
    second, _ = rotated(first, now)
    with pytest.raises(Unusable, match="s2 is published already"):
        rotated(second, now + timedelta(minutes=9))
    third, name = rotated(second, now + timedelta(minutes=30))
    assert (name, sorted(third["keys"])) == ("s3", ["s1", "s2", "s3"]), "tokens by s1 may still run"
    read = SigningKeys(json.dumps(third))
    assert read.signing(now + timedelta(minutes=31)) == "s2"
    assert read.signing(now + timedelta(minutes=41)) == "s3"


async def test_a_stolen_key_is_given_up_at_once() -> None:
    text = json.dumps({"current": "s1", "keys": {"s1": signing_key()}})
    old = SigningKeys(text)
    made, name = replaced(json.loads(text))
    assert (name, list(made["keys"])) == ("s2", ["s2"])
    verifier = TokenVerifier("http://127.0.0.1:9/", "three-batches")
    halves = SigningKeys(json.dumps(made)).public_halves()
    verifier.learn({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": one, "x": half} for one, half in halves.items()]})
    with pytest.raises(Unauthenticated):
        await verifier.claims(old.sign({"sub": "thief"}, clock.now()))


def test_moments_without_a_zone_and_unknown_keys_are_no_keys(path: Path) -> None:
    keys = json.loads(path.read_text(encoding="utf-8"))
    for starts in ({"s9": "2026-11-21T10:00:00+08:00"}, {"s1": "2026-11-21T10:00:00"}):
        with pytest.raises(ValueError, match="no time zone"):
            SigningKeys(json.dumps({**keys, "signs_from": starts}))


def test_without_a_house_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="start the house first"):
        rotate(tmp_path / "none.json", at_once=False)
