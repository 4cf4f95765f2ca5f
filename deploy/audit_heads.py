"""`make audit-heads`: the head of each day's audit chain, for printing and keeping outside the machine."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

from deploy.client import Gateway, gateway
from deploy.console import Unusable, console, table
from deploy.settings import SERVICES, read_settings

COLUMNS = ("date", "service", "epoch", "batch", "chain", "count", "total")
HEAD = ("date", "service", "epoch", "batch", "chain hash", "rows that day", "rows in all")
RIGHT = frozenset((2, 3, 5, 6))


def credentials() -> dict[str, Any]:
    """The accounts that the first start of the house wrote down."""
    path = read_settings().data / "credentials.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Unusable(f"{path} can't be read: start the house first with `make run`") from None
    return found


async def read(house: Gateway, path: str, **query: str) -> dict[str, Any]:
    """What the auditor reads there."""
    reply = await house.get("auditor", path, **query)
    if reply.status != 200:
        raise Unusable(f"{path} can't be read: {reply.trouble}")
    return reply.body


async def print_heads(accounts: dict[str, Any], first: str | None, last: str | None) -> None:
    """Print the heads of these days, today's without any."""
    period = {name: day for name, day in (("from", first), ("to", last)) if day}
    rows: list[list[str]] = []
    async with gateway(accounts) as house:
        for service in SERVICES.values():
            found = await read(house, f"/{service.label}/v1/audit/heads", **period)
            rows += [[str(item[name]) for name in COLUMNS] for item in found["items"]]
    console.say(table(HEAD, sorted(rows), right=RIGHT))


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when the house can't be asked."""
    parser = argparse.ArgumentParser(prog="make audit-heads", description="print the head of each day's audit chain")
    parser.add_argument("--from", dest="first", type=_day, help="first day (YYYY-MM-DD), today without it")
    parser.add_argument("--to", dest="last", type=_day, help="last day")
    asked = parser.parse_args(arguments)
    try:
        asyncio.run(print_heads(credentials(), asked.first, asked.last))
        return 0
    except Unusable as error:
        console.say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
