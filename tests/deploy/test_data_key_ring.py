"""The data key ring: one more key at a time, and an old one only goes when nothing can need it."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.console import Unusable
from deploy.data_keys import BACKUP_DAYS, newest, noted_unused, read_ring, ring_file, with_one_more, without, write_ring
from deploy.secrets import Secrets
from deploy.state import State
from shared.kit import clock
from shared.kit.sealing import Keyring
from shared.kit.worker import OUTBOX_DAYS

NOW = clock.now()
AHEAD = timedelta(seconds=20)


def first() -> dict[str, Any]:
    """The ring as the first start makes it."""
    return {"current": "k1", "digest": "k1", "keys": {"k1": base64.b64encode(bytes(32)).decode()}}


def rotated() -> dict[str, Any]:
    """A ring that was rotated a day ago, whose old key has since sealed nothing."""
    then = NOW - timedelta(days=1)
    return noted_unused(with_one_more(first(), then - AHEAD, AHEAD), {"k1"}, then)


def test_a_new_key_is_beside_the_old_ones_and_seals_a_little_later() -> None:
    ring = with_one_more(first(), NOW, AHEAD)
    assert (ring["current"], newest(ring), ring["digest"], set(ring["keys"])) == ("k1", "k2", "k1", {"k1", "k2"})
    assert ring["seals_from"] == {"k2": clock.rfc3339(NOW + AHEAD)}
    third = with_one_more(ring, NOW + timedelta(days=1), AHEAD)
    assert (third["current"], newest(third), third["digest"]) == ("k2", "k3", "k1")
    assert Keyring(json.dumps(third)).digest("甲") == Keyring(json.dumps(first())).digest("甲")


def test_a_key_goes_when_the_last_backup_that_needs_it_is_gone() -> None:
    before = rotated()
    after = without(before, "k1", NOW + timedelta(days=BACKUP_DAYS), backups_gone=False)
    assert set(after["keys"]) == {"k2"}
    assert base64.b64encode(bytes(32)).decode() not in json.dumps(after)
    assert Keyring(json.dumps(after)).digest("甲") == Keyring(json.dumps(first())).digest("甲")
    assert newest(with_one_more(after, NOW, AHEAD)) == "k3"
    assert newest(with_one_more({**after, "given_up": {"k7": "x"}}, NOW, AHEAD)) == "k8", "a name is given once"
    assert BACKUP_DAYS >= OUTBOX_DAYS


def test_a_key_that_may_still_be_needed_stays() -> None:
    ring = rotated()
    with pytest.raises(Unusable, match="backups made before"):
        without(ring, "k1", NOW, backups_gone=False)
    assert set(without(ring, "k1", NOW, backups_gone=True)["keys"]) == {"k2"}
    with pytest.raises(Unusable, match="is the key that seals"):
        without(ring, "k2", NOW, backups_gone=True)
    with pytest.raises(Unusable, match="is the key that seals"):
        without(first(), "k1", NOW, backups_gone=True)
    with pytest.raises(Unusable, match="no data key k9"):
        without(ring, "k9", NOW, backups_gone=True)
    with pytest.raises(Unusable, match="not yet found to seal nothing"):
        without({**ring, "unused_since": {}}, "k1", NOW, backups_gone=True)
    fresh = with_one_more(first(), NOW, AHEAD)
    with pytest.raises(Unusable, match="wait ten minutes"):
        without(noted_unused(fresh, {"k1"}, NOW), "k1", NOW + AHEAD, backups_gone=True)


def test_the_note_of_a_key_keeps_its_first_day_until_it_seals_again() -> None:
    ring = rotated()
    assert noted_unused(ring, {"k1"}, NOW)["unused_since"] == ring["unused_since"]
    assert noted_unused(ring, set(), NOW)["unused_since"] == {}


def test_what_is_no_ring_is_neither_read_nor_written(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(Unusable, match="can't be read"):
        read_ring(file)
    write_ring(file, first())
    assert read_ring(file) == first()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="name the current one"):
        write_ring(file, {**first(), "current": "k2"})
    assert read_ring(file) == first()
    file.write_text("{}")
    with pytest.raises(Unusable, match="no data key ring"):
        read_ring(file)


def test_the_services_file_is_the_one_that_is_changed(tmp_path: Path) -> None:
    assert ring_file(tmp_path, {}) == tmp_path
    assert ring_file(tmp_path, {"DATA_KEYS_FILE": "/run/keys.json"}) == Path("/run/keys.json")
    with pytest.raises(Unusable, match="given by value"):
        ring_file(tmp_path, {"DATA_KEYS": "{}"})


def test_a_backup_of_before_brings_its_key_back_and_another_house_s_does_not(tmp_path: Path) -> None:
    state = State(tmp_path / "data")
    state.secrets.mkdir(parents=True)
    kept = tmp_path / "kept"
    kept.mkdir()
    ours = without(rotated(), "k1", NOW, backups_gone=True)
    before = rotated()
    ours["keys"]["k2"] = before["keys"]["k2"]
    write_ring(state.secrets / "data-keys.json", ours)
    write_ring(kept / "data-keys.json", {**first()})
    Secrets(state).adopt(kept)
    ring = read_ring(state.secrets / "data-keys.json")
    assert set(ring["keys"]) == {"k1", "k2"}
    assert (newest(ring), ring.get("unused_since")) == ("k2", None), "the restored rows are under the old key again"
    assert Keyring(json.dumps(ring)).open(Keyring(json.dumps(first())).seal("甲")) == "甲"
    other = base64.b64encode(b"x" * 32).decode()
    write_ring(kept / "data-keys.json", {**first(), "keys": {"k1": other}})
    with pytest.raises(Unusable, match="another house"):
        Secrets(state).adopt(kept)
