"""An outside OIDC issuer whose tokens are taken beside our own, and what its words mean here: a mapping, as data.

``{"subject": "preferred_username",
   "roles": {"claim": "groups", "map": {"兜底办": ["safety_net_office"]}},
   "county_code": {"value": "450223"},
   "institution_code": {"claim": "org", "map": {"yy-01": "H45022300001"}}}``

What is not mapped is not taken: a role of the outside means nothing here unless the mapping says what.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

Where = Literal["county_code", "institution_code", "township_code", "village_code", "department", "name"]
PLACES: tuple[Where, ...] = (
    *("county_code", "institution_code", "township_code"),
    *("village_code", "department", "name"),
)
# Only what needs the issuer's private half: a shared secret, or none, is no signature of his.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RoleMapping(_Part):
    """Which of the outside's groups are which roles here."""

    claim: str
    map: dict[str, list[str]]

    def of(self, claims: dict[str, Any]) -> list[str]:
        """The roles a token's groups give."""
        found = _at(claims, self.claim)
        groups = found if isinstance(found, list) else str(found).split() if isinstance(found, str) else []
        return sorted({role for group in groups if isinstance(group, str) for role in self.map.get(group, ())})


class PlaceMapping(_Part):
    """To which county, institution or department somebody belongs: a fixed value, a claim, or a claim translated."""

    value: str | None = None
    claim: str | None = None
    map: dict[str, str] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "PlaceMapping":
        if (self.value is None) == (self.claim is None):
            raise ValueError("either value or claim")
        return self

    def of(self, claims: dict[str, Any]) -> str | None:
        """The place a token gives; None when it gives none that is known."""
        if self.claim is None:
            return self.value
        found = _at(claims, self.claim)
        if not isinstance(found, str) or not found:
            return None
        return found if self.map is None else self.map.get(found)


class ClaimMapping(_Part):
    """What an outside issuer's claims mean here."""

    subject: str = "sub"
    roles: RoleMapping
    county_code: PlaceMapping
    institution_code: PlaceMapping | None = None
    township_code: PlaceMapping | None = None
    village_code: PlaceMapping | None = None
    department: PlaceMapping | None = None
    name: PlaceMapping | None = None

    def claims(self, outside: dict[str, Any]) -> dict[str, Any] | None:
        """The claims of one of our own tokens that say the same; None when nobody is named."""
        subject = _at(outside, self.subject)
        if not isinstance(subject, str) or not 0 < len(subject) <= 100 or not subject.isprintable():
            return None
        mapped: dict[str, Any] = {"roles": self.roles.of(outside), "exp": outside["exp"], "iat": outside.get("iat")}
        # Never the name of a local account: keys, cursors and audit rows are kept by name.
        mapped["sub"] = f"outside:{subject}"
        for place in PLACES:
            mapping: PlaceMapping | None = getattr(self, place)
            if mapping is not None and (found := mapping.of(outside)) is not None:
                mapped[place] = found
        return mapped


class OutsideIssuer(_Part):
    """Whose tokens are taken beside our own."""

    issuer: Annotated[str, Field(min_length=8)]
    audience: Annotated[str, Field(min_length=1)]
    mapping: ClaimMapping
    jwks_url: str = ""
    discovery_url: str = ""

    @model_validator(mode="after")
    def _over_tls(self) -> "OutsideIssuer":
        for url in (self.issuer, self.jwks_url, self.discovery_url):
            parts = urlsplit(url)
            if url and parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("an outside issuer is asked over https")
        return self

    @property
    def discovery(self) -> str:
        """Where the issuer says where its keys are (OpenID Connect Discovery)."""
        return self.discovery_url or f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"


def outside_issuer(issuer: str, audience: str, mapping: str, jwks_url: str, discovery_url: str) -> OutsideIssuer | None:
    """The outside issuer of the settings; None when there is none."""
    if not issuer:
        return None
    read = ClaimMapping.model_validate_json(mapping)
    return OutsideIssuer(issuer=issuer, audience=audience, mapping=read, jwks_url=jwks_url, discovery_url=discovery_url)


def _at(claims: dict[str, Any], path: str) -> Any:
    """A claim, or one inside another: ``realm_access.roles``."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
