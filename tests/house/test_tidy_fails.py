"""Each house rule, shown a planted breach: a rule that cannot fail is no rule."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.house import collection, layout, tidy
from tests.house.sources import File
from tests.house.test_tidy import no_complaints

Check = Callable[[File], Iterator[str]]
WORD = "TO" + "DO"
SLASHES = ":" + "//"
RULES = "services/safety-net-service/safety_net_service/settlements/rules.py"


def said(check: Check, text: str, path: str = RULES) -> list[str]:
    """What a check says about a text."""
    return list(check(File(path, text)))


BREACHES: list[tuple[Check, str, str]] = [
    (tidy.long_functions, "def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
    (tidy.long_functions, "class A:\n    async def g(self):\n" + "        x = 1\n" * 80, "g has 81 lines"),
    (tidy.long_file, "x = 1\n" * 401, "401 lines"),
    (tidy.commits, "async def f(session):\n    await session.commit()\n", ":2: only shared/kit/database.py"),
    (tidy.floats, "ratio: float\n", "float"),
    (tidy.floats, "target = base * 0.9\n", "0.9"),
    (tidy.floats, "import sqlalchemy as sa\nc = sa.Column(sa.Float)\n", "Float"),
    (tidy.session_state, "q = \"select set_config('app.county', $1, false)\"\n", "set_config"),
    (tidy.session_state, "q = f\"select set_config('{name}', :v, FALSE)\"\n", "set_config"),
    (tidy.session_state, 'q = "SET lock_timeout = 5"\n', "SET without LOCAL"),
    (tidy.session_state, 'q = "set role owner"\n', "SET without LOCAL"),
    (tidy.session_state, 'q = f"select 1; set {name} to 5"\n', "SET without LOCAL"),
    (tidy.prints, "pri" + "nt('x')\n", "print is not used"),
    (tidy.unfinished, f"x = 1  # {WORD}: later\n", WORD),
    (tidy.addresses_in_lock, f"a==1 @ https{SLASHES}example.invalid/a.whl\n", "never an address"),
    (tidy.addresses_in_lock, "--index-url example.invalid\n", "never an address"),
    (tidy.registry_hosts, f"See {tidy.REGISTRIES[0]} for it.\n", "a registry's host"),
    (tidy.registry_hosts, f"https{SLASHES}{tidy.REGISTRIES[2]}/packages/x\n", "a registry's host"),
    (tidy.machine_paths, "open('/ro" + "ot/x')\n", "is a path of one machine"),
    (tidy.machine_paths, "cd /wo" + "rk/main\n", "is a path of one machine"),
    (collection.hidden_tests, "def test_it() -> None: ...\n", "not named test_"),
]


@pytest.mark.parametrize(("check", "text", "says"), BREACHES)
def test_a_breach_is_found(check: Check, text: str, says: str) -> None:
    found = said(check, text)
    assert found, f"not found in {text!r}"
    assert says in found[0]


KEPT: list[tuple[Check, str]] = [
    (tidy.long_functions, "def f():\n" + "    x = 1\n" * 69),
    (tidy.long_file, "x = 1\n" * 400),
    (tidy.commits, 'x = "session.commit() is not called here"\n'),
    (tidy.floats, "from decimal import Decimal\nratio = Decimal('0.9')\nfen = 90\n"),
    (tidy.session_state, "q = \"select set_config('app.county', $1, true)\"\n"),
    (tidy.session_state, "q = \"set local lock_timeout = '10s'\"\n"),
    (tidy.session_state, 'q = "update bills\\nset state = 1"\n'),
    (tidy.session_state, 'def f():\n    """Set the state to held."""\n'),
    (tidy.unfinished, "x = 1  # what is to do is in the issues\n"),
    (tidy.addresses_in_lock, "a==1 --hash=sha256:00\n"),
    (tidy.registry_hosts, "a registry of packages, pypi or another\n"),
    (tidy.machine_paths, "GET /contract/v1/residents, a/work/b, the home/ folder\n"),
]


@pytest.mark.parametrize(("check", "text"), KEPT)
def test_what_keeps_the_rule_is_left_alone(check: Check, text: str) -> None:
    assert said(check, text) == []


def test_the_machines_own_registry_is_found_too() -> None:
    assert list(tidy.registry_hosts(File("a.md", "from packages.county.invalid"), ("packages.county.invalid",)))


def test_a_page_that_is_not_here_is_found() -> None:
    pages = {"docs/decisions/0001-layout.md", "README.md"}
    text = "See README.md, ../decisions/0001-layout.md, docs/lost.md and 0001-….md."
    assert [line.split(": ")[1] for line in tidy.lost_references(File("a.py", text), pages)] == [
        "docs/lost.md is not a page of this repository"
    ]


TEST_FILE = """
def tset_one(): ...
def test_two():
    def test_inner(): ...
def test_three(): ...
def test_three(): ...
class TesAmounts:
    def test_four(self): ...
class TestAmounts:
    def __init__(self): ...
    def test_five(self): ...
class TestGood:
    def test_six(self): ...
