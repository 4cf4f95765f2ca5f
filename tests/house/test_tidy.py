"""The house rules. What they look for: `tidy`, `layout`, `collection`; that they can fail: `test_tidy_fails`."""

import importlib
import inspect
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.house import collection, layout, tidy
from tests.house.clauses import ROOT, Claims
from tests.house.sources import File, at, committed, python_files

SERVICES = ("services/contract-service/", "services/treatment-service/", "services/safety-net-service/")
OURS = ("shared/", "gateway/", "deploy/", *SERVICES)
Check = Callable[[File], Iterator[str]]


def no_complaints(complaints: Iterable[str], *, looked_at: int, at_least: int) -> None:
    """Fail with every complaint on a line of its own, or when there was less to look at than there must be."""
    found = list(complaints)
    assert not found, f"{len(found)} found:\n" + "\n".join(found)
    assert looked_at >= at_least, f"only {looked_at} were looked at, there must be {at_least}: a rule that sees nothing"


def each(check: Check, files: Iterable[File]) -> Iterator[str]:
    """The complaints of one check over many files."""
    for file in files:
        yield from check(file)


def hand_written() -> list[File]:
    """The Python that people write; a migration is a record."""
    return [file for file in python_files() if not file.migration]


def paths() -> list[str]:
    """The path of every committed file."""
    return [file.path for file in committed()]


# --- size and shape ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [tidy.long_functions, tidy.long_file])
def test_functions_have_at_most_70_lines_and_files_at_most_400(check: Check) -> None:
    files = hand_written()
    no_complaints(each(check, files), looked_at=len(files), at_least=90)


def test_a_capability_holds_only_the_known_names() -> None:
    found = layout.capabilities(paths())
    no_complaints(layout.strange_files(paths()), looked_at=sum(map(len, found.values())), at_least=8)
    assert set(found) == {"contract_service", "treatment_service", "safety_net_service"}


def test_every_folder_says_what_it_holds() -> None:
    files = [file for file in at(python_files(), *OURS) if file.name == "__init__.py"]
    no_complaints(layout.nameless_folders(files), looked_at=len(files), at_least=25)


@pytest.mark.parametrize("folder", ["deploy", "shared/kit"])
def test_a_long_folder_has_a_map(folder: str) -> None:
    files = at(python_files(), f"{folder}/")
    no_complaints(layout.off_the_map(files, folder), looked_at=len(files), at_least=30)


def test_services_share_words_plumbing_and_the_bill() -> None:
    shared = [path for path in paths() if path.startswith("shared/") and path != "shared/__init__.py"]
    assert {path.split("/")[1] for path in shared} == {"events", "bills", "kit"}


def test_every_capability_is_under_an_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    no_complaints(layout.outside_contracts(paths(), contracts), looked_at=len(contracts), at_least=4)


def test_no_modules_import_each_other() -> None:
    files = at(python_files(), *OURS, "tests/")
    no_complaints(layout.circles(files), looked_at=len(files), at_least=300)


# --- money, transactions, sessions -------------------------------------------------------------------------------


def test_only_the_kit_ends_a_transaction() -> None:
    files = [file for file in python_files() if file.path != "shared/kit/database.py"]
    no_complaints(each(tidy.commits, files), looked_at=len(files), at_least=90)


def test_no_float_in_models_rules_events_and_money() -> None:
    wanted = [
        file
        for file in hand_written()
        if file.path.startswith(("shared/bills/", "shared/events/", "shared/kit/money"))
        or (file.path.startswith("services/") and ("/rules" in file.path or file.name == "models.py"))
    ]
    no_complaints(each(tidy.floats, wanted), looked_at=len(wanted), at_least=12)


def test_no_sql_changes_a_whole_session() -> None:
    files = at(python_files(), *OURS)
    no_complaints(each(tidy.session_state, files), looked_at=len(files), at_least=60)


# --- words -------------------------------------------------------------------------------------------------------


def test_nothing_is_left_unfinished() -> None:
    files = [file for file in committed() if not file.path.endswith(".lock")]
    no_complaints(each(tidy.unfinished, files), looked_at=len(files), at_least=120)


