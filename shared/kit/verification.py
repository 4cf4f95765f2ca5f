"""Verifying the audit trail against its seals, a bounded step at a time, and the heads that are printed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.database import AuditSealRow
from shared.kit.seal_chain import Finding, Row, check_rows, check_seal, is_whole, row_of
from shared.kit.sealer import AFTER, HIGHEST, LOWEST, ROWS, SNAPSHOT, Life, last_seal, life_of, lives, waiting

BATCHES_A_STEP, ROWS_A_STEP, AT_ONCE = 500, 10_000, 25
# As many strange rows are looked at in one place; that there are more is seen in the next step or after a repair.
STRANGE = 1000
UNSEALED_MINUTES = 10

BETWEEN = text(ROWS + AFTER + " and (xid, seq) <= (:last_xid, :last_seq) order by audit.xid, audit.seq limit :limit")
NUMBERED = text(ROWS + " where seq = any(:seqs)")
SEALED_ELSEWHERE = text(
    "select s from audit_seals, unnest(seqs) s "
    "where seqs && cast(:seqs as bigint[]) and s = any(cast(:seqs as bigint[]))"
)
FUTURE = text("select seq from audit where (xid >= :xmax and seq > :above) or seq > :given order by seq limit :limit")
OVERDUE = text(
    "select count(*), min(seq) from audit where (xid, seq) > (:xid, :seq) and seq > :above and xid < :horizon "
    "and at < clock_timestamp() - make_interval(mins => :minutes)"
)
HEADS = text(
    """
    select d::date as day, s.epoch, s.batch, s.chain, s.last - coalesce(b.last, 0) as count, s.last as total
    from generate_series(cast(:first as date)::timestamp, cast(:last as date)::timestamp, interval '1 day') d
    cross join lateral (
        select epoch, batch, chain, last from audit_seals
        where sealed_at >= d at time zone 'Asia/Shanghai'
          and sealed_at < (d + interval '1 day') at time zone 'Asia/Shanghai'
        order by sealed_at desc, batch desc limit 1) s
    left join lateral (
        select last from audit_seals where sealed_at < d at time zone 'Asia/Shanghai'
        order by sealed_at desc, batch desc limit 1) b on true
    order by d
    """
)


@dataclass
class Step:
    """What one step found: up to which batch it came, and whether there are more."""

    batch: int = 0
    chain: str = ""
    batches: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    more: bool = False


class Verification:
    """One step through the chain, from a batch on."""

    def __init__(self, session: AsyncSession, all_lives: list[Life]) -> None:
        self.session, self.lives, self.step = session, all_lives, Step()
        self.epochs: dict[int, UUID] = {life.epoch.epoch: life.epoch.epoch_id for life in all_lives}
        self.lost = {life.epoch.epoch: (life.epoch.forked_after, life.epoch.forked_chain) for life in all_lives}
        self.latest = ""
        self.anchors: list[tuple[int, str, int]] = []

    async def run(self, after: int) -> Step:
        """Verify the batches after this one, as many as a step may."""
        before = await self._seal_at(after) if after else None
        if before is not None:
            found = await self._numbered([before.seqs[-1]]) if before.seqs else []
            self.latest = found[0].at if found else ""
        while self.step.batches < BATCHES_A_STEP and self.step.rows < ROWS_A_STEP:
            position = before.batch if before else after
            query = select(AuditSealRow).where(AuditSealRow.batch > position).order_by(AuditSealRow.batch)
            seals = list(await self.session.scalars(query.limit(AT_ONCE)))
            for seal in seals:
                await self._batch(seal, before)
                self.session.expunge(seal)
                before = seal
            if len(seals) < AT_ONCE:
                await self._end()
                break
        else:
            self.step.more = True
        await self._check_anchors()
        if before is not None:
            self.step.batch, self.step.chain = before.batch, before.chain.hex()
        return self.step

    async def _batch(self, seal: AuditSealRow, before: AuditSealRow | None) -> None:
        step = self.step
        step.findings += check_seal(seal, before, self.epochs, self.lost)
        whole = is_whole(seal, self.epochs.get(seal.epoch))
        rows = await self._rows_of(seal, before, whole)
        step.findings += check_rows(seal, rows, self.latest, whole=whole)
        step.batches, step.rows = step.batches + 1, step.rows + len(rows)
        if whole and rows:
            self.latest = max(self.latest, *(row.at for row in rows))
        for row in rows:
            if anchor := row.anchor():
                self.anchors.append((*anchor, row.seq))

    async def _rows_of(self, seal: AuditSealRow, before: AuditSealRow | None, whole: bool) -> list[Row]:
        """The rows a batch sealed, and any other that stands among them."""
        rows: dict[int, Row] = {}
        if whole:
            xid, seq = seal.first_xid, seal.seqs[0] - 1
            life = self.lives[life_of(seal.seqs[0], self.lives)]
            if before is None:
                xid, seq = LOWEST, LOWEST
            elif before.batch == seal.batch - 1 and is_whole(before, self.epochs.get(before.epoch)):
                same = life.above < before.seqs[-1] <= life.upto
                if not same:
                    rows |= await self._left_behind(before)
                xid, seq = (before.last_xid, before.seqs[-1]) if same else (LOWEST, LOWEST)
            asked = {"xid": xid, "seq": seq, "above": life.above, "upto": life.upto}
            upto = {"last_xid": seal.last_xid, "last_seq": seal.seqs[-1], "limit": seal.count + STRANGE}
            found = (await self.session.execute(BETWEEN, asked | upto)).all()
            rows |= {row.seq: row for row in map(row_of, found)}
        sealed = set(seal.seqs)
        if strange := rows.keys() - sealed:
            # A sealed row that was given another transaction number is changed, not inserted: its own batch says so.
            for seq in await self._sealed_elsewhere(sorted(strange)):
                del rows[seq]
        missing = sorted(sealed - rows.keys())
        if missing:
            rows |= {row.seq: row for row in await self._numbered(missing)}
        return list(rows.values())

    async def _left_behind(self, before: AuditSealRow) -> dict[int, Row]:
        """Rows of an earlier life that nobody sealed though its sealing has ended."""
        life = self.lives[life_of(before.seqs[-1], self.lives)]
        asked = {"xid": before.last_xid, "seq": before.seqs[-1], "above": life.above, "upto": life.upto}
        upto = {"last_xid": HIGHEST, "last_seq": HIGHEST, "limit": STRANGE}
        return {row.seq: row for row in map(row_of, (await self.session.execute(BETWEEN, asked | upto)).all())}

    async def _sealed_elsewhere(self, seqs: list[int]) -> set[int]:
        return set(await self.session.scalars(SEALED_ELSEWHERE, {"seqs": seqs}))

    async def _numbered(self, seqs: list[int]) -> list[Row]:
        return [row_of(values) for values in (await self.session.execute(NUMBERED, {"seqs": seqs})).all()]

    async def _seal_at(self, batch: int) -> AuditSealRow | None:
        query = select(AuditSealRow).where(AuditSealRow.batch <= batch).order_by(AuditSealRow.batch.desc())
        return await self.session.scalar(query.limit(1))

    async def _end(self) -> None:
        """What can only be seen at the end: rows that claim to come from the future, and rows nobody seals."""
        if early := set(await self._from_the_future()):
            # Asked again: a row may have been written between the two questions.
            early &= set(await self._from_the_future())
            for seq in sorted(early - await self._sealed_elsewhere(sorted(early))):
                self._say("row_inserted", None, seq, f"审计记录 {seq} 的编号或事务号尚未发出，是插入的。")
        last, life = await last_seal(self.session), self.lives[-1]
        same = last is not None and life.above < last.last_seq
        after = {"xid": last.last_xid, "seq": last.last_seq} if same else {"xid": LOWEST, "seq": LOWEST}
        horizon = (await self.session.execute(SNAPSHOT)).one()[0]
        late = {"above": life.above, "horizon": horizon, "minutes": UNSEALED_MINUTES}
        count, first = (await self.session.execute(OVERDUE, after | late)).one()
        if count:
            self._say("rows_unsealed", None, first, f"有 {count} 条审计记录逾 {UNSEALED_MINUTES} 分钟未封存。")

    async def _from_the_future(self) -> list[int]:
        """Rows under a number or a transaction that has not been given out."""
        sequence = await self.session.scalar(text("select pg_get_serial_sequence('audit', 'seq')"))
        given = await self.session.scalar(text(f"select last_value from {sequence}"))
        xmax = (await self.session.execute(SNAPSHOT)).one()[1]
        return list(
            await self.session.scalars(
                FUTURE, {"xmax": xmax, "given": given, "above": self.lives[-1].above, "limit": STRANGE}
            )
        )

    async def _check_anchors(self) -> None:
        """The chain hashes that earlier verifications were told are still the chain's."""
        wanted = {batch for batch, _, _ in self.anchors}
        if not wanted:
            return
        query = select(AuditSealRow.batch, AuditSealRow.chain).where(AuditSealRow.batch.in_(wanted))
        chains = {batch: chain.hex() for batch, chain in (await self.session.execute(query)).all()}
        for batch, chain, seq in self.anchors:
            if chains.get(batch) != chain:
                said = f"审计记录 {seq} 记下的第 {batch} 批链值与现存不符：封存链曾被重写。"
                self._say("chain_rewritten", batch, seq, said)

    def _say(self, kind: str, batch: int | None, seq: int | None, detail: str) -> None:
        self.step.findings.append(Finding(kind, batch, seq, detail))


