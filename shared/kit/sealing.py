"""Identity numbers and names at rest and on the wire between services.

Sealed text (AES-256-GCM) can be opened by who holds the key; a digest (keyed HMAC-SHA-256) finds the same text again
without opening anything. The key lies outside every database; each sealed text names the key it was sealed with.
"""

import base64
import hmac
import json
import os
import time
import unicodedata
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.kit import clock
from shared.kit.log import log

LOOK_AGAIN_SECONDS = 5.0


class KeyUnknown(Exception):
    """What was sealed names a key that is not in the ring: it was given up, or its file has not come here yet."""


class Keys:
    """The data keys as one reading of their file has them.

    ``{"current": kid, "keys": {kid: 32 bytes in base64}, "seals_from": {kid: moment}, "digest": kid}``: the current
    key seals until the moment of another has come; all of them open. What was digested must be found after a
    rotation: one key is named for it and stays. Once it seals nothing any more and is given up, only what digests and
    signs is kept of it, by which nothing can be opened: ``"lasting": {"digest": …, "sign": …}`` instead of ``digest``.
    """

    def __init__(self, text: str) -> None:
        data = json.loads(text)
        self.current: str = data["current"]
        keys = {kid: base64.b64decode(key) for kid, key in data["keys"].items()}
        if any(len(key) != 32 for key in keys.values()) or self.current not in keys:
            raise ValueError("data keys must be 32 bytes each and name the current one")
        self.sealers = {kid: AESGCM(_derived(key, b"seal")) for kid, key in keys.items()}
        starts = [(datetime.fromisoformat(moment), kid) for kid, moment in data.get("seals_from", {}).items()]
        if any(kid not in keys or start.tzinfo is None for start, kid in starts):
            raise ValueError("a data key that is to seal is not among the keys, or its moment has no time zone")
        self._starts = sorted(starts)
        if lasting := data.get("lasting"):
            self.digest, self.sign = base64.b64decode(lasting["digest"]), base64.b64decode(lasting["sign"])
            return
        if len(keys) > 1 and "digest" not in data:
            raise ValueError("data keys must name the one that digests rest on")
        self.digest, self.sign = lasting_halves(keys[data.get("digest", self.current)])

    def sealing(self, now: datetime) -> str:
        """The key that seals at this moment."""
        begun = [kid for start, kid in self._starts if start <= now]
        return begun[-1] if begun else self.current


class Keyring:
    """The data keys of a running process. Given their file, it takes up what changes there while it runs."""

    def __init__(self, text: str, file: Path | None = None) -> None:
        self._text, self._file, self._looked = text, file, time.monotonic()
        self._keys = Keys(text)
        self._sealing = self._keys.sealing(clock.now())

    @property
    def current(self) -> str:
        """The key that seals now."""
        if time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
            self._look()
        return self._sealing

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self._file is not None:
            try:
                text = self._file.read_text(encoding="utf-8").strip()
                if text != self._text:
                    self._keys, self._text = Keys(text), text
                    log("info", "data_keys_renewed", count=len(self._keys.sealers))
            except (OSError, ValueError, KeyError, TypeError) as error:
                # The keys we have stay good; a half-written file must not stop the county.
                log("error", "data_keys_not_read", error_type=type(error).__name__)
        self._sealing = self._keys.sealing(clock.now())

    def seal(self, text: str) -> str:
        """Sealed text: ``kid.base64(nonce + ciphertext)``."""
        current = self.current
        nonce = os.urandom(12)
        sealed = self._keys.sealers[current].encrypt(nonce, text.encode(), current.encode())
        return f"{current}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str) -> str:
        """The text that was sealed."""
        kid, _, body = sealed.partition(".")
        if kid not in self._keys.sealers:
            # Another process sealed it with a key that came since we last looked.
            self._look()
        sealer = self._keys.sealers.get(kid)
        if sealer is None:
            raise KeyUnknown(kid)
        raw = base64.urlsafe_b64decode(body)
        return sealer.decrypt(raw[:12], raw[12:], kid.encode()).decode()

    def digest(self, text: str) -> str:
        """The same text always gives the same 64 hexadecimal digits; the text can't be had back from them."""
        return hmac.digest(self._keys.digest, text.encode(), "sha256").hex()

    def name_digest(self, name: str) -> str:
        """A digest under which two spellings of one name meet: NFKC, without spaces and the middle dot."""
        return self.digest("name:" + plain_name(name))

    def fingerprint(self, data: bytes) -> bytes:
        """A keyed hash of a body, to know it again."""
        return hmac.digest(self._keys.digest, b"body:" + data, "sha256")

    def sign(self, data: bytes) -> bytes:
        """A signature under a key of its own, for cursors."""
        return hmac.digest(self._keys.sign, data, "sha256")[:16]


def plain_name(name: str) -> str:
    """A name as it is compared: NFKC, without white space and middle dots (``·``, ``•``, ``・``)."""
    folded = unicodedata.normalize("NFKC", name)
    return "".join(c for c in folded if not c.isspace() and c not in "·•・‧∙")


def lasting_halves(key: bytes) -> tuple[bytes, bytes]:
    """What is derived of a data key to digest and to sign: it stays when the key itself is given up."""
    return _derived(key, b"digest"), _derived(key, b"sign")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"three-batches/" + purpose).derive(key)
