"""A backup is whole or there is none, and private; a restore changes nothing before it is sure."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy import backup, restore
from deploy.backup import administered, database_url
from deploy.backup_folder import write_sums
from deploy.console import Unusable
from deploy.databases import create_database, migrate
from deploy.secrets import Secrets
from deploy.settings import ROOT, SERVICES, Urls
from deploy.state import State
from shared.kit import clock
from tests.conftest import Starter
from tests.deploy.conftest import empty_folder

WRITTEN = (
    "insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address) "
    "select '450223', 'somebody', '', 'read', 'thing', n::text, '{}', '-', '' from generate_series(1, 5) n",
    "insert into outbox (event_id, subject, payload) select gen_random_uuid(), 'bells.rang.v1', 'x' "
    "from generate_series(1, 7)",
)
NAMES = "select datname from pg_database order by 1"


class House:
    """A state folder with three migrated databases and nothing that runs."""

    def __init__(self, place: Path) -> None:
        self.place, self.state = place, State(place / "data")

    def ask(self, *queries: str, database: str = "postgres") -> list[list[Any]]:
        """As the administrator: the first column of each answer."""

        async def go(admin_url: str) -> list[list[Any]]:
            admin = await asyncpg.connect(database_url(admin_url, database))
            try:
                return [[row[0] for row in await admin.fetch(query)] for query in queries]
            finally:
                await admin.close()

        self.state.take()
        try:
            with administered(self.state, Secrets(self.state), running=False) as admin_url:
                return asyncio.run(go(admin_url))
        finally:
            self.state.leave()

    def make(self) -> None:
        async def go(admin_url: str, secrets: Secrets) -> None:
            for name in SERVICES:
                urls = await create_database(admin_url, name, password=secrets.password)
                await migrate(name, urls.owner_url, urls.service_role)
                worker = await asyncpg.connect(urls.service_url)
                async with worker.transaction():
                    await worker.execute("select set_config('app.service', 'on', true)")
                    for statement in WRITTEN:
                        await worker.execute(statement)
                await worker.close()

        self.state.take()
        secrets = Secrets(self.state)
        secrets.ensure()
        with administered(self.state, secrets, running=False) as admin_url:
            asyncio.run(go(admin_url, secrets))
        self.state.leave()


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[House, Path]]:
    """A house, and a backup of it."""
    with empty_folder() as place:
        house = House(place)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("THREE_BATCHES_DATA", str(house.state.folder))
            house.make()
            assert backup.main(["--folder", str(place / "backup")]) == 0
        yield house, place / "backup"


@pytest.fixture
def house(made: tuple[House, Path], monkeypatch: pytest.MonkeyPatch) -> House:
    """The house of `made`, its commands pointed at it."""
    monkeypatch.setenv("THREE_BATCHES_DATA", str(made[0].state.folder))
    return made[0]


@pytest.fixture
def saved(made: tuple[House, Path], tmp_path: Path) -> Path:
    """A copy of the backup, to be damaged."""
    return Path(shutil.copytree(made[1], tmp_path / "backup"))


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What was printed since the last look."""
    return lambda: capsys.readouterr().out


def test_a_backup_is_private_counted_and_can_be_checked_by_hand(house: House, saved: Path) -> None:
    for path in (saved, *saved.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert {path.name for path in saved.iterdir()} == {
        *(f"{name}.dump" for name in SERVICES),
        *("SHA256SUMS", "manifest.json", "secrets"),
    }
    for folder in (saved, saved / "secrets"):
        subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    manifest = json.loads((saved / "manifest.json").read_text(encoding="utf-8"))
    for service in manifest["services"].values():
        assert (service["rows"]["audit"], service["rows"]["outbox"]) == (5, 7)
    word = json.loads((house.state.secrets / "passwords.json").read_text(encoding="utf-8"))["postgres"]
    assert word not in (saved / "manifest.json").read_text(encoding="utf-8")
    assert json.loads((saved / "secrets" / "data-keys.json").read_bytes())["keys"]


@pytest.mark.usefixtures("house")
def test_a_backup_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: str, __: str, *arguments: str, output: Any) -> None:
        output.write(b"PGDMP")
        if "--dbname=contract" in arguments:
            raise Unusable("pg_dump failed: the disk is full")

    monkeypatch.setattr(backup, "run_tool", half)
    assert backup.main(["--folder", str(tmp_path / "backups" / "one")]) == 1
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.usefixtures("house")
def test_a_backup_is_never_written_over_another(saved: Path, said: Said) -> None:
    assert backup.main(["--folder", str(saved)]) == 1
    assert "is there already" in said()


def flip(path: Path) -> None:
    """One bit of a file is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda place: flip(place / "safety_net.dump"), "safety_net.dump is not what was written"),
        (lambda place: flip(place / "manifest.json"), "manifest.json is not what was written"),
        (lambda place: flip(place / "secrets" / "data-keys.json"), "data-keys.json is not what was written"),
        (lambda place: (place / "contract.dump").unlink(), "contract.dump is not there"),
        (lambda place: (place / "SHA256SUMS").unlink(), "SHA256SUMS can't be read"),
        (lambda place: write_again(place, lambda manifest: manifest.pop("services")), "the manifest is damaged"),
        (lambda place: write_again(place, lambda manifest: manifest.update(format=2)), "not one this program reads"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    house: House, saved: Path, said: Said, damage: Callable[[Path], None], told: str
) -> None:
    damage(saved)
    before = house.state.folder.stat().st_mtime_ns
    assert restore.main([str(saved)]) == 1
    assert told in said()
    assert house.state.folder.stat().st_mtime_ns == before


def write_again(place: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A manifest that says something else, with the checksums that go with it."""
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    names = [line.partition("  ")[2] for line in (place / "SHA256SUMS").read_text().splitlines()]
    change(manifest)
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (place / "SHA256SUMS").unlink()
    write_sums(place, names)


