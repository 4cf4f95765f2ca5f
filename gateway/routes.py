"""Which path belongs to which service, who may come without a token, and how much may be sent."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.errors import MalformedPath, NoSuchPath, UriTooLong

MIB = 1024 * 1024
SERVICES = ("contract", "treatment", "safety-net")
PATH_LIMIT = 4096
QUERY_LIMIT = 4096

# contract-service knows who works where, so it also issues the tokens.
EXACT = {
    "/oauth/token": "contract",
    "/oauth/revoke": "contract",
    "/oauth/password": "contract",
    "/oauth/totp": "contract",
    "/.well-known/jwks.json": "contract",
}

READING = frozenset({"GET", "HEAD"})
# Without a token, by method and path (the path itself and what lies below it); all else needs one. A house test
# compares this list with the routes that the services themselves call public.
PUBLIC = (
    ("POST", "/oauth/token"),
    ("POST", "/oauth/revoke"),
    ("POST", "/oauth/password"),
    ("POST", "/oauth/totp"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/safety-net/v1/policies"),
)
PUBLIC_PATHS = tuple({path for _, path in PUBLIC})

PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?")
ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
QUERY = re.compile(rb"[\x21-\x7e]*")


@dataclass(frozen=True)
class Limits:
    """How large a body may be, and whether it may take as long as a batch does."""

    body: int = MIB
    batch: bool = False


ORDINARY = Limits()
LIMITS = {"/treatment/v1/discharges/batch": Limits(16 * MIB, batch=True)}


def checked_path(raw: bytes, query: bytes) -> str:
    """The path as it came, once it is certain that a service reads it as we do; else `MalformedPath`.

    Nobody may climb out of a service's prefix by dot segments, empty segments, backslashes or their encoded forms.
    """
    if len(raw) > PATH_LIMIT or len(query) > QUERY_LIMIT:
        raise UriTooLong
    path = raw.decode("latin-1")
    if path != "/" and not PLAIN.fullmatch(path):
        _check_encoded(path)
    if not QUERY.fullmatch(query):
        raise MalformedPath
    return path


def _check_encoded(path: str) -> None:
    without = ENCODED.sub("x", path)
    if without == path or not PLAIN.fullmatch(without):
        raise MalformedPath
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in path.split("/")]
    except UnicodeDecodeError:
        raise MalformedPath from None
    for segment in segments:
        if segment in (".", "..") or any(character in "/\\" or ord(character) < 32 for character in segment):
            raise MalformedPath


def service_of(path: str) -> str:
    """The service that answers this path; `NoSuchPath` when none does."""
    if exact := EXACT.get(path):
        return exact
    _, _, rest = path.partition("/")
    service, _, rest = rest.partition("/")
    if service not in SERVICES or not rest.startswith("v1/") or len(rest) == 3:
        raise NoSuchPath
    return service


def is_public(method: str, path: str) -> bool:
    """Whether anyone may ask this without a token."""
    if not path.startswith(PUBLIC_PATHS):
        return False
    method = "GET" if method == "HEAD" else method
    return any(method == allowed and (path == public or path.startswith(public + "/")) for allowed, public in PUBLIC)
