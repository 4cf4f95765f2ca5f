"""`make rotate-keys`: a new signing key, published first and signing ten minutes later; nothing stops meanwhile.

``python -m deploy.rotate_keys --at-once``: the old keys are given up at once, because somebody else may have them.
"""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.console import Unusable, command, console
from deploy.secrets import Secrets, signing_key
from deploy.settings import read_settings
from deploy.state import State, write_private
from shared.kit import clock

# Services look for new keys every five minutes: twice that, and all of them know it before it signs.
AHEAD = timedelta(minutes=10)
# A key that signs no more is published until its last token has long run out (15 minutes).
KEPT = timedelta(hours=1)


def rotated(keys: dict[str, Any], now: datetime) -> tuple[dict[str, Any], str]:
    """The keys with one more that signs from ten minutes on, without those that have not signed for an hour."""
    starts = {key_id: datetime.fromisoformat(moment) for key_id, moment in keys.get("signs_from", {}).items()}
    if waiting := [key_id for key_id, start in starts.items() if start > now]:
        raise Unusable(f"{waiting[0]} is published already and signs from {clock.rfc3339(starts[waiting[0]])} on")
    begun = sorted((start, key_id) for key_id, start in starts.items())
    since, current = begun[-1] if begun else (None, keys["current"])
    kept = {current: keys["keys"][current]} if since is not None and since + KEPT <= now else dict(keys["keys"])
    fresh = next_name(keys["keys"])
    moments = {fresh: clock.rfc3339(now + AHEAD)}
    if since is not None:
        moments[current] = clock.rfc3339(since)
    return {"current": current, "signs_from": moments, "keys": {**kept, fresh: signing_key()}}, fresh


def replaced(keys: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """One new key alone: whoever has an old one can no longer speak for us, and everybody signs in anew."""
    fresh = next_name(keys["keys"])
    return {"current": fresh, "keys": {fresh: signing_key()}}, fresh


def next_name(names: dict[str, Any]) -> str:
    """The name of the next key; a name is never given twice while the other is known."""
    numbers = [int(name[1:]) for name in names if name[:1] == "s" and name[1:].isdigit()]
    return f"s{max(numbers, default=0) + 1}"


def rotate(path: Path, at_once: bool) -> str:
    """Rotate the keys of a file; what was done, in one line."""
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Unusable(f"{path} can't be read: start the house first with `make run`") from None
    made, fresh = replaced(keys) if at_once else rotated(keys, clock.now())
    write_private(path, json.dumps(made, ensure_ascii=False, indent=2) + "\n")
    if at_once:
        return f"{fresh} signs from now on; tokens by older keys are refused within six minutes"
    return (
        f"{fresh} is published now and signs from {made['signs_from'][fresh]} on; published: {', '.join(made['keys'])}"
    )


def main() -> int:
    """Exit code 0 when the keys were rotated, 1 when not."""
    return command("rotate-keys", lambda: _rotate("--at-once" in sys.argv[1:]))


def _rotate(at_once: bool) -> None:
    console.say(rotate(Secrets(State(read_settings().data)).signing_keys, at_once))


if __name__ == "__main__":
    sys.exit(main())
