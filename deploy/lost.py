"""What a restore took back, found by asking the other databases: nothing of it may go unnamed.

A restored service has forgotten what the others still know of it. Here it is listed for the people who must put it
right, and told which of it can be said again. Only ids, numbers of bills and amounts: no name, no identity number.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from deploy.databases import count_rows

CHUNK = 5000

SHOWN = """
    select discharge_id, settlement_id, revision, state, settlement ->> 'decision_id' as decision_id,
           settlement -> 'amounts' ->> 'safety_net' as amount
    from bill_settlements where discharge_id > $1 order by discharge_id limit $2
"""
MADE = """
    select b.discharge_id, b.settlement_revision, array_agg(s.settlement_id) as settlements
    from bills b left join settlements s using (discharge_id) where b.discharge_id = any($1) group by 1, 2
"""
BILL_NUMBERS = "select discharge_id, institution_code, bill_no, version from discharges where discharge_id = any($1)"
HEARD = """
    select b.discharge_id, b.version, b.voided, b.facts ->> 'institution_code' as institution_code,
           b.facts ->> 'bill_no' as bill_no, s.state, s.safety_net_fen
    from bills b left join settlements s on s.discharge_id = b.discharge_id and s.state <> 'superseded'
    where b.discharge_id > $1 order by b.discharge_id limit $2
"""
COPIES = {
    "resident": "select resident_id::text as key, revision, county_code from resident_copies",
    "institution": "select institution_code as key, revision, county_code from institution_copies",
}
REGISTERED = {
    "resident": "select resident_id::text as key, revision from residents",
    "institution": "select institution_code as key, revision from institutions",
}
DECIDED = """
    select d.county_code, d.decision_id, d.settlement_id, d.decision, d.state, d.amount_fen, d.proposed_by, d.closed_by,
           b.facts ->> 'institution_code' as institution_code, b.facts ->> 'bill_no' as bill_no
    from decisions d join settlements s using (county_code, settlement_id) join bills b using (discharge_id)
    order by d.seq
