"""Sealed numbers open only with the key, and are found only by digest."""

import base64
import json
import os

import pytest
from cryptography.exceptions import InvalidTag

from shared.kit.sealing import Keyring, plain_name


def a_keyring(*names: str, current: str, secrets: dict[str, bytes]) -> Keyring:
    keys = {name: base64.b64encode(secrets[name]).decode() for name in names}
    return Keyring(json.dumps({"current": current, "digest": "k1", "keys": keys}))


SECRETS = {"k1": os.urandom(32), "k2": os.urandom(32)}


def test_what_is_sealed_opens_and_looks_different_each_time() -> None:
    ring = a_keyring("k1", current="k1", secrets=SECRETS)
    first, second = ring.seal("450223197503120006"), ring.seal("450223197503120006")
    assert first != second
    assert "450223" not in first
    assert ring.open(first) == ring.open(second) == "450223197503120006"


def test_sealed_text_that_was_touched_does_not_open() -> None:
    ring = a_keyring("k1", current="k1", secrets=SECRETS)
    kid, _, body = ring.seal("测试甲").partition(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[-1] ^= 1
    with pytest.raises(InvalidTag):
        ring.open(f"{kid}.{base64.urlsafe_b64encode(raw).decode()}")


def test_after_a_rotation_old_texts_open_and_digests_still_find() -> None:
    before = a_keyring("k1", current="k1", secrets=SECRETS)
    after = a_keyring("k1", "k2", current="k2", secrets=SECRETS)
    assert after.open(before.seal("甲")) == "甲"
    assert after.seal("甲").startswith("k2.")
    assert after.digest("甲") == before.digest("甲")


def test_two_spellings_of_a_name_meet() -> None:
    ring = a_keyring("k1", current="k1", secrets=SECRETS)
    assert ring.name_digest("阿依古丽·买买提") == ring.name_digest("阿依古丽 • 买买提")
    assert ring.name_digest("测试甲") != ring.name_digest("测试乙")
    assert plain_name("ＡＢ　Ｃ") == "ABC"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        a_keyring("k1", current="k1", secrets={"k1": b"short"})


def test_the_key_that_digests_rest_on_is_named_once_there_are_two() -> None:
    keys = {name: base64.b64encode(secret).decode() for name, secret in SECRETS.items()}
    with pytest.raises(ValueError, match="digests rest on"):
        Keyring(json.dumps({"current": "k2", "keys": keys}))
