"""Settings of safety-net-service: ``SAFETY_NET_…``."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """See `shared.kit.settings.ServiceSettings`.

    ``patient_wait_seconds``: how long a bill waits for the registration of its patient or its institution before it
    is judged without. ``policies_folder``: the counties' packs, when not those that come with the service.
    """

    model_config = SettingsConfigDict(env_prefix="SAFETY_NET_", extra="ignore", populate_by_name=True)

    patient_wait_seconds: float = Field(default=2, ge=0, le=3600)
    policies_folder: Path | None = None
