"""`make backup`: the three databases and the secrets into a folder, while the system runs or stands still.

Each database is seen by one snapshot, and the three snapshots are taken within a moment, listeners before speakers:
what a speaker had said in between is said again after a restore (outbox, inbox, reconciliation). The event channel is
a carrier and is not kept.

``manifest.json``: format, made_at, version, postgresql, brought (secrets that came by settings and are not in here),
services: {name: file, revision, rows {table: count}, audit {epoch, batch, chain, rows}}.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import asyncpg

from deploy.backup_folder import FORMAT, MANIFEST, SECRETS, open_private, write_file, write_sums
from deploy.cluster import find_install
from deploy.console import Unusable, command, console
from deploy.databases import connected, count_rows
from deploy.demo.load import MARKER
from deploy.engines import Postgres
from deploy.processes import die_with_parent, record, sweep
from deploy.secrets import Secrets
from deploy.settings import SERVICES, Settings, read_settings
from deploy.state import State, Taken
from shared.kit import clock

# Listeners before speakers: safety-net hears both others, treatment hears contract.
ORDER = ("safety_net", "treatment", "contract")
BROUGHT = ("DATA_KEYS", "CONTRACT_SIGNING_KEYS")
LOCK_WAIT = "60s"
HEAD = "select epoch, batch, encode(chain, 'hex') as chain, last as rows from audit_seals order by batch desc limit 1"


async def back_up(admin_url: str, state: State, folder: Path) -> dict[str, Any]:
    """Write the backup whole or not at all; its manifest."""
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    try:
        manifest = await _dump_all(admin_url, new)
        manifest["brought"] = [name for name in BROUGHT if os.environ.get(name) or os.environ.get(f"{name}_FILE")]
        if marker := state.read(MARKER):
            manifest["demo"] = marker
        write_file(new / MANIFEST, (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode())
        write_sums(new, [MANIFEST, *(entry["file"] for entry in manifest["services"].values())])
        _copy_secrets(state.secrets, new / SECRETS)
        _to_disk(new)
        new.rename(folder)
        _to_disk(folder.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return manifest


async def _dump_all(admin_url: str, folder: Path) -> dict[str, Any]:
    services: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        seen = {name: await stack.enter_async_context(_seen(admin_url, name)) for name in ORDER}
        made_at, server = clock.rfc3339(clock.now()), ""
        for name, (connection, snapshot) in seen.items():
            with console.step(f"saving {SERVICES[name].label}"):
                services[name] = {
                    "file": f"{name}.dump",
                    "revision": await connection.fetchval("select string_agg(version_num, ' ') from alembic_version"),
                    "rows": await count_rows(connection),
                    "audit": dict(await connection.fetchrow(HEAD) or {}),
                }
                server = str(await connection.fetchval("show server_version"))
                await asyncio.to_thread(_dump, admin_url, name, snapshot, folder / f"{name}.dump")
    known = {"format": FORMAT, "made_at": made_at, "version": version("three-batches"), "postgresql": server}
    return {**known, "services": services}


@asynccontextmanager
async def _seen(admin_url: str, name: str) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """A database as it is at this moment, for as long as the connection is held."""
    async with connected(database_url(admin_url, name), f"the database of {SERVICES[name].label}") as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection, str(await connection.fetchval("select pg_export_snapshot()"))


def database_url(admin_url: str, name: str) -> str:
    """Another database of the same server, as the administrator."""
    return f"{admin_url.rpartition('/')[0]}/{quote(name)}"


def _dump(admin_url: str, name: str, snapshot: str, file: Path) -> None:
    with open_private(file) as out:
        run_tool(
            admin_url,
            *("pg_dump", f"--dbname={name}", "--format=custom", f"--snapshot={snapshot}"),
            f"--lock-wait-timeout={LOCK_WAIT}",
            output=out,
        )


def run_tool(admin_url: str, program: str, *arguments: str, output: Any = None) -> None:
    """Run one of PostgreSQL's programs as the administrator; `Unusable` with its last words when it fails."""
    place = urlsplit(admin_url)
    # In the environment, which only this user may read, and never on the command line.
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PGPASSWORD": unquote(place.password or "")}
    server = [f"--host={place.hostname}", f"--port={place.port}", f"--username={place.username}", "--no-password"]
    done = subprocess.run(
        [str(find_install() / "bin" / program), *server, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise Unusable(f"{program} failed: {said[0] if said else 'it said nothing'}")


def _copy_secrets(secrets: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    names = [path.name for path in sorted(secrets.iterdir()) if path.is_file() and not path.name.startswith(".")]
    for name in names:
        write_file(target / name, (secrets / name).read_bytes())
    write_sums(target, names)


def _to_disk(folder: Path) -> None:
    for place in (folder / SECRETS, folder):
        if place.is_dir():
            descriptor = os.open(place, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


@contextmanager
def administered(state: State, secrets: Secrets, *, running: bool) -> Iterator[str]:
    """The address of the embedded PostgreSQL's administrator; the server is started unless the system runs."""
    password, port = secrets.password("postgres"), state.read("ports.json").get("postgres")
    if running:
        yield f"postgresql://postgres:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
        return
    sweep(state)
    engine = Postgres(
        state.folder / "postgres", password=password, port=state.port("postgres"), log=state.logs / "postgres.log"
    )
    with console.step("starting PostgreSQL"):
        engine.prepare()
        engine.start()
    record(state, [engine.child])
    try:
        yield engine.admin_url
    finally:
        with console.step("stopping PostgreSQL"):
            engine.stop()
        record(state, [])


def embedded_only(settings: Settings, verb: str) -> None:
    """Refuse when a database was brought along: its own administrator saves and restores it."""
    if settings.database_urls:
        names = ", ".join(f"{SERVICES[name].prefix}_DATABASE_URL" for name in settings.database_urls)
        raise Unusable(
            f"`make {verb}` is for the embedded PostgreSQL; {names} names a server of your own, which has its own "
            "tools (docs/operations/backup.md)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when the backup is whole and on the disk, 1 when there is none."""
    parser = argparse.ArgumentParser(prog="make backup", description="save the three databases and the secrets")
    parser.add_argument("--folder", type=Path, help="where to (default: backups/<time> in the state folder)")
    asked = parser.parse_args(arguments)
    return command("backup", lambda: save(asked.folder))


def save(wanted: Path | None) -> None:
    """Save into this folder, which must not be there yet; without one, into the state folder's backups."""
    settings = read_settings()
    embedded_only(settings, "backup")
    state = State(settings.data)
    if not (state.folder / "postgres").exists() or not state.secrets.is_dir():
        raise Unusable(f"there is nothing to save in {state.folder}: no system was ever started there")
    folder = Path(os.path.abspath(wanted or state.folder / "backups" / f"{clock.now():%Y%m%d-%H%M%S}"))
    if folder.exists():
        raise Unusable(f"{folder} is there already: a backup is never written over another")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = time.monotonic()
    running = False
    try:
        state.take()
    except Taken:
        running = True
    try:
        with administered(state, Secrets(state), running=running) as admin_url:
            manifest = asyncio.run(back_up(admin_url, state, folder))
    finally:
        state.leave()
    console.say(_summary(folder, manifest, time.monotonic() - began))


def _summary(folder: Path, manifest: dict[str, Any], seconds: float) -> str:
    rows = sum(sum(entry["rows"].values()) for entry in manifest["services"].values())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    said = f"{folder}: {rows} rows of three databases and the secrets, {size:.1f} MB, {seconds:.1f} s"
    if manifest["brought"]:
        said += f"\nnot in it, because they came by settings: {', '.join(manifest['brought'])}; keep them yourself"
    return f"{said}\nwho has {SECRETS}/ can read all the rest: keep the two apart, and a copy in another building"


if __name__ == "__main__":
    sys.exit(main())
