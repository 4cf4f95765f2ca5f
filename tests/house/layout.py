"""House rules that look at the whole tree: capabilities, kit, migrations, import contracts, events."""

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.house.sources import File

CAPABILITY = {"__init__", "endpoints", "consumers", "schemas", "service", "rules", "repository", "models"}
# A folder of its own inside a capability: rules too many for one file, and adapters to outside formats.
PACKAGES = {"rules", "formats"}
CAPABILITY_PATH = re.compile(r"services/(?P<service>[a-z-]+)/(?P<package>[a-z_]+)/(?P<capability>[a-z_]+)/(?P<rest>.+)")

# To enter the kit a file is used unchanged by all and holds no domain noun. This list is the door.
KIT = {
    "__init__", "audit", "bus", "caller", "clock", "combiner", "cursors", "database", "direct", "events", "fields",
    "idempotency", "identity_number", "inbox", "log", "migrations", "money", "operations", "outbox", "outside",
    "policy", "problems", "reconciliation", "refusals", "scope", "seal_chain", "sealer", "sealing", "service",
    "settings", "strict_json", "tokens", "trail", "typeset", "verification", "waits", "workdays", "worker",
}  # fmt: skip

SUBJECT = re.compile(r"(contract|treatment|safety_net)\.[a-z][a-z_]*\.v[1-9][0-9]*")
LISTENERS = {"contract": "contract_service", "treatment": "treatment_service", "safety_net": "safety_net_service"}


def strange_files(paths: Sequence[str]) -> Iterator[str]:
    """Python files in a capability's folder under a name that is not one of the house's."""
    for path in paths:
        found = CAPABILITY_PATH.fullmatch(path)
        if not found or found["package"] == "migrations" or not path.endswith(".py"):
            continue
        folder, _, name = found["rest"].rpartition("/")
        known = name.removesuffix(".py") in CAPABILITY if not folder else folder.split("/")[0] in PACKAGES
        if not known:
            names = ", ".join(sorted(CAPABILITY - {"__init__"}))
            yield f"{path}: a capability has {names}, and the packages rules and formats"


def strange_kit(paths: Sequence[str]) -> Iterator[str]:
    """Files in the kit that are not on the list."""
    for path in paths:
        name = path.removeprefix("shared/kit/").split("/")[0].removesuffix(".py")
        if path.startswith("shared/kit/") and path.endswith(".py") and name not in KIT:
            yield f"{path}: not on the kit's list; used unchanged by all, and without a domain noun?"


def capabilities(paths: Sequence[str]) -> dict[str, set[str]]:
    """Each service's capabilities that hold Python: ``{"treatment_service": {"discharges", …}}``."""
    found: dict[str, set[str]] = {}
    for path in paths:
        match = CAPABILITY_PATH.fullmatch(path)
        if match and match["package"] != "migrations" and path.endswith(".py"):
            found.setdefault(match["package"], set()).add(match["capability"])
    return found


def models_not_migrated(files: Sequence[File]) -> Iterator[str]:
    """Tables that Alembic does not see, and would think were dropped: models not imported by the service's env.py."""
    for file in files:
        found = CAPABILITY_PATH.fullmatch(file.path)
        if not found or found["rest"] != "models.py":
            continue
        module = f"{found['package']}.{found['capability']}.models"
        env = f"services/{found['service']}/migrations/env.py"
        if module not in _modules_named(next((f for f in files if f.path == env), None)):
            yield f"{env}: does not import {module}: Alembic would think its tables are gone"


def _modules_named(env: File | None) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(env.tree) if env else ():
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return named


def heads(files: Sequence[File]) -> dict[str, list[str]]:
    """Each service's newest migrations: one, unless two were written on the same ground."""
    chains: dict[str, tuple[set[str], set[str]]] = {}
    for file in files:
        found = re.fullmatch(r"services/([a-z-]+)/migrations/versions/[^/]+\.py", file.path)
        if not found or file.name == "__init__.py":
            continue
        here, below = chains.setdefault(found[1], (set(), set()))
        values = _assigned(file.tree)
        here.add(str(values["revision"]))
        down = values.get("down_revision")
        below |= set(down if isinstance(down, tuple) else [down]) - {None}
    return {service: sorted(here - below) for service, (here, below) in chains.items()}


def _assigned(tree: ast.Module) -> dict[str, Any]:
    """The constants a module assigns to plain names."""
    values: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value:
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                with contextlib.suppress(ValueError):
                    values[target.id] = ast.literal_eval(value)
    return values


def outside_contracts(paths: Sequence[str], contracts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Capabilities and rules that no import contract watches."""
    layered = {name for contract in contracts if contract["type"] == "layers" for name in contract["containers"]}
    pure = {name for contract in contracts if contract["type"] == "forbidden" for name in contract["source_modules"]}
    for package, names in capabilities(paths).items():
        for name in sorted(names):
            if f"{package}.{name}" not in layered:
                yield f"pyproject.toml: {package}.{name} is in no layers contract"
            folder = f"/{package}/{name}/rules"
            has_rules = any(f"{folder}.py" in path or f"{folder}/" in path for path in paths)
            if has_rules and f"{package}.{name}.rules" not in pure:
                yield f"pyproject.toml: {package}.{name}.rules may reach the database: no contract forbids it"


def broken_event(
    event: Any, speaker: str, samples: Sequence[Mapping[str, Any]], workers: Mapping[str, str]
) -> Iterator[str]:
    """What an event class lacks: a version in its subject, a sample of what was once said, a listener that listens.

    `samples` are the parsed files of tests/events/samples, `workers` each service's wiring (worker.py) as text.
    """
    name, subject = event.__name__, str(getattr(event, "subject", ""))
    if not SUBJECT.fullmatch(subject):
        yield f"{name}: {subject!r} is no subject with a version, such as treatment.discharge_billed.v1"
    elif subject.split(".")[0] != speaker:
        yield f"{name}: {subject} is said in the file of {speaker}"
    mine = [sample for sample in samples if sample.get("type") == subject]
    if not mine:
        yield f"{name}: no sample of {subject} in tests/events/samples"
    for listener in getattr(event, "heard_by", ()):
        if listener not in LISTENERS:
            yield f"{name}: {listener!r} is no service"
        elif not re.search(rf"\b{name}\b", workers.get(listener, "")):
            yield f"{name}: {listener} is said to hear it, but its worker.py does not"
    if not getattr(event, "heard_by", ()):
        yield f"{name}: nobody hears it"
