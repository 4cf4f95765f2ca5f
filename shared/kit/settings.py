"""What every service reads from its environment.

Any setting may also be given as ``NAME_FILE``, the path of a file that holds it, so that a secret never stands in
an environment dump or on a command line. Secrets have no default.
"""

import os
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.kit.outside import OutsideIssuer, outside_issuer


def read_files(prefix: str, names: list[str]) -> dict[str, Any]:
    """The settings given as ``PREFIX_NAME_FILE`` or ``NAME_FILE``."""
    found: dict[str, Any] = {}
    for name in names:
        for variable in (f"{prefix}{name}_FILE".upper(), f"{name}_FILE".upper()):
            if path := os.environ.get(variable):
                found[name] = Path(path).read_text(encoding="utf-8").strip()
                break
    return found


class OutsideSettings(BaseSettings):
    """An outside OIDC issuer whose tokens are taken beside our own (`shared.kit.outside`); empty: none."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    token_outside_issuer: str = Field(default="", validation_alias="TOKEN_OUTSIDE_ISSUER")
    token_outside_audience: str = Field(default="", validation_alias="TOKEN_OUTSIDE_AUDIENCE")
    token_outside_claims: str = Field(default="", validation_alias="TOKEN_OUTSIDE_CLAIMS")
    token_outside_jwks_url: str = Field(default="", validation_alias="TOKEN_OUTSIDE_JWKS_URL")
    token_outside_discovery_url: str = Field(default="", validation_alias="TOKEN_OUTSIDE_DISCOVERY_URL")

    def outside(self) -> OutsideIssuer | None:
        """The outside issuer whose tokens are taken too."""
        return outside_issuer(
            self.token_outside_issuer,
            self.token_outside_audience,
            self.token_outside_claims,
            self.token_outside_jwks_url,
            self.token_outside_discovery_url,
        )


class ServiceSettings(OutsideSettings):
    """Settings all three services share; each service subclasses it with its own prefix."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    database_url: str
    database_pool: int = Field(default=8, ge=2, le=100)
    nats_url: str = Field(validation_alias="NATS_URL")
    nats_stream_replicas: int = Field(default=1, ge=1, le=5, validation_alias="NATS_STREAM_REPLICAS")
    data_keys: str = Field(validation_alias="DATA_KEYS")
    # Given as a file, the keys are looked at again while the service runs.
    data_keys_file: Path | None = Field(default=None, validation_alias="DATA_KEYS_FILE")
    token_jwks_url: str = Field(validation_alias="TOKEN_JWKS_URL")
    token_issuer: str = Field(default="three-batches", validation_alias="TOKEN_ISSUER")
    # Relay and consumers run inside the service unless a deployment runs them alone (`shared.kit.alone`).
    run_worker: bool = True

    @classmethod
    def load(cls) -> "ServiceSettings":
        """Read the environment; a missing setting is named in the error."""
        prefix = str(cls.model_config.get("env_prefix", ""))
        return cls(**read_files(prefix, list(cls.model_fields)))
