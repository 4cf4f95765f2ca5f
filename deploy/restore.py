"""`make restore`: databases out of a backup, on the stopped embedded system. Nothing is overwritten.

Each database is made anew under another name, filled, counted row by row against the manifest, and led into its next
life (`deploy.restored`); only then the names are changed, all in one transaction. What stood before is kept under a
dated name until `make restore REMOVE=…`.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from deploy.backup import administered, database_url, embedded_only, run_tool
from deploy.backup_folder import Backup, read_backup
from deploy.console import Unusable, command, console
from deploy.databases import connected, count_rows, create_database, migrate
from deploy.demo.load import MARKER
from deploy.restored import begin_again, forget_elsewhere, keyring_of, report, service_names
from deploy.secrets import Secrets
from deploy.settings import SERVICES, Urls, read_settings
from deploy.state import State, Taken
from shared.kit import clock
from shared.kit.worker import OUTBOX_DAYS

KEPT = "_before_"


async def restore(admin_url: str, state: State, secrets: Secrets, backup: Backup, names: Sequence[str]) -> str:
    """Restore these services' databases; what the person at the terminal must know."""
    stamp = f"{clock.now():%Y%m%d_%H%M%S_%f}"
    stand = await _standing(admin_url)
    urls = await _in_place(admin_url, secrets, [name for name in SERVICES if name in stand and name not in names])
    for name in names:
        with console.step(f"restoring {SERVICES[name].label}"):
            urls[name] = await _into_new(admin_url, secrets, backup, name)
    old = {name: database_url(admin_url, name) for name in names if name in stand}
    owners = {name: each.owner_url for name, each in urls.items()}
    lost = await begin_again(
        owners, names, keyring_of(secrets), f"restored from the backup of {backup.made_at}", kept=old
    )
    await _swap(admin_url, names, set(old), stamp)
    await forget_elsewhere({name: database_url(admin_url, name) for name in owners}, lost)
    kept = [f"  {name}{KEPT}{stamp}" for name in old]
    said = [report(lost, state.folder), f"\nrestored from the backup of {backup.made_at}: {', '.join(names)}"]
    if kept:
        said += [
            "what stood before is kept as",
            *kept,
            f"  (make restore REMOVE={kept[0].strip()} removes one for good)",
        ]
    said.append("\nnow: make run, make reconcile until nothing is missing, make verify-audit; pay nothing before")
    return "\n".join(said)


async def _standing(admin_url: str) -> set[str]:
    """The services' databases that are there and hold something."""
    async with connected(admin_url, "the embedded PostgreSQL") as admin:
        there = {row["datname"] for row in await admin.fetch("select datname from pg_database")}
    found = set()
    for name in SERVICES:
        if name in there:
            async with connected(database_url(admin_url, name), name) as database:
                if await database.fetchval("select to_regclass('alembic_version')") is not None:
                    found.add(name)
    return found


async def _in_place(admin_url: str, secrets: Secrets, names: Sequence[str]) -> dict[str, Urls]:
    return {name: await create_database(admin_url, name, password=secrets.password) for name in names}


async def _into_new(admin_url: str, secrets: Secrets, backup: Backup, name: str) -> Urls:
    """Fill a database of another name and see that every row is there."""
    new = _unfinished(name)
    async with connected(admin_url, "the embedded PostgreSQL") as admin:
        await admin.execute(f'DROP DATABASE IF EXISTS "{new}" WITH (FORCE)')
    urls = await create_database(admin_url, name, name=new, roles=name, password=secrets.password)
    await asyncio.to_thread(
        run_tool,
        admin_url,
        *("pg_restore", f"--dbname={new}", "--exit-on-error", "--single-transaction", str(backup.dump(name))),
    )
    async with connected(database_url(admin_url, new), new) as database:
        found, wanted = await count_rows(database), backup.rows(name)
        if found != wanted:
            table = next(each for each in sorted({*found, *wanted}) if found.get(each) != wanted.get(each))
            raise Unusable(
                f"{SERVICES[name].label}: {table} has {found.get(table, 'no')} rows after the restore, "
                f"the backup had {wanted.get(table, 'none')}; nothing was changed"
            )
        await database.execute("analyze")
    await migrate(name, urls.owner_url, urls.service_role)
    return urls


