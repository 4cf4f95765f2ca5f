"""The baseline: PostgreSQL's own pgbench on the same server, in a database of its own, in the same run.

Its transaction is the least that taking a bill can be: a row of 31 columns with the bill's 4 KB as jsonb, a row for the
outbox, one commit that has reached the disk. No token, validation, scope, audit, key or settlement.
"""

import asyncio
import json
import os
import random
import re
from dataclasses import dataclass
from statistics import median

from deploy.cluster import find_install
from tests.bench.bills import a_bill_of_4_kb
from tests.bench.figures import percentile
from tests.bench.system import HOST, Failed, System

DATABASE = "bench"
CLIENTS = 16
MONEY = (
    *("total", "in_scope", "non_medical", "drugs", "catalogue_drugs", "basic_insurance", "critical_illness"),
    *("supplementary_insurance", "medical_assistance", "government_topup", "other"),
)
TEXTS = (
    *("institution_code", "bill_no", "admission_no", "identity_digest", "sealed_identity", "sealed_name"),
    *("county_code", "care_setting", "agreement_no", "cause", "place", "state", "recorded_by"),
)
# 1 id, 13 texts, 11 sums, 2 days, 1 number, 1 flag, 1 moment, the bill: 31 columns.
TABLES = f"""
    create table bill (
        bill_id uuid primary key, {", ".join(f"{name} text not null" for name in TEXTS)},
        {", ".join(f"{name}_fen bigint not null" for name in MONEY)},
        admitted_on date not null, discharged_on date not null, version int not null, emergency boolean not null,
        recorded_at timestamptz not null default now(), content jsonb not null);
    create table outbox (
        seq bigint generated always as identity primary key, event_id uuid not null, subject text not null,
        payload bytea not null, said_at timestamptz not null default now(), published_at timestamptz)
"""


def script() -> str:
    """The transaction, as pgbench reads it."""
    bill = json.dumps(a_bill_of_4_kb(random.Random(1)), ensure_ascii=False).replace("'", "''")
    texts = ", ".join(f"'{name}-:client_id-:number'" for name in TEXTS)
    sums = ", ".join(str(100_000 + place) for place in range(len(MONEY)))
    names = ", ".join(["bill_id", *TEXTS, *(f"{name}_fen" for name in MONEY), "admitted_on", "discharged_on"])
    return (
        "\\set number random(1, 1000000000)\n"
        "BEGIN;\n"
        f"INSERT INTO bill ({names}, version, emergency, content) VALUES (gen_random_uuid(), {texts}, {sums}, "
        f"'2018-08-01', '2018-08-11', 1, false, '{bill}');\n"
        "INSERT INTO outbox (event_id, subject, payload) VALUES "
        f"(gen_random_uuid(), 'treatment.discharge_billed.v1', '{bill[:600]}');\n"
        "COMMIT;\n"
    )


@dataclass(frozen=True)
class Pace:
    """One run of pgbench: transactions a second, and the latencies of one client in seconds (16: none)."""

    rate: float
    latencies: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median latency."""
        return median(self.latencies)

    @property
    def p99(self) -> float:
        """The 99th percentile."""
        return percentile(self.latencies, 99)


class Baseline:
    """pgbench on the PostgreSQL of a running system."""

    def __init__(self, system: System, seconds: float) -> None:
        self.system, self.seconds = system, max(round(seconds), 1)
        self._script = system.folder / "baseline.sql"
        self._log = system.folder / "pgbench"

    async def prepare(self) -> None:
        """Make the database and see that the server waits for its disk."""
        admin = await self.system.connect("postgres")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            if (value := await admin.fetchval("select current_setting($1)", setting)) != "on":
                raise Failed(f"{setting} is {value}: such a rate would mean nothing")
        await admin.execute(f"create database {DATABASE}")
        await admin.close()
        own = await self.system.connect(DATABASE)
        await own.execute(TABLES)
        await own.close()
        self._script.write_text(script(), encoding="utf-8")

    async def rate(self) -> Pace:
        """Transactions a second of 16 clients."""
        return await self._run(CLIENTS)

    async def latency(self) -> Pace:
        """Transactions and latencies of a single client."""
        return await self._run(1, "--log", f"--log-prefix={self._log}")

    async def _run(self, clients: int, *more: str) -> Pace:
        """Run pgbench on empty tables, after a checkpoint, and see that the table holds what it says it did."""
        own = await self.system.connect(DATABASE)
        await own.execute("truncate bill, outbox")
        await own.execute("checkpoint")
        process = await asyncio.create_subprocess_exec(
            str(find_install() / "bin" / "pgbench"),
            *("--no-vacuum", "--protocol=simple", f"--client={clients}", f"--jobs={min(clients, 2)}"),
            *(f"--time={self.seconds}", f"--file={self._script}", *more),
            *(f"--host={HOST}", f"--port={self.system.postgres_port}", "--username=postgres", DATABASE),
            env={"PATH": os.environ["PATH"], "PGPASSWORD": self.system.password},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        said = re.search(rb"tps = ([0-9.]+)", out)
        done = re.search(rb"number of transactions actually processed: (\d+)", out)
        if process.returncode or not said or not done:
            raise Failed(f"pgbench: {err.decode(errors='replace').strip()[-200:]}")
        kept = await own.fetchval("select count(*) from bill")
        await own.close()
        if kept != int(done[1]):
            raise Failed(f"pgbench says {int(done[1]):,} transactions, the table has {kept:,} rows")
        return Pace(float(said[1]), self._latencies() if more else ())

    def _latencies(self) -> tuple[float, ...]:
        found: list[float] = []
        for file in sorted(self._log.parent.glob(f"{self._log.name}.*")):
            found += [int(line.split()[2]) / 1e6 for line in file.read_text().splitlines()]
            file.unlink()
        return tuple(found)


def around(before: Pace, after: Pace) -> float:
    """The rate between two runs."""
    return (before.rate + after.rate) / 2
