"""`make reconcile`: compare what each service said with what the others heard, and replay the gaps."""

import asyncio
import sys
import time
from typing import Any
from uuid import uuid4

from deploy.client import Gateway, credentials, gateway
from deploy.console import Unusable, command, console, table
from deploy.settings import SERVICES

# A replayed event needs a moment to be heard.
HEARD_WITHIN_SECONDS = 30.0
HEAD = ("said by", "event", "heard by", "said", "messages", "heard", "missing", "replayed")
COUNTS = ("said", "messages", "heard", "missing", "replayed")
RIGHT = frozenset(range(3, 8))


async def reconcile(accounts: dict[str, Any]) -> bool:
    """Compare and replay until nothing is missing or time is up; whether everything said has been heard."""
    async with gateway(accounts) as house:
        until = time.monotonic() + HEARD_WITHIN_SECONDS
        replayed: dict[tuple[str, str], int] = {}
        while True:
            reports = [await _ask(house, service.label) for service in SERVICES.values()]
            events = [(report["service"], event) for report in reports for event in report["events"]]
            for _, event in events:
                pair = (event["subject"], event["listener"])
                replayed[pair] = replayed.get(pair, 0) + event["replayed"]
            missing = sum(int(event["missing"]) for _, event in events)
            if missing == 0 or time.monotonic() > until:
                break
            await asyncio.sleep(1.0)
    for _, event in events:
        event["replayed"] = replayed[event["subject"], event["listener"]]
    rows = [
        [service, event["subject"], event["listener"], *(str(event[count]) for count in COUNTS)]
        for service, event in events
    ]
    console.say(table(HEAD, rows, right=RIGHT))
    total = sum(replayed.values())
    console.say(
        f"\n{missing} of {sum(event['said'] for _, event in events)} are missing after {total} were replayed"
        if missing
        else f"\nnothing is missing; {total} replayed"
    )
    return missing == 0


async def _ask(house: Gateway, label: str) -> dict[str, Any]:
    path = f"/{label}/v1/reconciliation"
    reply = await house.post("administrator", path, None, key=f"reconcile-{uuid4()}")
    if reply.status not in (200, 201):
        raise Unusable(f"{label} can't be reconciled: {reply.trouble}")
    return reply.body


def main() -> int:
    """Exit code 0 when nothing is missing, 1 when something is or the house can't be asked."""
    return command("reconcile", lambda: 0 if asyncio.run(reconcile(credentials())) else 1)


if __name__ == "__main__":
    sys.exit(main())
