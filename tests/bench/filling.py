"""As many settlements as a county has after years, put into the tables without posting them.

One bill is posted and settled in the ordinary way; its rows in both databases are then copied as often as wanted, each
with ids, numbers, patient, hospital and days of its own. So they look as the services themselves write them, whatever
columns the tables have. Ten settlements belong to each invented patient, so that his list is as long at every size.
"""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg
import msgspec

from deploy.demo.county import INSTITUTIONS
from tests.bench.bills import Bills
from tests.bench.people import CLIENTS
from tests.bench.system import HOST, Failed, System
from tests.bench.wire import Client

PORTION = 50_000
# Most bills name a handful; a million of 4 KB would fill 12 GB with the same words.
DIAGNOSES = 5
OF_EACH_PATIENT = 10
HOSPITALS = ", ".join(f"'{INSTITUTIONS[name]['institution_code']}'" for name in CLIENTS)
COMMON = {
    "discharge_id": "md5('discharge ' || n)::uuid",
    "settlement_id": "md5('settlement ' || n)::uuid",
    "resident_id": f"md5('resident ' || n / {OF_EACH_PATIENT})::uuid",
    "identity_digest": f"md5('number ' || n / {OF_EACH_PATIENT}) || md5('again ' || n / {OF_EACH_PATIENT})",
    "institution_code": f"(array[{HOSPITALS}])[1 + n % {len(CLIENTS)}]",
    "bill_no": "'GROWTH-' || n",
    "admission_no": "'GROWTH-' || n",
    "made_at": "now() - make_interval(secs => 2000000 - n)",
    "recorded_at": "now() - make_interval(secs => 2000000 - n)",
}
TABLES = {
    "safety_net": ("bills", "settlements"),
    "treatment": ("discharges", "bill_versions", "bill_settlements"),
}
COLUMNS = """
    select column_name from information_schema.columns
    where table_schema = current_schema() and table_name = $1 and is_identity = 'NO' and is_generated = 'NEVER'
    order by ordinal_position
"""

# A large copy goes faster without them; those behind a constraint stay.
INDEXES = """
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made from pg_index
    where indrelid = any (select to_regclass(name) from unnest($1::text[]) name)
      and not exists (select from pg_constraint where conindid = indexrelid)
    order by 1
"""


def settlement_id(number: int) -> str:
    """The SQL of the id of settlement ``number``, counted from 1."""
    return f"md5('settlement {number}')::uuid"


def resident_id(number: int) -> str:
    """The SQL of the id of the patient of settlement ``number``."""
    return f"md5('resident {number // OF_EACH_PATIENT}')::uuid"


class Filling:
    """The copied rows of a system; `up_to` adds to what is there."""

    def __init__(self, system: System, said: Callable[[str], None]) -> None:
        self.system, self.said = system, said
        self.count = 0
        self._template = ""

    async def up_to(self, count: int) -> None:
        """Add settlements until there are so many, then bring the planner's figures up to date."""
        if not self._template:
            self._template = await self._settle_one()
        await self._room_for_the_log("'8GB'")
        await asyncio.gather(*(self._fill(database, self.count + 1, count) for database in TABLES))
        await self._room_for_the_log("default")
        self.count = count

    async def _room_for_the_log(self, size: str) -> None:
        """Let the server write its log without a checkpoint at every turn, while it is only being filled."""
        connection = await self.system.connect("postgres")
        await connection.execute("checkpoint")
        await connection.execute(f"alter system set max_wal_size to {size}")
        await connection.execute("select pg_reload_conf()")
        await connection.close()

    async def _settle_one(self) -> str:
        tokens = await self.system.tokens()
        bills = Bills("template", self.system.place, tokens, self.system.residents, DIAGNOSES)
        client = Client(HOST, self.system.port)
        for _ in range(50):
            status, body = await client.ask(bills.waiting())
            bill = msgspec.json.decode(body)
            if status == 201 and bill["state"] == "settled":
                client.close()
                return str(bill["discharge_id"])
        raise Failed("no bill was settled that could be copied")

    async def _fill(self, database: str, first: int, last: int) -> None:
        connection = await self.system.connect(database)
        # The copies refer to one another as their templates do: looking each one up would only take time.
        await connection.execute("set session_replication_role = replica")
        indexes = await connection.fetch(INDEXES, list(TABLES[database])) if last - first > PORTION else []
        for index in indexes:
            await connection.execute(f"drop index {index['name']}")
        for start in range(first, last + 1, PORTION):
            end = min(start + PORTION - 1, last)
            for table in TABLES[database]:
                await _copies(connection, table, self._template, start, end)
            self.said(f"{database}: {end:,} of {last:,}")
        for index in indexes:
            await connection.execute(index["made"])
        self.said(f"{database}: {len(indexes)} indexes made again")
        for table in TABLES[database]:
            await connection.execute(f"vacuum analyze {table}")
            rows = await connection.fetchval(f"select count(*) from {table}")
            if rows < last:
                raise Failed(f"{database}: {table} has {rows:,} rows, not {last:,}")
        await connection.execute("checkpoint")
        await connection.close()


async def _copies(connection: asyncpg.Connection, table: str, template: str, first: int, last: int) -> None:
    """Copy the template's row of one table, once for each number."""
    columns = [row["column_name"] for row in await connection.fetch(COLUMNS, table)]
    values = ", ".join(_value(column, COMMON) for column in columns)
    await connection.execute(
        f"insert into {table} ({', '.join(columns)}) select {values} "
        f"from (select * from {table} where discharge_id = '{template}' limit 1) t, generate_series({first}, {last}) n"
    )


def _value(column: str, changed: Mapping[str, str]) -> str:
    # What is empty in the template, as the settlement that took its place, stays empty in the copies.
    if column in changed:
        return f"case when t.{column} is null then null else {changed[column]} end"
    return f"t.{column}"
