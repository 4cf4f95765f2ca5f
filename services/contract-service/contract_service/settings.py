"""Settings of contract-service: ``CONTRACT_…``."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the issuer of tokens needs beside what every service reads (`shared.kit.settings.ServiceSettings`).

    ``signing_keys``: ``{"current": kid, "keys": {kid: Ed25519 private key in PEM}, "signs_from": {kid: moment}}``;
    the public halves of all are published. Given as a file, it is looked at again while the service runs.
    ``bootstrap_accounts``: clients and users to keep up to date at start. ``token_endpoint``: its addresses, by
    commas, as machines write them into their assertions.
    """

    model_config = SettingsConfigDict(env_prefix="CONTRACT_", extra="ignore", populate_by_name=True)

    signing_keys: str
    signing_keys_file: Path | None = None
    token_endpoint: str = "http://127.0.0.1:8000/oauth/token"
    bootstrap_accounts: str | None = None
    # A machine asks again without effort; a person's token is renewed by the refresh token through a working day.
    machine_token_seconds: int = 600
    person_token_seconds: int = 900
    refresh_token_seconds: int = 12 * 3600
    # However often it is renewed, a sign-in lasts a working day.
    session_seconds: int = 12 * 3600
    # Failures that are free, for a person, for a machine at one address (nobody guesses its secret, but its operator
    # may try an old one for a while) and for an address; then locks of 30 s, doubling up to 15 min.
    account_free_failures: int = 10
    client_free_failures: int = 50
    address_free_failures: int = 100
    lock_seconds: int = 30
    longest_lock_seconds: int = 900

    def token_endpoints(self) -> list[str]:
        """The audiences an assertion may have."""
        return [each.strip() for each in self.token_endpoint.split(",") if each.strip()]