def test_nothing_is_printed() -> None:
    files = python_files()
    no_complaints(each(tidy.prints, files), looked_at=len(files), at_least=90)


def test_locks_hold_no_address() -> None:
    locks = committed(".lock")
    no_complaints(each(tidy.addresses_in_lock, locks), looked_at=len(locks), at_least=2)


def test_no_registry_is_named() -> None:
    """Neither a known one nor the one this machine fetches from."""
    settings = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")
    here = (urlsplit(word).hostname for name in settings for word in os.environ.get(name, "").split())
    hosts = tuple(host for host in here if host and "." in host)
    files = committed()
    complaints = each(lambda file: tidy.registry_hosts(file, hosts), files)
    no_complaints(complaints, looked_at=len(files), at_least=120)


def test_no_path_of_one_machine() -> None:
    files = committed()
    no_complaints(each(tidy.machine_paths, files), looked_at=len(files), at_least=120)


def test_every_page_that_is_named_is_here() -> None:
    pages = {file.path for file in committed(".md")}
    named = committed(".py", ".md", ".yaml", ".yml", ".toml", ".in", ".json", "Makefile", ".ini", ".mako")
    files = [file for file in named if file.name != "test_tidy_fails.py"]  # it names pages that are not
    complaints = each(lambda file: tidy.lost_references(file, pages), files)
    no_complaints(complaints, looked_at=len(pages), at_least=12)


# --- tests -------------------------------------------------------------------------------------------------------


def test_no_test_hides_from_pytest() -> None:
    files = at(python_files(), "tests/")
    no_complaints(each(collection.hidden_tests, files), looked_at=len(files), at_least=30)


def test_every_test_that_is_written_is_collected(collected: Claims) -> None:
    run = {test.split("[")[0] for test in collected.tests}
    written = [name for file in at(python_files(), "tests/") for name in collection.names_of_tests(file)]
    missing = (f"{name}: written, not collected" for name in written if name not in run)
    no_complaints(missing, looked_at=len(written), at_least=200)


# --- databases and events ----------------------------------------------------------------------------------------


def test_alembic_sees_the_models_of_every_capability() -> None:
    files = python_files()
    models = [file for file in at(files, "services/") if file.name == "models.py"]
    no_complaints(layout.models_not_migrated(files), looked_at=len(models), at_least=6)


def test_every_migration_chain_has_one_head() -> None:
    found = layout.heads(python_files())
    several = (f"{service}: {len(heads)} heads: {heads}" for service, heads in found.items() if len(heads) != 1)
    no_complaints(several, looked_at=len(found), at_least=3)


def event_classes() -> list[tuple[str, type]]:
    """Every event with the service that says it."""
    found = []
    for file in at(python_files(), "shared/events/"):
        speaker = file.name.removesuffix(".py")
        module = importlib.import_module(f"shared.events.{speaker}") if speaker != "__init__" else None
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if module and kind.__module__ == module.__name__ and "subject" in vars(kind):
                found.append((speaker, kind))
    return found


def samples() -> list[dict[str, Any]]:
    """What was once said, as kept in tests/events/samples: envelopes."""
    found: list[dict[str, Any]] = []
    for file in at(committed(".json"), "tests/events/samples/"):
        content = json.loads(file.text)
        found += content if isinstance(content, list) else [content]
    return found


def test_every_event_has_a_version_a_sample_and_a_listener() -> None:
    wirings = {
        package: "\n".join(
            file.text for file in at(python_files(), "services/") if file.path.endswith(f"{package}/worker.py")
        )
        for package in layout.LISTENERS.values()
    }
    workers = {listener: wirings[package] for listener, package in layout.LISTENERS.items()}
    events, said = event_classes(), samples()
    complaints = (line for speaker, kind in events for line in layout.broken_event(kind, speaker, said, workers))
    no_complaints(complaints, looked_at=len(events), at_least=6)


def test_no_two_events_share_a_subject() -> None:
    subjects = [str(vars(kind)["subject"]) for _, kind in event_classes()]
    assert len(subjects) == len(set(subjects)), sorted(subjects)
