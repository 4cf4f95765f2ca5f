"""`make audit-heads`: the head of each day's audit chain, for printing and keeping outside the machine."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

from deploy.client import credentials, gateway
from deploy.console import command, console, table
from deploy.settings import SERVICES

COLUMNS = ("date", "service", "epoch", "batch", "chain", "count", "total")
HEAD = ("date", "service", "epoch", "batch", "chain hash", "rows that day", "rows in all")
RIGHT = frozenset((2, 3, 5, 6))


async def print_heads(accounts: dict[str, Any], first: str | None, last: str | None) -> None:
    """Print the heads of these days, today's without any."""
    period = {name: day for name, day in (("from", first), ("to", last)) if day}
    rows: list[list[str]] = []
    async with gateway(accounts) as house:
        for service in SERVICES.values():
            found = await house.read("auditor", f"/{service.label}/v1/audit/heads", **period)
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
    return command("audit-heads", lambda: asyncio.run(print_heads(credentials(), asked.first, asked.last)))


if __name__ == "__main__":
    sys.exit(main())
