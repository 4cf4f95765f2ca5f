"""Sealing the audit trail: batches of what can no longer be preceded, chained behind the writers' backs.

Writers never wait: they add rows, and a job of the service's worker seals what has come to rest. A row is at rest when
every transaction up to its own has ended (``pg_snapshot_xmin``), so a late commit is sealed later, never skipped. Two
sealers take turns by a lock that ends with the transaction; a killed one leaves nothing half done, for a batch is one
row in one transaction.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.database import AuditEpochRow, AuditSealRow, Database
from shared.kit.scope import SERVICE
from shared.kit.seal_chain import COLUMNS, NOTHING_BEFORE, Row, chain_hash, root_of, row_of

SEAL_EVERY_SECONDS = 0.4
BATCH = 1000
SEALER_LOCK = 7_310_002
LOWEST, HIGHEST = -(2**63), 2**63 - 1
# After a restore numbers are not given out again: those of the lost days stand on paper.
GAP = 1_000_000

_TEXTS = {
    "at": """coalesce(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), at::text)""",
    **{name: f"{name}::text" for name in ("seq", "detail", "xid")},
}
ROWS = f"select seq, xid, {', '.join(_TEXTS.get(name, name) for name in COLUMNS)} from audit"
AFTER = " where (xid, seq) > (:xid, :seq) and seq > :above and seq <= :upto"
WAITING = text(ROWS + AFTER + " and xid < :horizon order by audit.xid, audit.seq limit :limit")
SNAPSHOT = text(
    "select pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint from pg_current_snapshot() now"
)


@dataclass(frozen=True)
class Life:
    """One epoch's rows: the numbers they bear. A life's transaction numbers may begin anew after a restore."""

    epoch: AuditEpochRow
    above: int
    upto: int


async def lives(session: AsyncSession) -> list[Life]:
    """Every life of this database, the oldest first."""
    epochs = list(await session.scalars(select(AuditEpochRow).order_by(AuditEpochRow.epoch)))
    floors = [LOWEST, *(epoch.floor_seq for epoch in epochs[1:]), HIGHEST]
    return [Life(epoch, floors[i], floors[i + 1]) for i, epoch in enumerate(epochs)]


def life_of(seq: int, all_lives: list[Life]) -> int:
    """In which life a row was written, as a place in the list."""
    return next(i for i, life in enumerate(all_lives) if seq <= life.upto)


async def last_seal(session: AsyncSession) -> Any:
    """The newest seal's position, without its leaves; None before the first."""
    seal = AuditSealRow
    last_seq = func.coalesce(seal.seqs[func.cardinality(seal.seqs)], 0).label("last_seq")
    query = select(seal.batch, seal.last, seal.last_xid, last_seq, seal.chain, seal.sealed_at)
    return (await session.execute(query.order_by(seal.batch.desc()).limit(1))).one_or_none()


async def seal_audit(database: Database) -> None:
    """Seal whatever is at rest, a batch a transaction."""
    while await seal_some(database) == BATCH:
        pass


async def seal_some(database: Database, limit: int = BATCH) -> int:
    """Seal one batch; how many rows it has. None when another sealer is at it."""
    async with database.transaction(SERVICE) as session:
        if not await session.scalar(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": SEALER_LOCK}):
            return 0
        before = await last_seal(session)
        all_lives = await lives(session)
        rows = await waiting(session, before, all_lives, limit)
        if rows:
            await _seal(session, before, all_lives[-1].epoch, rows)
        return len(rows)


async def waiting(session: AsyncSession, before: Any, all_lives: list[Life], limit: int) -> list[Row]:
    """The next rows at rest, in the order of their transactions; never of two lives at once."""
    place = life_of(before.last_seq, all_lives) if before else 0
    xid, seq = (before.last_xid, before.last_seq) if before else (LOWEST, LOWEST)
    for number, life in enumerate(all_lives[place:], place):
        # What came out of a backup is at rest, whatever its transactions were called in the other life.
        horizon: int = HIGHEST
        if number == len(all_lives) - 1:
            # Asked before the rows: what ends in between is merely sealed the next time.
            horizon = (await session.execute(SNAPSHOT)).one()[0]
        asked = {"above": life.above, "upto": life.upto, "horizon": horizon, "limit": limit}
        found = (await session.execute(WAITING, {"xid": xid, "seq": seq, **asked})).all()
        if found:
            return [row_of(values) for values in found]
        xid, seq = LOWEST, LOWEST
    return []


async def _seal(session: AsyncSession, before: Any, epoch: AuditEpochRow, rows: list[Row]) -> None:
    leaves = [row.leaf() for row in rows]
    # The rows' own clock: another machine's may be minutes apart, and the rows would look misdated.
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    seal = AuditSealRow(
        batch=before.batch + 1 if before else 1,
        epoch=epoch.epoch,
        first=before.last + 1 if before else 1,
        last=(before.last if before else 0) + len(rows),
        count=len(rows),
        first_xid=rows[0].xid,
        last_xid=rows[-1].xid,
        seqs=[row.seq for row in rows],
        leaves=b"".join(leaves),
        root=root_of(leaves),
        previous=before.chain if before else NOTHING_BEFORE,
        # A clock that is put back does not put the chain back.
        sealed_at=max(now, before.sealed_at) if before else now,
    )
    seal.chain = chain_hash(seal, epoch.epoch_id)
    session.add(seal)


async def begin_epoch(session: AsyncSession, note: str, *, above: int = 0, above_seq: int = 0) -> int:
    """Begin the next life of a database that came out of a backup; its number. Needs the owner's rights.

    To be called by the restore before any service writes: numbers go on above all that the lost days may have used.
    ``above`` and ``above_seq`` are the epoch and the row number that the database put aside had come to: a backup that
    is restored twice must not give the second life the first one's number.
    """
    await session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": SEALER_LOCK})
    before = await last_seal(session)
    number = max((await lives(session))[-1].epoch.epoch, above) + 1
    sequence = await session.scalar(text("select pg_get_serial_sequence('audit', 'seq')"))
    given = await session.scalar(text(f"select greatest(max(seq), (select last_value from {sequence})) from audit"))
    floor = max(int(given), above_seq) + GAP
    await session.execute(text("select setval(:sequence, :floor)"), {"sequence": sequence, "floor": floor})
    await session.execute(
        insert(AuditEpochRow).values(
            epoch=number,
            forked_after=before.batch if before else 0,
            forked_chain=before.chain if before else NOTHING_BEFORE,
            floor_seq=floor,
            note=note,
        )
    )
    return number
