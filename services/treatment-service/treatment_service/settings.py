"""Settings of treatment-service: ``TREATMENT_…``."""

from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """See `shared.kit.settings.ServiceSettings`."""

    model_config = SettingsConfigDict(env_prefix="TREATMENT_", extra="ignore", populate_by_name=True)
