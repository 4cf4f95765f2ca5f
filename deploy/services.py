"""The four processes of the product: how each is started and which settings it gets, and no others' secrets."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.processes import FRUGAL, Child
from deploy.settings import ROOT, SERVICES, Settings, Urls
from deploy.state import State

GRACEFUL_SECONDS = "5"
# Settings of the supervisor and of single services: they reach nobody by inheritance.
_OWN = ("DATABASE_URL", "SIGNING_KEYS", "BOOTSTRAP_ACCOUNTS", "DATA_KEYS")


def service_children(
    state: State,
    settings: Settings,
    urls: Mapping[str, Urls],
    nats_urls: Mapping[str, str],
    files: Mapping[str, Path],
) -> tuple[list[Child], Child]:
    """The three services and the gateway, not yet started. ``files``: data_keys, signing_keys, accounts."""
    ports = {name: state.port(name) for name in SERVICES}
    address = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    shared = inherited(os.environ)
    shared.setdefault("TOKEN_JWKS_URL", f"{address['contract']}/.well-known/jwks.json")
    services = []
    for service in SERVICES.values():
        environment = {
            **shared,
            **_brought_or(os.environ, "DATA_KEYS", files["data_keys"]),
            f"{service.prefix}_DATABASE_URL": urls[service.name].service_url,
            "NATS_URL": nats_urls[service.name],
        }
        if service.name == "contract":
            # Accounts and signing keys are contract-service's alone.
            environment |= _brought_or(os.environ, "CONTRACT_SIGNING_KEYS", files["signing_keys"])
            environment.setdefault("CONTRACT_TOKEN_ENDPOINT", f"{settings.gateway_url}/oauth/token")
            environment["CONTRACT_BOOTSTRAP_ACCOUNTS_FILE"] = str(files["accounts"])
        argv = [
            *uvicorn(f"{service.package}.main:app", "127.0.0.1", ports[service.name]),
            *("--http", "shared.kit.http:WholeAnswers"),
        ]
        services.append(_child(state, service.label, argv, environment))
    environment = {**shared, "GATEWAY_HOST": settings.gateway_host, "GATEWAY_PORT": str(settings.gateway_port)}
    for name, service in SERVICES.items():
        environment[f"GATEWAY_{service.prefix}_URL"] = address[name]
    # Endless or dawdling request heads are cut off, and nobody tells the gateway where a request came from but the
    # connection itself: behind a TLS entrance start it with --forwarded-allow-ips instead.
    argv = [
        *uvicorn("gateway.main:app", settings.gateway_host, settings.gateway_port),
        *("--http", "gateway.protocol:BoundedHttp"),
    ]
    return services, _child(state, "gateway", argv, environment)


def uvicorn(app: str, host: str, port: int) -> list[str]:
    """The command line of one process of ours."""
    return [
        *(sys.executable, "-m", "uvicorn", app, "--host", host, "--port", str(port)),
        *("--no-access-log", "--timeout-graceful-shutdown", GRACEFUL_SECONDS, "--log-level", "warning"),
        # Our own code reads where a request came from: the gateway tells the services.
        *("--no-proxy-headers", "--no-server-header"),
    ]


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What every process may see of the supervisor's own environment."""
    kept = {}
    for name, value in environment.items():
        plain = name.removesuffix("_FILE")
        if plain.endswith(_OWN) or plain == "NATS_URL":
            continue
        kept[name] = value
    # What is set on purpose stays as it is set.
    return {**FRUGAL, **kept, "PYTHONUNBUFFERED": "1"}


def address_of(child: Child) -> tuple[str, int]:
    """Where a process of ours can be reached from here."""
    host = child.argv[child.argv.index("--host") + 1]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(child.argv[child.argv.index("--port") + 1])


def _brought_or(environment: Mapping[str, str], name: str, file: Path) -> dict[str, str]:
    """Keys that were brought along, by value or by file; else the file of ours."""
    brought = {each: environment[each] for each in (name, f"{name}_FILE") if environment.get(each)}
    return brought or {f"{name}_FILE": str(file)}


def _child(state: State, name: str, argv: list[str], environment: dict[str, str]) -> Child:
    return Child(name, argv, state.logs / f"{name}.log", environment=environment, folder=ROOT)
