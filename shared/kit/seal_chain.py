"""The audit trail's hash chain, as pure functions: what a row, a batch and a link are, and what is wrong with them.

A leaf is the hash of every column of one row. A batch has the root of its leaves' Merkle tree (RFC 6962's shape), and
its chain hash covers the batch before it: whoever holds one printed chain hash holds everything sealed until then.
Written out in decision 0013, so that an auditor may compute it with tools of their own.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from shared.kit.database import AuditSealRow

HASH = 32
NOTHING_BEFORE = bytes(HASH)
# Every column of the row, in this order; a test compares the list with the table.
COLUMNS = (
    "seq", "at", "county_code", "caller", "roles", "action", "object_type", "object_id",
    "detail", "request_id", "address", "reason", "xid",
)  # fmt: skip
ROW_TAG = b"\x00three-batches audit row 1 " + ",".join(COLUMNS).encode()
CHAIN_TAG = b"\x02three-batches audit chain 1"
# Rows are sealed in the order of their transactions. A row may be this much older than those sealed before it (a long
# transaction), or this much newer than its seal (a clock put right), before it is said to bear a false date.
OLDER, NEWER = timedelta(hours=1), timedelta(minutes=5)
MOMENT = "%Y-%m-%dT%H:%M:%S.%f"
# Written out once: thousands of rows a second are sealed, and nearly all their parts are as short as these.
_LENGTHS = [length.to_bytes(8) for length in range(256)]


class Row(msgspec.Struct, frozen=True):
    """A row of the trail as the database writes it: numbers whole, the moment in UTC with microseconds, all as text."""

    seq: int
    xid: int
    texts: tuple[str, ...]

    @property
    def at(self) -> str:
        """When, as `MOMENT` writes it: texts that sort as the moments do."""
        return self.texts[COLUMNS.index("at")]

    def leaf(self) -> bytes:
        """The hash of all its columns."""
        return hashlib.sha256(ROW_TAG + packed(map(str.encode, self.texts))).digest()

    def anchor(self) -> tuple[int, str] | None:
        """The chain hash that an auditor was told when this row was written, with its batch."""
        if self.texts[COLUMNS.index("object_type")] != "audit_seals":
            return None
        try:
            said = json.loads(self.texts[COLUMNS.index("detail")])
            return int(said["batch"]), str(said["chain"])
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was sealed: the row by its number, or the batch."""

    kind: str
    batch: int | None
    seq: int | None
    detail: str


def packed(parts: Iterable[bytes]) -> bytes:
    """Parts of any content, each behind its length: no two lists of parts read the same."""
    return b"".join([(_LENGTHS[n] if (n := len(part)) < 256 else n.to_bytes(8)) + part for part in parts])


