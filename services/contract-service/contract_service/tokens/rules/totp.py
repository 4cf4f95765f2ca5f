"""One-time codes of an authenticator (动态口令): RFC 6238 as all common apps do it: SHA-1, six digits, 30 s."""

import base64
import hmac
import secrets
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
# A clock that is half a minute wrong, or a code typed slowly.
TOLERATED_STEPS = 1


def new_secret() -> str:
    """Twenty random bytes, as an app takes them."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of one step (RFC 4226)."""
    mac = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching_step(secret: str, given: str, at_seconds: int, used_step: int | None) -> int | None:
    """The step whose code this is; None for any other text, and for a code at or before the last one that was used."""
    now = at_seconds // STEP_SECONDS
    found = None
    for step in range(now - TOLERATED_STEPS, now + TOLERATED_STEPS + 1):
        same = hmac.compare_digest(code_at(secret, step).encode(), given.encode())
        if same and (used_step is None or step > used_step):
            found = step
    return found


def enrolment_uri(secret: str, issuer: str, username: str) -> str:
    """What an app reads from a QR code."""
    label = f"{quote(issuer)}:{quote(username)}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}&period={STEP_SECONDS}&digits={DIGITS}"
