"""What `make run` reads from its environment, checked before anything starts."""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from deploy.console import Unusable

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Service:
    """One of the three services: where it lies and how its settings begin."""

    name: str
    folder: str
    package: str

    @property
    def prefix(self) -> str:
        """How the names of its settings begin: ``SAFETY_NET``."""
        return self.name.upper()

    @property
    def label(self) -> str:
        """Its name on the console and in paths of the gateway: ``safety-net``."""
        return self.name.replace("_", "-")


SERVICES = {
    service.name: service
    for service in (
        Service("contract", "contract-service", "contract_service"),
        Service("treatment", "treatment-service", "treatment_service"),
        Service("safety_net", "safety-net-service", "safety_net_service"),
    )
}


@dataclass(frozen=True)
class Urls:
    """A service's two ways into its database: the owner migrates, the service role works."""

    owner_url: str
    service_url: str
    service_role: str


@dataclass(frozen=True)
class Settings:
    """Where things lie and which engines are brought along instead of the embedded ones."""

    data: Path
    gateway_host: str
    gateway_port: int
    demo: bool
    database_urls: Mapping[str, Urls]
    nats_url: str | None

    @property
    def gateway_url(self) -> str:
        """The gateway as a program on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.gateway_host, self.gateway_host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.gateway_port}"


def value(environment: Mapping[str, str], name: str) -> str | None:
    """A setting, from ``NAME`` or from the file that ``NAME_FILE`` names; None when neither says anything."""
    if said := environment.get(name, "").strip():
        return said
    if path := environment.get(f"{name}_FILE", "").strip():
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{name}_FILE: {path} can't be read ({_why(error)})") from None
    return None


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings, or `Unusable` with the one that is wrong."""
    given = os.environ if environment is None else environment
    data = Path(given.get("THREE_BATCHES_DATA", "").strip() or ROOT / ".data").expanduser()
    databases = {}
    for service in SERVICES.values():
        if urls := _database(given, service):
            databases[service.name] = urls
    return Settings(
        data=Path(os.path.abspath(data)),
        gateway_host=value(given, "GATEWAY_HOST") or "127.0.0.1",
        gateway_port=_port(value(given, "GATEWAY_PORT") or "8000"),
        demo=_yes(value(given, "THREE_BATCHES_DEMO") or "yes", "THREE_BATCHES_DEMO"),
        database_urls=databases,
        nats_url=_nats(value(given, "NATS_URL")),
    )


def check_services(settings: Settings, environment: Mapping[str, str] | None = None) -> None:
    """See that each service could read what is set for it; `Unusable` names the setting that is wrong."""
    given = os.environ if environment is None else environment
    for service in SERVICES.values():
        kind = importlib.import_module(f"{service.package}.settings").Settings
        for field_name, field in kind.model_fields.items():
            name = field.validation_alias or f"{service.prefix}_{field_name.upper()}"
            said = value(given, name)
            if said is None:
                continue
            try:
                kind.__pydantic_validator__.validate_assignment(kind.model_construct(), field_name, said)
            except ValidationError as error:
                raise Unusable(f"{name}: {error.errors()[0]['msg']}") from None
    replicas = value(given, "NATS_STREAM_REPLICAS") or "1"
    if settings.nats_url is None and int(replicas) > 1:
        raise Unusable(
            f"NATS_STREAM_REPLICAS={replicas} needs a cluster: set NATS_URL, the embedded NATS is one server"
        )


def _database(given: Mapping[str, str], service: Service) -> Urls | None:
    name, owner_name = f"{service.prefix}_DATABASE_URL", f"{service.prefix}_OWNER_DATABASE_URL"
    url, owner = value(given, name), value(given, owner_name)
    if url is None:
        if owner is not None:
            raise Unusable(f"{owner_name} is set without {name}: set both, or neither for the embedded PostgreSQL")
        return None
    service_url = plain_url(url, name)
    owner_url = plain_url(owner, owner_name) if owner else service_url
    return Urls(owner_url=owner_url, service_url=service_url, service_role="")


def plain_url(url: str, name: str) -> str:
    """A PostgreSQL address as asyncpg reads it; the address itself is never repeated, as it holds a password."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise Unusable(f"{name} must begin with postgresql:// (postgresql://role:password@host:5432/database)")
    if "/" not in rest or not rest.split("@")[-1].partition("/")[2].partition("?")[0]:
        raise Unusable(f"{name} names no database (postgresql://role:password@host:5432/database)")
    return f"postgresql://{rest}"


def _nats(url: str | None) -> str | None:
    if url is not None and not all(part.strip().startswith(("nats://", "tls://")) for part in url.split(",")):
        raise Unusable("NATS_URL must begin with nats:// or tls:// (a list is separated by commas)")
    return url


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise Unusable(f"GATEWAY_PORT must be a number from 1 to 65535, not {text!r}")


def _yes(text: str, name: str) -> bool:
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in known:
        raise Unusable(f"{name} must be yes or no, not {text!r}")
    return known[text.lower()]


def _why(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not UTF-8 text"
