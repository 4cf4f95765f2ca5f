"""What the gateway reads from its environment; ``NAME_FILE`` may stand for any of them."""

from typing import Self

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from shared.kit.settings import OutsideSettings, read_files


class GatewaySettings(OutsideSettings):
    """Where the services are and how much is let through to them. The gateway holds no secret."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    contract_url: str
    treatment_url: str
    safety_net_url: str
    # Empty: contract-service, which issues the tokens, is asked.
    token_jwks_url: str = Field(default="", validation_alias=AliasChoices("TOKEN_JWKS_URL", "token_jwks_url"))
    token_issuer: str = Field(default="three-batches", validation_alias=AliasChoices("TOKEN_ISSUER", "token_issuer"))
    # Requests under way to one service at a time; a service that hangs takes no more than these.
    upstream_limit: int = Field(default=256, gt=0)
    # Of these, how many one client may take, or one address of those without a token: the others need theirs.
    client_limit: int = Field(default=64, gt=0)
    connect_seconds: float = Field(default=2.0, gt=0)
    # A hospital may wait 30 s for its settlement (`Prefer: wait=30`), and the settlement must still be written.
    answer_seconds: float = Field(default=40.0, gt=0)
    batch_seconds: float = Field(default=300.0, gt=0)
    # Requests a second, and how many at once: a county's hospitals together post less in an hour than one client may in
    # a second. Each process counts for itself: with n gateways divide by n.
    client_rate: float = Field(default=2000.0, gt=0)
    client_burst: int = Field(default=4000, gt=0)
    # All that comes from one address, perhaps of several hospitals behind one entrance.
    address_rate: float = Field(default=4000.0, gt=0)
    address_burst: int = Field(default=8000, gt=0)
    # Of these, what asks for tokens: each checked password costs 20 ms of a core.
    sign_in_rate: float = Field(default=50.0, gt=0)
    sign_in_burst: int = Field(default=500, gt=0)
    # How long a client may pause inside its own body.
    client_seconds: float = Field(default=20.0, gt=0)

    @classmethod
    def load(cls) -> Self:
        """Read the environment; a missing setting is named in the error."""
        return cls(**read_files("GATEWAY_", list(cls.model_fields)))

    def upstreams(self) -> dict[str, str]:
        """The address of each service by its name in paths."""
        named = {
            "contract": self.contract_url,
            "treatment": self.treatment_url,
            "safety-net": self.safety_net_url,
        }
        return {name: url.rstrip("/") for name, url in named.items()}

    def jwks_url(self) -> str:
        """Where the public keys of the tokens are."""
        return self.token_jwks_url or f"{self.contract_url.rstrip('/')}/.well-known/jwks.json"