def test_rows_that_do_not_arrive_are_counted_and_nothing_is_changed(house: House, saved: Path, said: Said) -> None:
    write_again(saved, lambda manifest: manifest["services"]["contract"]["rows"].update(outbox=8))
    before = house.ask(NAMES)
    assert restore.main([str(saved), "--service", "contract"]) == 1
    assert "contract: outbox has 7 rows after the restore, the backup had 8; nothing was changed" in said()
    assert set(house.ask(NAMES)[0]) - set(before[0]) <= {"contract_restoring"}
    assert house.ask("select count(*) from outbox", database="contract") == [[7]]


def test_a_running_system_is_not_restored(house: House, saved: Path, said: Said) -> None:
    house.state.take()
    try:
        assert restore.main([str(saved)]) == 1
        assert "stop it first" in said()
    finally:
        house.state.leave()


def test_another_houses_keys_are_refused(saved: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    with empty_folder() as place:
        other = State(place / "data")
        monkeypatch.setenv("THREE_BATCHES_DATA", str(other.folder))
        other.take()
        Secrets(other).ensure()
        other.leave()
        assert restore.main([str(saved)]) == 1
        assert "it is of another house" in said()


def test_keys_that_were_given_up_since_come_back_beside_todays(house: House, saved: Path) -> None:
    """Text sealed with a key that has left the ring can be opened again; today's key goes on sealing."""
    file = house.state.secrets / "data-keys.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    word = next(iter(whole["keys"].values()))
    theirs = {"current": "k0", "digest": whole["digest"], "keys": {**whole["keys"], "k0": word}}
    (saved / "secrets" / "data-keys.json").write_text(json.dumps(theirs), encoding="utf-8")
    Secrets(house.state).adopt(saved / "secrets")
    adopted = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(whole), encoding="utf-8")
    assert adopted == {**whole, "keys": theirs["keys"]}


@pytest.mark.usefixtures("house")
def test_one_service_of_an_old_backup_is_not_put_beside_newer_ones(saved: Path, said: Said) -> None:
    long_ago = clock.rfc3339(clock.now() - timedelta(days=36))
    write_again(saved, lambda manifest: manifest.update(made_at=long_ago))
    assert restore.main([str(saved), "--service", "treatment"]) == 1
    assert "36 days old" in said()


def test_numbers_and_epochs_of_a_life_that_was_put_aside_are_not_given_again(
    house: House, saved: Path, said: Said
) -> None:
    """The same backup twice: what was numbered between the two restores may stand on paper."""
    written = f"{WRITTEN[0]} returning seq", f"{WRITTEN[1]} returning seq"
    epoch = "select epoch from audit_epochs order by epoch"
    given: list[set[int]] = []
    for _ in range(2):
        assert restore.main([str(saved), "--service", "treatment"]) == 0, said()
        audit, outbox, epochs = house.ask(*written, epoch, database="treatment")
        given += [{*audit}, {*outbox}]
    assert epochs == [1, 3]
    assert min(given[2]) > max(given[0]) + 900_000
    assert min(given[3]) > max(given[1]) + 900_000
    assert min(given[0]) > 1_000_000
    told = said()
    assert "treatment: its audit trail goes on in epoch 2" in told
    assert "treatment: its audit trail goes on in epoch 3" in told


def test_what_was_put_aside_is_removed_by_name_and_nothing_else_is(house: House, saved: Path, said: Said) -> None:
    assert restore.main([str(saved), "--service", "contract"]) == 0
    (aside,) = [name for name in house.ask(NAMES)[0] if name.startswith("contract_before_")]
    assert f"make restore REMOVE={aside}" in said()
    assert house.ask("select count(*) from audit", database=aside) == [[5]]
    assert restore.main(["--remove", "contract"]) == 1
    assert restore.main(["--remove", aside]) == 0
    there = house.ask(NAMES)[0]
    assert aside not in there
    assert "contract" in there


async def test_databases_of_ones_own_go_through_the_same_after_their_own_restore(
    starter: Starter, tmp_path: Path
) -> None:
    """`python -m deploy.restored`, as it is run after pg_restore or pgBackRest."""
    urls: dict[str, Urls] = {name: await starter.database(name) for name in SERVICES}
    environment = {f"{SERVICES[name].prefix}_DATABASE_URL": each.service_url for name, each in urls.items()}
    environment |= {f"{SERVICES[name].prefix}_OWNER_DATABASE_URL": each.owner_url for name, each in urls.items()}
    command = [sys.executable, "-m", "deploy.restored", "safety-net,treatment", "--note", "pgBackRest"]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env={**os.environ, **environment, "DATA_KEYS": starter.issuer.data_keys, "THREE_BATCHES_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing that others know was lost" in done.stdout
    for name, epochs in {"contract": [1], "treatment": [1, 2], "safety_net": [1, 2]}.items():
        owner = await asyncpg.connect(urls[name].owner_url)
        assert [row[0] for row in await owner.fetch("select epoch from audit_epochs order by 1")] == epochs
        raised = await owner.fetchval("select last_value from pg_sequences where sequencename = 'outbox_seq_seq'")
        assert (raised or 0) >= (1_000_000 if len(epochs) > 1 else 0)
        await owner.close()
