"""Identity numbers and names at rest and on the wire between services.

Sealed text (AES-256-GCM) can be opened by who holds the key; a digest (keyed HMAC-SHA-256) finds the same text again
without opening anything. The key lies outside every database; each sealed text names the key it was sealed with.
"""

import base64
import hmac
import json
import os
import unicodedata

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Keyring:
    """The data keys by their id: the current one seals, all of them open."""

    def __init__(self, text: str) -> None:
        data = json.loads(text)
        self.current: str = data["current"]
        keys = {kid: base64.b64decode(key) for kid, key in data["keys"].items()}
        if any(len(key) != 32 for key in keys.values()) or self.current not in keys:
            raise ValueError("data keys must be 32 bytes each and name the current one")
        self._sealers = {kid: AESGCM(_derived(key, b"seal")) for kid, key in keys.items()}
        # What was digested must be found after a rotation: one key is named for it and stays.
        if len(keys) > 1 and "digest" not in data:
            raise ValueError("data keys must name the one that digests rest on")
        lasting = keys[data.get("digest", self.current)]
        self._digest, self._sign = _derived(lasting, b"digest"), _derived(lasting, b"sign")

    def seal(self, text: str) -> str:
        """Sealed text: ``kid.base64(nonce + ciphertext)``."""
        nonce = os.urandom(12)
        sealed = self._sealers[self.current].encrypt(nonce, text.encode(), self.current.encode())
        return f"{self.current}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str) -> str:
        """The text that was sealed."""
        kid, _, body = sealed.partition(".")
        raw = base64.urlsafe_b64decode(body)
        return self._sealers[kid].decrypt(raw[:12], raw[12:], kid.encode()).decode()

    def digest(self, text: str) -> str:
        """The same text always gives the same 64 hexadecimal digits; the text can't be had back from them."""
        return hmac.digest(self._digest, text.encode(), "sha256").hex()

    def name_digest(self, name: str) -> str:
        """A digest under which two spellings of one name meet: NFKC, without spaces and the middle dot."""
        return self.digest("name:" + plain_name(name))

    def fingerprint(self, data: bytes) -> bytes:
        """A keyed hash of a body, to know it again."""
        return hmac.digest(self._digest, b"body:" + data, "sha256")

    def sign(self, data: bytes) -> bytes:
        """A signature under a key of its own, for cursors."""
        return hmac.digest(self._sign, data, "sha256")[:16]


def plain_name(name: str) -> str:
    """A name as it is compared: NFKC, without white space and middle dots (``·``, ``•``, ``・``)."""
    folded = unicodedata.normalize("NFKC", name)
    return "".join(c for c in folded if not c.isspace() and c not in "·•・‧∙")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"three-batches/" + purpose).derive(key)