async def _swap(admin_url: str, names: Sequence[str], kept: set[str], stamp: str) -> None:
    """Change all names at once; from here on the restored databases are the services'."""
    async with connected(admin_url, "the embedded PostgreSQL") as admin, admin.transaction():
        for name in names:
            if name in kept:
                await admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}{KEPT}{stamp}"')
                await admin.execute(f'REVOKE CONNECT ON DATABASE "{name}{KEPT}{stamp}" FROM "{name}_service"')
            elif await admin.fetchval("select 1 from pg_database where datname = $1", name):
                await admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}{KEPT}{stamp}_empty"')
            await admin.execute(f'ALTER DATABASE "{_unfinished(name)}" RENAME TO "{name}"')


def _unfinished(name: str) -> str:
    return f"{name}_restoring"


async def remove_kept(admin_url: str, wanted: str) -> None:
    """Remove a database that a restore put aside, and no other."""
    known = [f"{name}{KEPT}" for name in SERVICES]
    async with connected(admin_url, "the embedded PostgreSQL") as admin:
        there = sorted(row["datname"] for row in await admin.fetch("select datname from pg_database"))
        kept = [name for name in there if name.startswith(tuple(known))]
        if wanted not in kept:
            raise Unusable(f"{wanted} is not among those put aside: {', '.join(kept) or 'there is none'}")
        await admin.execute(f'DROP DATABASE "{wanted}"')


def check_age(backup: Backup, names: Sequence[str]) -> None:
    """A service older than what the others keep to say again could never catch up with them."""
    age = clock.now() - datetime.fromisoformat(backup.made_at)
    if set(names) != set(SERVICES) and age > timedelta(days=OUTBOX_DAYS):
        raise Unusable(
            f"this backup is {age.days} days old, and services keep what they said for {OUTBOX_DAYS}: "
            "one service of it can't be restored beside the others; restore all three"
        )


def _restore(asked: argparse.Namespace, state: State, names: Sequence[str]) -> None:
    backup = read_backup(Path(os.path.abspath(asked.folder)))
    check_age(backup, names)
    secrets = Secrets(state)
    with console.step("keys and passwords"):
        secrets.adopt(backup.secrets)
        secrets.ensure()
    if not state.read(MARKER) and backup.manifest.get("demo"):
        state.write(MARKER, dict(backup.manifest["demo"]))
    with administered(state, secrets, running=False) as admin_url:
        said = asyncio.run(restore(admin_url, state, secrets, backup, names))
    console.say(said)


def _remove(state: State, name: str, *, running: bool) -> None:
    with administered(state, Secrets(state), running=running) as admin_url:
        asyncio.run(remove_kept(admin_url, name))
    console.say(f"{name} is removed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when it was done, 1 when nothing was changed."""
    parser = argparse.ArgumentParser(prog="make restore", description="restore databases from a backup")
    parser.add_argument("folder", nargs="?", help="the backup")
    parser.add_argument("--service", action="append", default=[], help="only this service (several by commas)")
    parser.add_argument("--remove", help="remove a database that an earlier restore put aside")
    asked = parser.parse_args(arguments)
    return command("restore", lambda: _done(asked))


def _done(asked: argparse.Namespace) -> None:
    settings = read_settings()
    embedded_only(settings, "restore")
    names, state, running = service_names(asked.service) or list(SERVICES), State(settings.data), False
    if bool(asked.folder) == bool(asked.remove):
        raise Unusable("say FROM=… (a backup), or REMOVE=… (a database put aside)")
    try:
        state.take()
    except Taken:
        if not asked.remove:
            raise Unusable("the system runs on this state folder: stop it first") from None
        running = True
    try:
        if asked.remove:
            _remove(state, asked.remove, running=running)
        else:
            _restore(asked, state, names)
    finally:
        state.leave()


if __name__ == "__main__":
    sys.exit(main())
