"""What the databases say became of the bills: the load's own word is only compared with it."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from deploy.demo.county import COUNTY
from tests.bench.system import System

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Mark:
    """Where the tables stood: the last number given in each, and the database's time."""

    discharge: int
    audit: int
    outbox: int
    settlement: int
    dead: int
    at: datetime


@dataclass(frozen=True)
class Found:
    """What was added since a mark, exactly counted."""

    accepted: int
    audited: int
    said: int
    settled: int
    heard: int
    dead: int
    last_settled_at: datetime | None

    def disagreement(self, answered: int) -> str:
        """In what the tables differ from each other or from the answers; empty when all agree."""
        counts = {
            "bills": self.accepted,
            "audit rows": self.audited,
            "events": self.said,
            "settlements": self.settled,
            "settlements told back": self.heard,
        }
        odd = [f"{count:,} {name}" for name, count in counts.items() if count != answered]
        odd += [f"{self.dead} dead letters"] if self.dead else []
        return f"{answered:,} answers, but {', '.join(odd)}" if odd else ""


class Ledger:
    """Two connections of the administrator, into the databases of bills and of settlements."""

    def __init__(self, treatment: asyncpg.Connection, safety_net: asyncpg.Connection) -> None:
        self.treatment, self.safety_net = treatment, safety_net

    @classmethod
    async def open(cls, system: System) -> "Ledger":
        """Connect."""
        return cls(await system.connect("treatment"), await system.connect("safety_net"))

    async def close(self) -> None:
        """Disconnect."""
        await self.treatment.close()
        await self.safety_net.close()

    async def mark(self) -> Mark:
        """Where the tables stand now."""
        mine = await self.treatment.fetchrow(
            "select coalesce((select max(seq) from discharges), 0) as discharge, "
            "coalesce((select max(seq) from audit), 0) as audit, "
            "coalesce((select max(seq) from outbox), 0) as outbox, clock_timestamp() as at"
        )
        newest = "select coalesce(max(seq), 0) from settlements where county_code = $1"
        settlement = await self.safety_net.fetchval(newest, COUNTY)
        return Mark(**dict(mine), settlement=settlement, dead=await self._dead())

    async def found(self, mark: Mark) -> Found:
        """What was added since."""
        told = await self.treatment.fetchrow(
            "select (select count(*) from discharges where seq > $1) as accepted, "
            "(select count(*) from audit where seq > $2 and action = 'recorded') as audited, "
            "(select count(*) from outbox where seq > $3 and subject = 'treatment.discharge_billed.v1') as said, "
            "(select count(*) from discharges join bill_settlements using (discharge_id) where seq > $1) as heard",
            *(mark.discharge, mark.audit, mark.outbox),
        )
        made = await self.safety_net.fetchrow(
            "select count(*) as settled, max(made_at) as last_settled_at from settlements "
            "where county_code = $1 and seq > $2",
            *(COUNTY, mark.settlement),
        )
        return Found(**dict(told), **dict(made), dead=await self._dead() - mark.dead)

    async def settled_between(self, mark: Mark, begin: float, end: float) -> int:
        """How many settlements were made between two moments (seconds since 1970)."""
        count: int = await self.safety_net.fetchval(
            "select count(*) from settlements where county_code = $1 and seq > $2 "
            "and made_at between to_timestamp($3) and to_timestamp($4)",
            *(COUNTY, mark.settlement, begin, end),
        )
        return count

    async def drained(self, mark: Mark, bills: int, seconds: float) -> Found:
        """Wait until so many bills are settled and told back, or so long; what was found then."""
        until = time.monotonic() + seconds
        while True:
            settled = await self.safety_net.fetchval(
                "select count(*) from settlements where county_code = $1 and seq > $2", COUNTY, mark.settlement
            )
            if settled >= bills or time.monotonic() > until:
                found = await self.found(mark)
                if found.heard >= bills or time.monotonic() > until:
                    return found
            await asyncio.sleep(LOOK_SECONDS)

    async def _dead(self) -> int:
        count = "select count(*) from dead_letters"
        return int(await self.treatment.fetchval(count)) + int(await self.safety_net.fetchval(count))
