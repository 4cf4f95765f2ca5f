"""`make verify-audit`: is the audit trail of every service what was sealed? And does it agree with printed heads?

Exit code 0: all as sealed. 1: something was changed, removed or inserted, or the house can't be asked. 2: nothing of
that kind, but a restore lies between the printed heads and the chain.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.client import Gateway, credentials, gateway
from deploy.console import Unusable, command, console, table
from deploy.settings import SERVICES

TABLE = ("service", "batches", "rows", "not yet sealed", "last batch", "findings")
RIGHT = frozenset(range(1, 6))
# As `make audit-heads` prints it: date, service, epoch, batch, chain hash, rows of the day, rows in all.
PRINTED = re.compile(
    r"^\s*(\d{4}-\d\d-\d\d)\s+("
    + "|".join(s.label for s in SERVICES.values())
    + r")\s+(\d+)\s+(\d+)\s+([0-9a-f ]{64,})\s"
)
LISTED = 200
Forks = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Head:
    """One printed line."""

    date: str
    service: str
    epoch: int
    batch: int
    chain: str


def printed_heads(text: str) -> list[Head]:
    """The heads of a printed page, typed in again or kept as a file; other lines don't count."""
    heads = []
    for line in text.splitlines():
        if found := PRINTED.match(line + " "):
            day, service, epoch, batch, rest = found.groups()
            chain = "".join(re.findall(r"[0-9a-f]", rest))[:64]
            heads.append(Head(day, service, int(epoch), int(batch), chain))
    return heads


async def verify(house: Gateway, label: str) -> dict[str, Any]:
    """A service's whole chain, step after step."""
    whole: dict[str, Any] = {"batches": 0, "rows": 0, "findings": []}
    after: int | None = 0
    while after is not None:
        step = await house.read("auditor", f"/{label}/v1/audit/verification", after=str(after))
        whole["batches"] += step["batches"]
        whole["rows"] += step["rows"]
        whole["findings"] += [finding for finding in step["findings"] if finding not in whole["findings"][-LISTED:]]
        whole |= {name: step[name] for name in ("batch", "unsealed", "forks")}
        after = step["next_after"]
    return whole


async def compare(
    house: Gateway, heads: Sequence[Head], forks: dict[str, list[dict[str, Any]]]
) -> tuple[list[str], list[str]]:
    """What contradicts the printed heads, and which of them lie beyond a restore."""
    wrong, beyond = [], []
    for head in heads:
        said = f"{head.service}: head of {head.date}, epoch {head.epoch}, batch {head.batch}"
        restored = next(
            (f for f in forks[head.service] if f["epoch"] > head.epoch and f["forked_after"] < head.batch), None
        )
        if restored is not None:
            beyond.append(
                f"{said}: forked at restore, epoch {restored['epoch']} ({restored['started_at']}, {restored['note']}): "
                f"batches after {restored['forked_after']} of epoch {head.epoch} are on paper only"
            )
            continue
        items = (await house.read("auditor", f"/{head.service}/v1/audit/heads", batch=str(head.batch)))["items"]
        if not items:
            wrong.append(f"{said}: head_missing: the chain has no such batch")
        elif (items[0]["epoch"], items[0]["chain"]) != (head.epoch, head.chain):
            wrong.append(f"{said}: head_differs: the chain was rewritten after it was printed")
    return wrong, beyond


async def verify_audit(accounts: dict[str, Any], heads: Sequence[Head]) -> int:
    """Verify every service and print what was found; the exit code."""
    rows: list[list[str]] = []
    lines: list[str] = []
    forks: Forks = {}
    async with gateway(accounts) as house:
        for service in SERVICES.values():
            found = await verify(house, service.label)
            forks[service.label] = found["forks"]
            names = ("batches", "rows", "unsealed", "batch")
            rows.append([service.label, *(str(found[name]) for name in names), str(len(found["findings"]))])
            for finding in found["findings"]:
                place = " ".join(f"{name} {finding[name]}" for name in ("batch", "seq") if finding[name] is not None)
                lines.append(f"{service.label}: {finding['kind']}: {place}: {finding['detail']}")
        wrong, beyond = await compare(house, heads, forks)
    lines += wrong
    console.say(table(TABLE, rows, right=RIGHT))
    for label, restores in forks.items():
        for fork in restores:
            told = f"forked at restore, epoch {fork['epoch']}, after batch {fork['forked_after']}"
            console.say(f"\n{label}: {told} ({fork['started_at']}, {fork['note']})")
    for line in [*lines[:LISTED], *beyond]:
        console.say(f"\n{line}")
    if len(lines) > LISTED:
        console.say(f"\n… and {len(lines) - LISTED} more")
    compared = f"; {len(heads)} printed heads compared" if heads else ""
    console.say(f"\n{len(lines)} findings{compared}" if lines else f"\nthe audit trail is as it was sealed{compared}")
    return 1 if lines else 2 if beyond else 0


def read_heads(page: Path | None) -> list[Head]:
    """The heads of a printed page that was kept as a file; none without one."""
    if page is None:
        return []
    try:
        heads = printed_heads(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise Unusable(f"{page} can't be read") from None
    if not heads:
        raise Unusable(f"{page} holds no heads as `make audit-heads` prints them")
    return heads


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's own words for the exit codes."""
    parser = argparse.ArgumentParser(prog="make verify-audit", description="verify the audit trail of every service")
    parser.add_argument("--heads", type=Path, help="heads printed by `make audit-heads`, as a file")
    asked = parser.parse_args(arguments)
    return command("verify-audit", lambda: asyncio.run(verify_audit(credentials(), read_heads(asked.heads))))


if __name__ == "__main__":
    sys.exit(main())