async def test_seven(): ...
def rest_of(bill): ...
"""


def test_hidden_tests_are_found() -> None:
    found = said(collection.hidden_tests, TEST_FILE, "tests/rules/test_amounts.py")
    hidden = [line.split(": ", 1)[1].removeprefix("class ").split()[0] for line in found]
    assert hidden == ["tset_one", "test_inner", "test_three", "test_three", "TesAmounts", "test_four", "test_five"]


def test_the_tests_of_a_file_are_named_as_pytest_names_them() -> None:
    names = list(collection.names_of_tests(File("tests/a/test_b.py", TEST_FILE)))
    assert names[0] == "tests/a/test_b.py::test_two"
    assert names[-2:] == ["tests/a/test_b.py::TestGood::test_six", "tests/a/test_b.py::test_seven"]


FOLDER = "services/treatment-service/treatment_service"


def test_a_strange_file_in_a_capability_is_found() -> None:
    bad = [f"{FOLDER}/discharges/utils.py", f"{FOLDER}/discharges/helpers/a.py"]
    good = [f"{FOLDER}/discharges/rules/dates.py", f"{FOLDER}/discharges/service.py", f"{FOLDER}/main.py"]
    good += [f"{FOLDER}/discharges/450223/a.yaml", "services/treatment-service/migrations/versions/0001_first.py"]
    assert [line.split(":")[0] for line in layout.strange_files(bad + good)] == bad


def test_a_folder_that_says_nothing_is_found() -> None:
    silent, said = File(f"{FOLDER}/cases/__init__.py", ""), File(f"{FOLDER}/plans/__init__.py", '"""Plans (方案)."""\n')
    assert [line.split(":")[0] for line in layout.nameless_folders([silent, said])] == [silent.path]


def test_what_a_map_lacks_is_found() -> None:
    files = [File("deploy/__init__.py", '"""The run: `run`, `lost`."""\n'), File("deploy/run.py", "")]
    files += [File("deploy/demo/county.py", ""), File("deploy/demo/__init__.py", "")]
    found = list(layout.off_the_map(files, "deploy"))
    assert [line.split(": ")[1] for line in found] == [
        "does not say where demo belongs",
        "names lost, which is not there",
    ]


def test_a_circle_is_found() -> None:
    main = File(f"{FOLDER}/main.py", "from treatment_service.discharges import service\n")
    service = File(f"{FOLDER}/discharges/service.py", "import shared.kit.worker\n")
    worker = File("shared/kit/worker.py", "def f():\n    from treatment_service.main import app\n")
    before = File("deploy/run.py", "import treatment_service.main\n")
    after = File("shared/kit/clock.py", "import datetime\n")
    assert list(layout.circles([main, service, before, after])) == []
    found = list(layout.circles([before, main, service, worker, after]))
    assert {line.split(":")[0] for line in found} == {main.path, service.path, worker.path}


def test_models_that_alembic_does_not_see_are_found() -> None:
    models = [File(f"{FOLDER}/{name}/models.py", "") for name in ("discharges", "registry", "cases")]
    env = "from treatment_service.discharges import models\nimport treatment_service.registry.models\n"
    files = [*models, File("services/treatment-service/migrations/env.py", env)]
    assert len(list(layout.models_not_migrated(models))) == 3
    [found] = layout.models_not_migrated(files)
    assert "treatment_service.cases.models" in found


def test_two_heads_are_found() -> None:
    def migration(name: str, down: str) -> File:
        text = f'revision: str = "{name}"\ndown_revision: str | None = {down}\n'
        return File(f"services/treatment-service/migrations/versions/{name}.py", text)

    chain = [migration("0001", "None"), migration("0002", '"0001"')]
    assert layout.heads(chain) == {"treatment-service": ["0002"]}
    assert layout.heads([*chain, migration("0003", '"0001"')]) == {"treatment-service": ["0002", "0003"]}


def test_a_capability_without_a_contract_is_found() -> None:
    paths = [f"{FOLDER}/discharges/service.py", f"{FOLDER}/discharges/rules.py", f"{FOLDER}/cases/service.py"]
    contracts = [
        {"type": "layers", "containers": ["treatment_service.discharges"]},
        {"type": "forbidden", "source_modules": ["shared"]},
    ]
    found = list(layout.outside_contracts(paths, contracts))
    assert len(found) == 2
    assert "treatment_service.cases is in no layers" in found[0]
    assert "treatment_service.discharges.rules may reach the database" in found[1]


def test_what_an_event_lacks_is_found() -> None:
    workers = {"treatment": "Consumer(ResidentChanged, hear)"}
    sample = [{"type": "contract.resident_changed.v1"}]

    def event(name: str, **words: Any) -> Any:
        return SimpleNamespace(__name__=name, **words)

    good = event("ResidentChanged", subject="contract.resident_changed.v1", heard_by=("treatment",))
    assert list(layout.broken_event(good, "contract", sample, workers)) == []
    for bad, speaker, says in [
        (event("ResidentChanged", subject="contract.resident_changed", heard_by=("treatment",)), "contract", "version"),
        (good, "treatment", "is said in the file of treatment"),
        (
            event("ResidentChanged", subject="contract.resident_moved.v1", heard_by=("treatment",)),
            "contract",
            "no sample",
        ),
        (event("ResidentChanged", subject="contract.resident_changed.v1", heard_by=()), "contract", "nobody"),
        (event("ResidentChanged", subject="contract.resident_changed.v1", heard_by=("x",)), "contract", "no service"),
        (event("Resident", subject="contract.resident_changed.v1", heard_by=("treatment",)), "contract", "worker.py"),
    ]:
        assert any(says in line for line in layout.broken_event(bad, speaker, sample, workers)), says


def test_a_rule_that_sees_nothing_fails() -> None:
    with pytest.raises(AssertionError, match="a rule that sees nothing"):
        no_complaints([], looked_at=0, at_least=1)
    with pytest.raises(AssertionError, match=r"2 found:\n +a\n +b"):
        no_complaints(["a", "b"], looked_at=5, at_least=1)