"""
NOTHING = "00000000-0000-0000-0000-000000000000"


@dataclass
class Lost:
    """What is to be said again (by service: kind → keys), what peers must forget, and lines for people by heading."""

    again: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    phantoms: dict[str, set[str]] = field(default_factory=dict)
    lines: dict[str, dict[str, None]] = field(default_factory=dict)

    def name(self, heading: str, line: str) -> None:
        """Put a line under a heading; once, though two may tell of it."""
        self.lines.setdefault(heading, {})[line] = None

    def say_again(self, service: str, kind: str, key: str) -> None:
        """Have a service say something again."""
        self.again.setdefault(service, {}).setdefault(kind, set()).add(key)


async def compare(databases: Mapping[str, asyncpg.Connection], restored: set[str]) -> Lost:
    """What the restored services forgot and others know. Asked before their revisions are raised."""
    lost = Lost()
    if "treatment" in databases and "safety_net" in databases and restored & {"treatment", "safety_net"}:
        await _settlements_unmade(databases["treatment"], databases["safety_net"], lost)
        await _bills_unrecorded(databases["treatment"], databases["safety_net"], lost)
    if "contract" in restored:
        for listener in ("treatment", "safety_net"):
            if listener in databases:
                await _registrations_undone(databases["contract"], databases[listener], lost)
    return lost


async def _settlements_unmade(treatment: asyncpg.Connection, safety_net: asyncpg.Connection, lost: Lost) -> None:
    """Settlements that hospitals were shown and safety-net does not know."""
    async for shown in _pages(treatment, SHOWN):
        ids = [row["discharge_id"] for row in shown]
        made = {row["discharge_id"]: row for row in await safety_net.fetch(MADE, ids)}
        bills = {row["discharge_id"]: row for row in await treatment.fetch(BILL_NUMBERS, ids)}
        for row in shown:
            known, bill = made.get(row["discharge_id"]), bills.get(row["discharge_id"])
            unknown = known is None or row["settlement_id"] not in known["settlements"]
            if known is not None and (unknown or row["revision"] > known["settlement_revision"]):
                lost.say_again("safety_net", "settlement", str(row["discharge_id"]))
            if not unknown:
                continue
            if known is None or known["settlements"] == [None]:
                # It is made anew and told from the beginning: what is kept of the former one must not count as newer.
                lost.phantoms.setdefault("settlement", set()).add(str(row["discharge_id"]))
            which = _bill(bill, row["discharge_id"])
            said = f"{which}: settlement {row['settlement_id']}, {row['state']}, {row['amount']}"
            if row["decision_id"] is not None:
                said = f"{said}, by decision {row['decision_id']}"
                lost.name("decisions of the office that are lost: the office decides again", said)
            else:
                lost.name("settlements that are made anew, under another number", said)


async def _bills_unrecorded(treatment: asyncpg.Connection, safety_net: asyncpg.Connection, lost: Lost) -> None:
    """Bills, corrections and voids that safety-net heard of and treatment does not know."""
    async for heard in _pages(safety_net, HEARD):
        ids = [row["discharge_id"] for row in heard]
        known = {row["discharge_id"]: row for row in await treatment.fetch(BILL_NUMBERS, ids)}
        for row in heard:
            bill = known.get(row["discharge_id"])
            said = f"{_bill(row, row['discharge_id'])}: version {row['version']}, {row['state'] or 'not settled'}"
            if row["safety_net_fen"] is not None:
                said = f"{said}, {row['safety_net_fen'] // 100}.{row['safety_net_fen'] % 100:02d}"
            if bill is None:
                lost.name("bills that treatment-service lacks: their hospitals send them again, as they were", said)
            elif bill["version"] < row["version"]:
                kind = "voids" if row["voided"] else "corrections"
                lost.name(f"{kind} that treatment-service lacks: they are entered again, as they were", said)


async def _registrations_undone(contract: asyncpg.Connection, peer: asyncpg.Connection, lost: Lost) -> None:
    """Residents and institutions that others know later states of, or that are registered nowhere any more."""
    for kind in COPIES:
        registered = {row["key"]: row["revision"] for row in await contract.fetch(REGISTERED[kind])}
        for row in await peer.fetch(COPIES[kind]):
            said = f"{kind} {row['key']} (county {row['county_code']})"
            if row["key"] not in registered:
                lost.phantoms.setdefault(kind, set()).add(row["key"])
                lost.name("registrations that are lost: they are entered again", said)
            elif row["revision"] > registered[row["key"]]:
                lost.say_again("contract", kind, row["key"])
                lost.name("changes of registrations that are lost: they are entered again", said)


FORGET = {
    "resident": (
        "delete from resident_identities where resident_id = any($1::text[]::uuid[])",
        "delete from resident_copies where resident_id = any($1::text[]::uuid[])",
    ),
    "institution": ("delete from institution_copies where institution_code = any($1)",),
}
FORGET_SETTLEMENTS = "delete from bill_settlements where discharge_id = any($1::text[]::uuid[])"


async def forget_phantoms(peer: asyncpg.Connection, listener: str, lost: Lost) -> None:
    """Take out of a listener's copies what exists nowhere any more: registered or settled again it gets another id."""
    statements = {**FORGET, "settlement": (FORGET_SETTLEMENTS,) if listener == "treatment" else ()}
    for kind, keys in lost.phantoms.items():
        listed = sorted(keys)
        for start in range(0, len(listed), CHUNK):
            for statement in statements[kind]:
                await peer.execute(statement, listed[start : start + CHUNK])


async def compare_with_kept(service: str, kept: asyncpg.Connection, now: asyncpg.Connection, lost: Lost) -> None:
    """What the database that was put aside holds beyond the restored one: each decision, else how many rows."""
    before, after = await count_rows(kept), await count_rows(now)
    for table, count in sorted(before.items()):
        if count > after.get(table, 0):
            lost.name("rows that only the database put aside has", f"{service}.{table}: {count - after.get(table, 0)}")
    if service == "safety_net":
        stands = {row["decision_id"]: row["state"] for row in await now.fetch(DECIDED)}
        for row in await kept.fetch(DECIDED):
            if stands.get(row["decision_id"]) != row["state"]:
                said = f"{_bill(row, '')}: {row['decision']}, {row['state']}, decision {row['decision_id']}"
                said = f"{said}, proposed by {row['proposed_by']}"
                lost.name(
                    "decisions of the office in the database put aside that do not stand any more",
                    f"{said}, closed by {row['closed_by']}" if row["closed_by"] else said,
                )


async def _pages(connection: asyncpg.Connection, query: str) -> AsyncIterator[list[Any]]:
    after: Any = NOTHING
    while rows := await connection.fetch(query, after, CHUNK):
        yield rows
        after = rows[-1]["discharge_id"]


def _bill(bill: Any, discharge_id: Any) -> str:
    """A bill as a hospital knows it."""
    if bill is None or bill["bill_no"] is None:
        return f"discharge {discharge_id}"
    return f"{bill['institution_code']} bill {bill['bill_no']}"
