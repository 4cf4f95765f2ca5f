"""Sealed numbers open only with the key, and are found only by digest."""

import base64
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from shared.kit import clock, sealing
from shared.kit.sealing import Keyring, KeyUnknown, lasting_halves, plain_name


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


def test_a_new_key_seals_from_its_moment_and_opens_before() -> None:
    keys = {name: base64.b64encode(secret).decode() for name, secret in SECRETS.items()}
    ring = {"current": "k1", "digest": "k1", "keys": keys}
    later, before = clock.now() + timedelta(hours=1), clock.now() - timedelta(seconds=1)
    waiting = Keyring(json.dumps({**ring, "seals_from": {"k2": clock.rfc3339(later)}}))
    sealing = Keyring(json.dumps({**ring, "seals_from": {"k2": clock.rfc3339(before)}}))
    assert waiting.seal("甲").startswith("k1.")
    assert sealing.seal("甲").startswith("k2.")
    assert waiting.open(sealing.seal("甲")) == "甲"
    for wrong in ({"k3": clock.rfc3339(before)}, {"k2": "2026-01-01T00:00:00"}):
        with pytest.raises(ValueError, match="is to seal"):
            Keyring(json.dumps({**ring, "seals_from": wrong}))


def test_a_running_process_takes_up_what_changes_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {name: base64.b64encode(secret).decode() for name, secret in SECRETS.items()}
    old, new = (
        json.dumps({"current": "k1", "keys": {"k1": keys["k1"]}}),
        json.dumps({"current": "k2", "digest": "k1", "keys": keys}),
    )
    file = tmp_path / "keys.json"
    file.write_text(old)
    ring, other = Keyring(old, file), Keyring(new)
    file.write_text(new)
    assert ring.seal("甲").startswith("k1."), "it looks every five seconds"
    assert ring.open(other.seal("甲")) == "甲", "and at once at a key it does not know"
    assert ring.seal("甲").startswith("k2.")
    file.write_text(new[:-20])
    monkeypatch.setattr(sealing, "LOOK_AGAIN_SECONDS", -1)
    assert ring.seal("甲").startswith("k2."), "a half-written file changes nothing"
    with pytest.raises(KeyUnknown):
        ring.open("k9.AAAA")


def test_what_is_kept_of_a_key_that_was_given_up_finds_and_signs_and_opens_nothing() -> None:
    before = a_keyring("k1", "k2", current="k2", secrets=SECRETS)
    digest, sign = (base64.b64encode(half).decode() for half in lasting_halves(SECRETS["k1"]))
    keys = {"k2": base64.b64encode(SECRETS["k2"]).decode()}
    after = Keyring(json.dumps({"current": "k2", "keys": keys, "lasting": {"digest": digest, "sign": sign}}))
    assert after.digest("甲") == before.digest("甲")
    assert after.sign(b"cursor") == before.sign(b"cursor")
    assert after.fingerprint(b"body") == before.fingerprint(b"body")
    assert after.open(before.seal("甲")) == "甲"
    with pytest.raises(KeyUnknown):
        after.open(a_keyring("k1", current="k1", secrets=SECRETS).seal("甲"))
    impostor = base64.b64encode(base64.b64decode(digest)).decode()
    with pytest.raises(InvalidTag):
        Keyring(json.dumps({"current": "k1", "keys": {"k1": impostor}})).open(
            a_keyring("k1", current="k1", secrets=SECRETS).seal("甲")
        )


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
