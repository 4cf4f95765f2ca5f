"""Secrets, passwords, registered keys and lock-outs. Pure but for randomness."""

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from shared.kit.fields import FieldError

# argon2id at OWASP's first recommendation: 19 MiB, two passes, one lane; some 20 ms of one core.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# What unknown names are compared with, so that they take as long as known ones.
NOBODYS_HASH = HASHER.hash(secrets.token_urlsafe(32))
NOBODYS_DIGEST = sha256(secrets.token_bytes(32)).hexdigest()

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 128
FEWEST_DIFFERENT = 5
# Without signs that are taken for one another when read aloud or from paper.
READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
# Of the commonest passwords those that are long enough to pass otherwise; compared without case and white space.
COMMONEST_WORDS = """
0123456789 1234567890 12345678910 123456789a 1234567890a 12345678901 123456123456 1234512345 9876543210
0987654321 a123456789 a1234567890 abc123456789 abcd123456 abc1234567 abcd1234567 aa123456789 aa12345678
qq123456789 wang123456 qwertyuiop qwerty12345 qwerty123456 1qaz2wsx3edc 1q2w3e4r5t 1q2w3e4r5t6y qazwsxedcrfv
asdfghjkl123 zxcvbnm123456 password12 password123 password1234 passw0rd123 p@ssw0rd123 p@ssword123 admin12345
admin123456 admin@12345 administrator administrator1 administrator123 root123456 welcome123 changeme123
letmein123 iloveyou123 woaini1314 woaini520 woaini1314520 5201314520 5201314woaini 1314520520 woaini123456
zhongguo123 zhang123456 li123456789 wangjian123 guangxi123 liuzhou123 luzhai123456 jiankang123 fupin123456
weisheng123 yiyuan123456 hospital123
"""
COMMONEST = frozenset(COMMONEST_WORDS.split())
# What an account of a role must be bound to, or it would see nothing, or too much.
BINDINGS: dict[str, tuple[str, ...]] = {
    "hospital": ("institution_code",),
    "township_centre": ("institution_code", "township_code"),
    "family_doctor": ("institution_code", "township_code"),
    "village_committee": ("village_code",),
    "township_government": ("township_code",),
    "poverty_workstation": ("township_code",),
    "department_leader": ("department",),
    "department_head": ("department",),
}
# Who runs the system and who audits it do nothing else in it (三员分立).
ALONE = ("administrator", "auditor")


@dataclass(frozen=True)
class Patience:
    """How many failures are free, and how long a place is locked after each one more: twice as long each time."""

    free: int
    first_seconds: int
    longest_seconds: int

    def seconds(self, failures: int) -> int:
        """How long nobody may try again after so many failures."""
        beyond = failures - self.free
        # Beyond thirty doublings every patience is at its longest.
        return min(self.longest_seconds, self.first_seconds << min(beyond, 30)) if beyond >= 0 else 0


def new_secret() -> str:
    """A client's secret, with as much chance in it as its digest is long."""
    return secrets.token_urlsafe(32)


def first_password() -> str:
    """A password to be read from paper once: sixteen signs in four groups."""
    signs = [secrets.choice(READABLE) for _ in range(16)]
    return "-".join("".join(signs[at : at + 4]) for at in range(0, 16, 4))


def password_faults(password: str, username: str, place: str) -> list[FieldError]:
    """What is wrong with a new password: too short, the user's name, all the same signs, or everybody's."""
    plain, name = "".join(password.casefold().split()), username.casefold()
    faults = []
    if len(password) < SHORTEST_PASSWORD:
        faults.append(FieldError(place, "password_too_short", f"密码至少 {SHORTEST_PASSWORD} 个字符。"))
    if len(password) > LONGEST_PASSWORD:
        faults.append(FieldError(place, "password_too_long", f"密码至多 {LONGEST_PASSWORD} 个字符。"))
    if name in plain or name[::-1] in plain:
        faults.append(FieldError(place, "password_like_username", "密码不能包含用户名。"))
    if plain in COMMONEST or len(set(plain)) < FEWEST_DIFFERENT:
        faults.append(FieldError(place, "password_common", "密码过于常见或简单，请换一个。"))
    return faults


def same_as_before(place: str) -> list[FieldError]:
    """A new password must be one."""
    return [FieldError(place, "password_unchanged", "新密码不能与原密码相同。")]


def binding_faults(roles: list[str], bound: dict[str, str | None], county_code: str) -> list[FieldError]:
    """What an account lacks for its roles, or has of another county."""
    needed = {name for role in roles for name in BINDINGS.get(role, ())}
    faults = [
        FieldError(f"/{name}", "binding_missing", "该角色必须绑定此项。")
        for name in sorted(needed)
        if not bound.get(name)
    ]
    if len(set(roles)) > 1 and not set(ALONE).isdisjoint(roles):
        faults.append(FieldError("/roles", "role_must_stand_alone", "系统管理员、审计员不得兼任其他角色。"))
    for name, code in (("township_code", "township_outside_county"), ("village_code", "village_outside_county")):
        if (bound.get(name) or county_code)[:6] != county_code:
            faults.append(FieldError(f"/{name}", code, "代码不属于本县。"))
    return faults


def read_public_key(pem: str) -> tuple[str, str, str] | None:
    """A public key's id, algorithm and plain form; None for what is no key of a kind we take, or too weak."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, Ed25519PublicKey):
        algorithm = "EdDSA"
    elif isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        algorithm = "ES256"
    elif isinstance(key, RSAPublicKey) and 2048 <= key.key_size <= 8192:
        algorithm = "RS256"
    else:
        return None
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    plain = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return sha256(raw).hexdigest()[:32], algorithm, plain


def digest(secret: str) -> str:
    """A plain hash, enough for a secret with as much chance in it as the hash is long."""
    return sha256(secret.encode()).hexdigest()


def same_secret(given: str, kept: str | None) -> bool:
    """Whether a client's secret is the kept one; takes as long when there is none."""
    same = hmac.compare_digest(digest(given), kept or NOBODYS_DIGEST)
    return same and kept is not None


def same_password(given: str, kept: str | None) -> bool:
    """Whether a password is the kept one; takes as long when there is none. Some 20 ms: never on the event loop."""
    try:
        HASHER.verify(kept or NOBODYS_HASH, given)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None
