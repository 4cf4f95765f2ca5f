"""The data key ring as a file: one more key, one key less. What a ring means is `shared.kit.sealing.Keys`."""

import base64
import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.console import Unusable
from deploy.state import write_private
from shared.kit import clock
from shared.kit.sealing import Keys, lasting_halves

Ring = dict[str, Any]
# As long as a backup lives, and the outbox beside it (`shared.kit.worker.OUTBOX_DAYS`).
BACKUP_DAYS = 35
# A process that has not looked at its file for so long is not running.
SETTLED = timedelta(minutes=10)


def ring_file(ours: Path, environment: Mapping[str, str]) -> Path:
    """The file the services read: the one that was brought along, else ours."""
    if environment.get("DATA_KEYS", "").strip():
        raise Unusable("DATA_KEYS is given by value: give it as a file (DATA_KEYS_FILE), or change it by hand")
    return Path(environment.get("DATA_KEYS_FILE", "").strip() or ours)


def read_ring(path: Path) -> Ring:
    """The ring, checked to be one."""
    try:
        text = path.read_text(encoding="utf-8")
        Keys(text)
        ring: Ring = json.loads(text)
    except OSError:
        raise Unusable(f"{path} can't be read: start the house first with `make run`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{path} is no data key ring ({type(error).__name__})") from None
    return ring


def write_ring(path: Path, ring: Ring) -> None:
    """Write the ring whole or not at all; what would be no ring is not written."""
    text = json.dumps(ring, ensure_ascii=False, indent=2) + "\n"
    Keys(text)
    write_private(path, text)


def newest(ring: Ring) -> str:
    """The key that seals, or will."""
    starts = sorted((datetime.fromisoformat(moment), kid) for kid, moment in ring.get("seals_from", {}).items())
    return starts[-1][1] if starts else str(ring["current"])


def seals_from(ring: Ring) -> datetime | None:
    """Since when, or from when on, the newest key seals; None: since ever."""
    moment = ring.get("seals_from", {}).get(newest(ring))
    return None if moment is None else datetime.fromisoformat(moment)


def with_one_more(ring: Ring, now: datetime, ahead: timedelta) -> Ring:
    """The ring with a new key that seals from ``ahead`` on; the name of a key that was given up is not given again."""
    known = [*ring["keys"], *ring.get("given_up", {})]
    numbers = [int(kid[1:]) for kid in known if kid[:1] == "k" and kid[1:].isdigit()]
    fresh = f"k{max(numbers, default=0) + 1}"
    lasting = {} if "lasting" in ring else {"digest": ring.get("digest", ring["current"])}
    return {
        **ring,
        **lasting,
        "current": newest(ring),
        "keys": {**ring["keys"], fresh: base64.b64encode(os.urandom(32)).decode()},
        "seals_from": {fresh: clock.rfc3339(now + ahead)},
    }


def noted_unused(ring: Ring, unused: set[str], now: datetime) -> Ring:
    """The ring with a note since when these keys seal nothing; a key that is used again loses its note."""
    known: dict[str, str] = ring.get("unused_since", {})
    return {**ring, "unused_since": {kid: known.get(kid, clock.rfc3339(now)) for kid in sorted(unused)}}


def without(ring: Ring, kid: str, now: datetime, *, backups_gone: bool) -> Ring:
    """The ring without a key. `Unusable` while it may still be needed; what is sealed by it is the caller's to count.

    Of the key that digests rest on, what digests and signs is kept; nothing can be opened with that.
    """
    if kid not in ring["keys"]:
        raise Unusable(f"there is no data key {kid}; the ring holds {', '.join(ring['keys'])}")
    start = seals_from(ring)
    if kid == newest(ring) or start is None:
        raise Unusable(f"{kid} is the key that seals: rotate first")
    if start + SETTLED > now:
        raise Unusable(f"{newest(ring)} seals only since {clock.rfc3339(start)}: wait ten minutes")
    since = ring.get("unused_since", {}).get(kid)
    if since is None:
        raise Unusable(f"{kid} was not yet found to seal nothing any more: run `make rotate-data-keys` or count first")
    until = datetime.fromisoformat(since) + timedelta(days=BACKUP_DAYS)
    if until > now and not backups_gone:
        raise Unusable(
            f"backups made before {since} are sealed with {kid} and are kept until {clock.rfc3339(until)}; "
            "if none of them exists any more, say so: --no-backup-needs-it"
        )
    left = {**ring, "keys": {name: key for name, key in ring["keys"].items() if name != kid}}
    left["current"] = newest(ring)
    left["unused_since"] = {name: moment for name, moment in ring["unused_since"].items() if name != kid}
    left["given_up"] = {**ring.get("given_up", {}), kid: clock.rfc3339(now)}
    if ring.get("digest") == kid:
        digest, sign = lasting_halves(base64.b64decode(ring["keys"][kid]))
        del left["digest"]
        left["lasting"] = {"digest": base64.b64encode(digest).decode(), "sign": base64.b64encode(sign).decode()}
    return left