def _levels(leaves: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The tree from the leaves up; a node without a neighbour moves up as it is."""
    level = list(leaves)
    yield level
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
        yield level


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of these leaves' tree."""
    *_, top = _levels(leaves)
    return top[0] if top else NOTHING_BEFORE


def proof_of(leaves: Sequence[bytes], place: int) -> list[tuple[str, bytes]]:
    """What to hash a leaf with, and on which side, to arrive at the root."""
    path = []
    for level in _levels(leaves):
        neighbour = place ^ 1
        if neighbour < len(level):
            path.append(("left" if neighbour < place else "right", level[neighbour]))
        place //= 2
    return path


def proven(leaf: bytes, path: Iterable[tuple[str, bytes]], root: bytes) -> bool:
    """Whether a leaf stands under a root."""
    for side, neighbour in path:
        pair = neighbour + leaf if side == "left" else leaf + neighbour
        leaf = hashlib.sha256(b"\x01" + pair).digest()
    return leaf == root


def moment(at: datetime) -> str:
    """A moment as the leaves write it."""
    return at.astimezone(UTC).strftime(MOMENT)


def chain_hash(seal: AuditSealRow, epoch_id: UUID) -> bytes:
    """The hash that binds a batch to all before it."""
    numbers = (seal.epoch, seal.batch, seal.first, seal.last, seal.count, seal.first_xid, seal.last_xid)
    parts = [
        seal.previous,
        epoch_id.bytes,
        *(str(number).encode() for number in numbers),
        hashlib.sha256(packed([b"%d" % seq for seq in seal.seqs])).digest(),
        seal.root,
        moment(seal.sealed_at).encode(),
    ]
    return hashlib.sha256(CHAIN_TAG + packed(parts)).digest()


def leaves_of(seal: AuditSealRow) -> list[bytes]:
    """The leaves kept with a batch."""
    return [seal.leaves[i : i + HASH] for i in range(0, len(seal.leaves), HASH)]


def is_whole(seal: AuditSealRow, epoch_id: UUID | None) -> bool:
    """Whether a seal is what was sealed: its hashes and its counts agree with each other."""
    return (
        epoch_id is not None
        and seal.count == len(seal.seqs) == seal.last - seal.first + 1
        and seal.count > 0
        and seal.chain == chain_hash(seal, epoch_id)
        and len(seal.leaves) == HASH * seal.count
        and seal.root == root_of(leaves_of(seal))
    )


def check_seal(
    seal: AuditSealRow, before: AuditSealRow | None, epochs: Mapping[int, UUID], lost: Mapping[int, tuple[int, bytes]]
) -> Iterator[Finding]:
    """What is wrong with a seal and its link to the one before. ``lost``: where each epoch forked off, from what."""
    batch = seal.batch
    if not is_whole(seal, epochs.get(seal.epoch)):
        yield Finding("seal_changed", batch, None, f"第 {batch} 批的封存记录被改动。")
    expected = before.batch + 1 if before else 1
    if batch != expected:
        gone = f"{expected}" if expected == batch - 1 else f"{expected} 至 {batch - 1}"
        rows = f"{before.last + 1 if before else 1} 至 {seal.first - 1}"
        yield Finding("seal_missing", expected, None, f"第 {gone} 批的封存记录缺失（所封第 {rows} 行）。")
        return
    chain, last = (before.chain, before.last) if before else (NOTHING_BEFORE, 0)
    earlier = before is not None and (seal.sealed_at < before.sealed_at or seal.epoch < before.epoch)
    if seal.previous != chain or seal.first != last + 1 or earlier:
        yield Finding("chain_broken", batch, None, f"第 {batch} 批与前一批不相衔接。")
    since = before.epoch if before else 1
    # Numbers may be left out: they belong to lives of this database that were put aside by a restore.
    for epoch in sorted(number for number in {*lost, seal.epoch} if since < number <= seal.epoch):
        if lost.get(epoch) != (batch - 1, chain):
            yield Finding("epoch_changed", batch, None, f"第 {epoch} 纪元的起点与第 {batch - 1} 批不符。")


def check_rows(seal: AuditSealRow, rows: Sequence[Row], latest: str, *, whole: bool) -> Iterator[Finding]:
    """What is wrong with the rows of a batch: those it sealed, and those that stand among them.

    ``latest`` is the moment of the last row sealed before (see `dated_falsely`).
    """
    batch, known = seal.batch, {row.seq: row for row in rows}
    found = [known[seq].leaf() if seq in known else b"" for seq in seal.seqs]
    sealed = leaves_of(seal)
    in_order = [row.leaf() for row in sorted(rows, key=lambda row: (row.xid, row.seq))]
    if not whole and seal.root in (root_of(found), root_of(in_order)):
        # Only the seal's own words were altered: the rows still lead to the root that the chain holds.
        return
    for place, seq in enumerate(seal.seqs):
        if seq not in known:
            yield Finding("row_removed", batch, seq, f"审计记录 {seq} 已被删除。")
        elif place >= len(sealed) or found[place] != sealed[place]:
            yield Finding("row_changed", batch, seq, f"审计记录 {seq} 封存后被改动。")
    inside = set(seal.seqs)
    for row in rows:
        if row.seq not in inside:
            yield Finding("row_inserted", batch, row.seq, f"审计记录 {row.seq} 是封存后插入的。")
    if not whole or found != sealed:
        return
    keys = [(known[seq].xid, seq) for seq in seal.seqs]
    if keys != sorted(set(keys)) or (keys[0][0], keys[-1][0]) != (seal.first_xid, seal.last_xid):
        yield Finding("seal_changed", batch, None, f"第 {batch} 批的行序有误。")
    for seq in dated_falsely([known[seq] for seq in seal.seqs], latest, seal.sealed_at):
        yield Finding("row_misdated", batch, seq, f"审计记录 {seq} 所写时间与其封存次序不符。")


def dated_falsely(rows: Sequence[Row], latest: str, sealed_at: datetime) -> Iterator[int]:
    """Rows whose date does not fit their place: written later under an earlier date, or under one still to come."""
    newest = moment(sealed_at + NEWER)
    for row in rows:
        if row.at > newest or (latest and row.at < shifted(latest, -OLDER)):
            yield row.seq
        else:
            latest = max(latest, row.at)


def shifted(at: str, by: timedelta) -> str:
    """A moment's text, some time earlier or later; the same text when it is no moment that can be moved."""
    try:
        return (datetime.strptime(at, MOMENT).replace(tzinfo=UTC) + by).strftime(MOMENT)
    except (ValueError, OverflowError):
        return at


def row_of(values: Any) -> Row:
    """A row as `sealer.ROWS` selects it: ``seq``, ``xid``, then every column as text."""
    texts = tuple(values[2:])
    if None in texts:
        # Nothing is null by the table's own word; whoever owns the table may have taken that word back.
        texts = tuple("\\N" if text is None else text for text in texts)
    return Row(values[0], values[1], texts)
