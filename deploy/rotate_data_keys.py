"""`make rotate-data-keys`: a new data key seals, and everything that lies sealed is sealed with it; nothing stops.

Run again after a kill, it goes on where it was. ``--count``: only count what each key seals. ``--give-up k1``: remove
an old key, when nothing is sealed with it any more and no backup needs it. On several machines, bring the file to all
of them before the new key seals: ``--ahead 600`` gives ten minutes.
"""

import argparse
import asyncio
import fcntl
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from deploy import data_keys
from deploy.console import Unusable, command, console, table
from deploy.data_keys import Ring, newest, noted_unused, read_ring, ring_file, seals_from, with_one_more, without
from deploy.order import embedded_urls
from deploy.reseal import BATCH, Counts, count, reseal, used
from deploy.secrets import Secrets
from deploy.settings import SERVICES, Settings, read_settings
from deploy.state import State
from shared.kit import clock
from shared.kit.sealing import LOOK_AGAIN_SECONDS, Keyring

# Services look at the file every five seconds, and at once when they meet a key they don't know.
AHEAD_SECONDS = 20


class Rotation:
    """One run of the command over one ring and three databases."""

    def __init__(self, path: Path, urls: dict[str, str], *, ahead: timedelta, batch: int) -> None:
        self.path, self.urls, self.ahead, self.batch = path, urls, ahead, batch

    async def rotate(self, *, another: bool) -> bool:
        """Add a key unless a rotation is unfinished, reseal everything, report; whether all is under the new key.

        ``another``: add one all the same; what can't be opened with any key would look like an unfinished rotation.
        """
        ring = read_ring(self.path)
        unfinished = used(await count(self.urls), outbox=False) & set(ring["keys"]) - {newest(ring)}
        if another or not unfinished:
            ring = with_one_more(ring, clock.now(), self.ahead)
            data_keys.write_ring(self.path, ring)
            console.say(f"· {newest(ring)} is in the ring and seals from {ring['seals_from'][newest(ring)]} on")
        else:
            console.say(f"· going on with {newest(ring)}")
        await self._until_it_seals(ring)
        kid = newest(ring)
        with console.step(f"sealing everything with {kid}"):
            keyring = Keyring(self.path.read_text(encoding="utf-8"))
            unopened = await reseal(self.urls, keyring, kid, batch=self.batch, tell=console.say)
        counts = await self.report()
        if unopened:
            console.say(
                f"\n{unopened} could not be sealed anew: locked all the time, or sealed with a key we don't have"
            )
        return used(counts, outbox=False) <= {kid}

    async def report(self) -> Counts:
        """Count, note which keys seal nothing any more, and show it."""
        counts, ring = await count(self.urls), read_ring(self.path)
        kids = sorted({*ring["keys"], *used(counts, outbox=True)})
        rows = [[str(place), *(str(found.get(kid, 0)) for kid in kids)] for place, found in counts.items() if found]
        console.say("\n" + table(["sealed in", *kids], rows, right=frozenset(range(1, len(kids) + 1))))
        unused = set(ring["keys"]) - used(counts, outbox=False) - {newest(ring)}
        noted = noted_unused(ring, unused, clock.now())
        if noted != ring:
            data_keys.write_ring(self.path, noted)
        for kid, since in noted["unused_since"].items():
            console.say(
                f"\n{kid}: seals nothing in the tables since {since}; the outbox forgets what it said in 35 days"
            )
        return counts

    async def give_up(self, kid: str, *, backups_gone: bool) -> None:
        """Remove a key that nothing needs."""
        counts = await self.report()
        left = without(read_ring(self.path), kid, clock.now(), backups_gone=backups_gone)
        if needing := [str(place) for place, found in counts.items() if found.get(kid)]:
            raise Unusable(f"{kid} still seals something in {', '.join(needing)}")
        data_keys.write_ring(self.path, left)
        console.say(f"\n{kid} is given up: destroy every copy of it, also the one kept apart from the backups")

    async def _until_it_seals(self, ring: Ring) -> None:
        start = seals_from(ring)
        seconds = (start - clock.now()).total_seconds() if start else 0.0
        # And each service has looked at its clock since.
        seconds += LOOK_AGAIN_SECONDS + 1
        if start and seconds > 0:
            with console.step(f"waiting {seconds:.0f} s until every service seals with it"):
                await asyncio.sleep(seconds)


def owner_urls(settings: Settings, state: State, secrets: Secrets) -> dict[str, str]:
    """The owners' addresses of the three databases of a house that was started once."""
    port = state.read("ports.json").get("postgres")
    urls = {}
    for name in SERVICES:
        if name in settings.database_urls:
            urls[name] = settings.database_urls[name].owner_url
        elif port is None:
            raise Unusable(f"{state.folder} has no database yet: start the house first with `make run`")
        else:
            urls[name] = embedded_urls(f"postgresql://127.0.0.1:{port}", name, secrets.password).owner_url
    return urls


def _arguments(said: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make rotate-data-keys")
    parser.add_argument("--count", action="store_true", help="only count what each key seals")
    parser.add_argument("--give-up", metavar="KEY", help="remove a key that nothing needs any more")
    parser.add_argument("--no-backup-needs-it", action="store_true", help="with --give-up: the backups are gone")
    parser.add_argument("--another", action="store_true", help="a new key though an older one still seals something")
    parser.add_argument("--ahead", type=int, default=AHEAD_SECONDS, help="seconds until the new key seals")
    parser.add_argument("--batch", type=int, default=BATCH, help="rows in one transaction")
    return parser.parse_args(said)


def run(environment: Mapping[str, str], said: Sequence[str]) -> int:
    """Do what was asked for; 0 when it is done."""
    asked, settings = _arguments(said), read_settings(environment)
    state = State(settings.data)
    secrets = Secrets(state)
    path = ring_file(secrets.data_keys, environment)
    read_ring(path)
    urls = owner_urls(settings, state, secrets)
    rotation = Rotation(path, urls, ahead=timedelta(seconds=asked.ahead), batch=max(asked.batch, 1))
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise Unusable("another rotation of the data keys is under way") from None
    try:
        if asked.give_up:
            asyncio.run(rotation.give_up(asked.give_up, backups_gone=asked.no_backup_needs_it))
        elif asked.count:
            asyncio.run(rotation.report())
        else:
            return 0 if asyncio.run(rotation.rotate(another=asked.another)) else 1
        return 0
    finally:
        os.close(handle)


def main() -> int:
    """Exit code 0 when it was done, 1 when something is still sealed with an older key or stands in the way."""
    return command("rotate-data-keys", lambda: run(os.environ, sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
