"""What every restored database goes through before a service works on it, whoever restored it.

1. What the others know and it forgot is found (`deploy.lost`).
2. In one transaction: its audit trail begins a new epoch; its sequences jump, since numbers of the lost days may stand
   on paper; the service raises what others compare by (``<service>.restored``) and says again what they know otherwise.
3. Registrations and settlements that exist nowhere any more are taken from the others' copies.

What its peers said meanwhile needs nothing here: it is missing from its inbox, and their reconciliation says it again.

``python -m deploy.restored treatment --note "pgBackRest, 2026-11-21 03:00"`` does this for databases of your own,
while no service runs; `make restore` does it by itself.
"""

import argparse
import asyncio
import importlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import text

from deploy.console import Unusable, console
from deploy.databases import connected
from deploy.lost import Lost, compare, compare_with_kept, forget_phantoms
from deploy.secrets import Secrets
from deploy.settings import SERVICES, read_settings, value
from deploy.state import State, write_private
from shared.kit.database import Database
from shared.kit.scope import SERVICE
from shared.kit.sealer import GAP, begin_epoch
from shared.kit.sealing import Keyring

SHOWN_LINES = 10
SEQUENCES = "select sequencename, coalesce(last_value, 0) as given from pg_sequences where schemaname = 'public'"
AUDIT_SEQUENCE = "audit_seq_seq"


async def begin_again(
    urls: Mapping[str, str], restored: Sequence[str], keyring: Keyring, note: str, *, kept: Mapping[str, str]
) -> Lost:
    """Bring restored databases into a state in which their services may start; what was lost.

    ``urls``: the owner's address of every database that stands (restored or not). ``kept``: those that were put aside.
    """
    async with AsyncExitStack() as stack:

        async def ask(url: str, name: str) -> asyncpg.Connection:
            return await stack.enter_async_context(connected(url, f"the owner of {SERVICES[name].label}"))

        databases = {name: await ask(url, name) for name, url in urls.items()}
        lost = await compare(databases, set(restored))
        # Above all that was given out since: more than one change a second of one record is no thing of this house.
        floor = int(time.time())
        for name in restored:
            aside = await ask(kept[name], name) if name in kept else None
            if aside is not None:
                await compare_with_kept(name, aside, databases[name], lost)
            epoch = await _begin(name, urls[name], keyring, note, floor, lost, aside)
            console.say(f"· {SERVICES[name].label}: its audit trail goes on in epoch {epoch}")
        return lost


async def _begin(
    name: str,
    url: str,
    keyring: Keyring,
    note: str,
    floor: int,
    lost: Lost,
    aside: asyncpg.Connection | None,
) -> int:
    service: Any = importlib.import_module(f"{SERVICES[name].package}.restored")
    given = {} if aside is None else {row["sequencename"]: row["given"] for row in await aside.fetch(SEQUENCES)}
    above = 0 if aside is None else int(await aside.fetchval("select max(epoch) from audit_epochs") or 0)
    database = Database(url)
    try:
        async with database.transaction(SERVICE) as session:
            epoch = await begin_epoch(session, note, above=above, above_seq=given.get(AUDIT_SEQUENCE, 0))
            for sequence, last in (await session.execute(text(SEQUENCES))).all():
                if sequence != AUDIT_SEQUENCE:
                    goes_on = max(int(last), given.get(sequence, 0)) + GAP
                    await session.execute(
                        text("select setval(quote_ident(:sequence)::regclass, :goes_on)"),
                        {"sequence": sequence, "goes_on": goes_on},
                    )
            await service.begin_again(session, floor)
            for kind, keys in lost.again.get(name, {}).items():
                await service.say_again(session, keyring, kind, keys)
    finally:
        await database.close()
    return epoch


async def forget_elsewhere(urls: Mapping[str, str], lost: Lost) -> None:
    """Take from the listeners' copies what exists nowhere any more."""
    if lost.phantoms:
        for name in ("treatment", "safety_net"):
            if name in urls:
                async with connected(urls[name], f"the owner of {SERVICES[name].label}") as peer, peer.transaction():
                    await forget_phantoms(peer, name, lost)


def report(lost: Lost, folder: Path) -> str:
    """The beginning of each list for the console; the whole of it in a file for the offices."""
    if not lost.lines:
        return "nothing that others know was lost"
    whole = "\n".join(
        f"{heading}:\n" + "".join(f"  {line}\n" for line in lost.lines[heading]) for heading in lost.lines
    )
    file = write_private(folder / f"restored-{time.strftime('%Y%m%d-%H%M%S')}.txt", whole)
    said = []
    for heading, lines in lost.lines.items():
        said += [f"\n{heading} ({len(lines)}):", *(f"  {line}" for line in list(lines)[:SHOWN_LINES])]
        if len(lines) > SHOWN_LINES:
            said.append("  …")
    return "\n".join([*said, f"\nall of it: {file}"])


def keyring_of(secrets: Secrets) -> Keyring:
    """The data keys in use: brought along by settings, else those kept here."""
    said = value(os.environ, "DATA_KEYS")
    try:
        return Keyring(said or secrets.data_keys.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        raise Unusable("the data keys can't be read (DATA_KEYS, or secrets/data-keys.json)") from None


async def _after(urls: Mapping[str, str], restored: Sequence[str], keyring: Keyring, note: str) -> Lost:
    lost = await begin_again(urls, restored, keyring, note, kept={})
    await forget_elsewhere(urls, lost)
    return lost


def service_names(said: Sequence[str]) -> list[str]:
    """Services as people write them: ``safety-net`` or ``safety_net``, several by commas."""
    names = [part.strip().replace("-", "_") for word in said for part in word.split(",") if part.strip()]
    if unknown := [name for name in names if name not in SERVICES]:
        labels = ", ".join(service.label for service in SERVICES.values())
        raise Unusable(f"{unknown[0]} is no service: {labels}")
    return list(dict.fromkeys(names))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when the services may start, 1 when not."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.restored",
        description="what a restore by PostgreSQL's own tools must be followed by",
    )
    parser.add_argument("service", nargs="+", help="the services whose databases came out of a backup")
    parser.add_argument("--note", default="restored", help="what was restored, for the auditor (no names)")
    asked = parser.parse_args(arguments)
    try:
        settings = read_settings()
        if not settings.database_urls:
            raise Unusable("this is for databases of your own (…_DATABASE_URL); `make restore` does it by itself")
        names = service_names(asked.service)
        if missing := [name for name in names if name not in settings.database_urls]:
            raise Unusable(f"{SERVICES[missing[0]].prefix}_DATABASE_URL is not set")
        urls = {name: each.owner_url for name, each in settings.database_urls.items()}
        lost = asyncio.run(_after(urls, names, keyring_of(Secrets(State(settings.data))), asked.note))
        settings.data.mkdir(parents=True, exist_ok=True)
        console.say(report(lost, settings.data))
        return 0
    except Unusable as error:
        console.say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