async def verify(session: AsyncSession, after: int) -> Step:
    """One bounded step through the chain."""
    all_lives = await lives(session)
    if not all_lives:
        return Step(findings=[Finding("epoch_changed", None, None, "纪元表被清空，无法核验。")])
    return await Verification(session, all_lives).run(after)


async def unsealed(session: AsyncSession) -> int:
    """How many rows at rest wait for the sealer, up to a thousand."""
    all_lives = await lives(session)
    return len(await waiting(session, await last_seal(session), all_lives, STRANGE)) if all_lives else 0


async def heads(session: AsyncSession, first: date, last: date) -> list[Any]:
    """The newest seal of each day on which something was sealed."""
    return list((await session.execute(HEADS, {"first": first, "last": last})).all())


async def head_of(session: AsyncSession, batch: int) -> list[Any]:
    """One batch as a head, for comparing with paper."""
    seal = AuditSealRow
    day = func.date(func.timezone("Asia/Shanghai", seal.sealed_at)).label("day")
    query = select(day, seal.epoch, seal.batch, seal.chain, seal.count, seal.last.label("total"))
    return list((await session.execute(query.where(seal.batch == batch))).all())


def forks(all_lives: list[Life]) -> Iterator[dict[str, Any]]:
    """Each restore this database has been through."""
    for life in all_lives[1:]:
        epoch = life.epoch
        yield {
            "epoch": epoch.epoch,
            "epoch_id": epoch.epoch_id,
            "started_at": epoch.started_at,
            "forked_after": epoch.forked_after,
            "note": epoch.note,
        }
