"""Tampering with a sealed audit trail, as one who owns the tables: every kind is found and named."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from sqlalchemy import select, text

from shared.kit.database import AuditRow, AuditSealRow
from shared.kit.scope import SERVICE
from shared.kit.seal_chain import COLUMNS, chain_hash, leaves_of, proof_of, proven, root_of, row_of
from shared.kit.sealer import ROWS, begin_epoch
from tests.conftest import Starter
from tests.kit.trails import Trail

FORGED = (
    "insert into audit ({more}county_code, caller, roles, action, object_type, object_id, detail, request_id, address)"
    " overriding system value values ({values}'450223', 'forger', '', 'read', 'thing', '7', '{{}}', '-', '')"
)


@pytest.fixture
async def trail(starter: Starter) -> AsyncIterator[Trail]:
    """Nine rows in the batches 1 to 3, of three rows each."""
    trail = Trail(await starter.database("treatment"))
    await trail.write(9)
    await trail.seal(3, 3, 3)
    yield trail
    await trail.database.close()


def test_every_column_of_the_table_is_under_the_seal() -> None:
    assert {column.name for column in AuditRow.__table__.columns} == set(COLUMNS)


def test_the_tree_is_that_of_rfc_6962() -> None:
    def by_the_rfc(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        half = 1
        while half * 2 < len(leaves):
            half *= 2
        return hashlib.sha256(b"\x01" + by_the_rfc(leaves[:half]) + by_the_rfc(leaves[half:])).digest()

    for count in range(1, 40):
        leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]
        assert root_of(leaves) == by_the_rfc(leaves)
        for place, leaf in enumerate(leaves):
            path = proof_of(leaves, place)
            assert proven(leaf, path, root_of(leaves))
            assert not proven(leaves[place - 1] if count > 1 else b"", path, root_of(leaves))


def test_what_is_hashed_is_what_the_decision_says_and_stays_so() -> None:
    """A chain may be years old when it is verified: these hashes were computed from decision 0013 alone.

    A part longer than 255 bytes, Chinese, an empty text, and a column that the owner of the tables made null.
    """
    texts = ("7", "2018-08-11T01:30:05.123456", "450223", "dr.wei", "doctor,auditor", "read", "discharge", "ZY-1")
    row = row_of((7, -3, *texts, '{"张": "' + "住院" * 50 + '"}', "his-77", "", "抽查", None))
    assert row.leaf().hex() == "08e0fd882cd8afc4444032927459c48f8a6fb961d13885fa4b8db54bbcf576c8"
    seal = AuditSealRow(
        batch=2, epoch=1, first=4, last=6, count=3, first_xid=-3, last_xid=9, seqs=[7, -8, 10**12],
        leaves=row.leaf() * 3, root=root_of([row.leaf()] * 3), previous=bytes(range(32)),
        sealed_at=datetime(2018, 8, 11, 9, 30, 5, tzinfo=timezone(timedelta(hours=8))),
    )  # fmt: skip
    assert chain_hash(seal, UUID(int=7)).hex() == "023a0cbfaa7d6223b28d6676686acb6500f961ee565007edb615e7856686abfe"


async def test_an_untouched_trail_is_whole(trail: Trail) -> None:
    step = await trail.verify()
    assert (step.batches, step.rows, step.batch, step.findings) == (3, 9, 3, [])


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("seq", "xid")])
async def test_a_changed_column_is_found_and_its_row_named(trail: Trail, column: str) -> None:
    value = {"at": "at + interval '1 microsecond'", "detail": """detail || '{"n": 4.0}'"""}.get(
        column, f"{column} || ' '"
    )
    await trail.tamper(f"update audit set {column} = {value} where seq = 5")
    assert await trail.found() == {("row_changed", 2, 5)}


async def test_a_row_given_another_transaction_number_is_changed_not_inserted(trail: Trail) -> None:
    await trail.tamper("update audit set xid = 1 where seq = 5", "update audit set xid = xid + 100000 where seq = 9")
    assert await trail.found() == {("row_changed", 2, 5), ("row_changed", 3, 9)}


async def test_a_removed_row_is_named(trail: Trail) -> None:
    await trail.tamper("delete from audit where seq in (1, 6, 9)")
    assert await trail.found() == {("row_removed", 1, 1), ("row_removed", 2, 6), ("row_removed", 3, 9)}


async def test_two_rows_that_changed_places_are_named(trail: Trail) -> None:
    columns = ", ".join(name for name in COLUMNS if name != "seq")
    others = ", ".join(f"b.{name}" for name in COLUMNS if name != "seq")
    await trail.tamper(
        f"update audit a set ({columns}) = (select {others} from audit b where b.seq = 12 - a.seq) where seq in (5, 7)"
    )
    assert await trail.found() == {("row_changed", 2, 5), ("row_changed", 3, 7)}


@pytest.mark.parametrize(
    ("more", "values"),
    [
        ("seq, xid, ", "-4, (select xid from audit where seq = 4), "),
        ("seq, xid, at, ", "500, (select xid from audit where seq = 8), (select at from audit where seq = 8), "),
        ("seq, xid, ", "-4, -1, "),
        ("seq, ", "1000000, "),
        ("xid, ", "9000000000000000000, "),
    ],
)
async def test_an_inserted_row_is_named(trail: Trail, more: str, values: str) -> None:
    await trail.tamper(FORGED.format(more=more, values=values))
    (seq,) = await trail.ask("select seq from audit where caller = 'forger'")
    found = {(kind, row) for kind, _, row in await trail.found()}
    assert found == {("row_inserted", seq)}


@pytest.mark.parametrize("at", ["now() - interval '3 days'", "now() + interval '1 day'", "'infinity'"])
async def test_a_row_added_today_under_another_days_date_is_named(trail: Trail, at: str) -> None:
    await trail.tamper(FORGED.format(more="at, ", values=f"{at}, "))
    await trail.write(1)
    await trail.seal()
    (seq,) = await trail.ask("select seq from audit where caller = 'forger'")
    assert await trail.found() == {("row_misdated", 4, seq)}


@pytest.mark.parametrize(
    "change",
    [
        "root = sha256('x')", "chain = sha256('x')", "previous = sha256('x')", "count = 2", "last_xid = last_xid + 1",
        "seqs = array[4, 6, 5]", "leaves = substr(leaves, 33) || substr(leaves, 1, 32)", "epoch = 7",
        "sealed_at = sealed_at + interval '1 microsecond'", "first_xid = 1", "count = 0", "seqs = '{}'",
    ],
)  # fmt: skip
async def test_a_changed_seal_is_found_and_no_row_is_blamed_for_it(trail: Trail, change: str) -> None:
    await trail.tamper(f"update audit_seals set {change} where batch = 2")
    found = await trail.found()
    assert ("seal_changed", 2, None) in found
    assert {kind for kind, _, _ in found} <= {"seal_changed", "chain_broken", "epoch_changed"}


async def test_a_changed_row_and_its_changed_leaf_are_still_found(trail: Trail) -> None:
    await trail.tamper(
        "update audit set caller = 'nobody' where seq = 5",
        "update audit_seals set leaves = sha256('x') where batch = 2",
    )
    assert ("seal_changed", 2, None) in await trail.found()


async def test_a_missing_batch_is_named_and_its_rows_are_not_called_inserted(trail: Trail) -> None:
    await trail.tamper("delete from audit_seals where batch = 2")
    assert await trail.found() == {("seal_missing", 2, None)}


async def test_the_missing_last_batch_is_found_by_what_the_auditor_was_told(trail: Trail) -> None:
    """Its rows are sealed anew at another moment, so the chain hash is another."""
    told = await trail.verify()
    await trail.write(1)
    async with trail.database.transaction(SERVICE) as session:
        row = await session.get(AuditRow, 10)
        assert row is not None
    await trail.tamper(
        "update audit set object_type = 'audit_seals', "
        f"""detail = '{{"batch": 3, "chain": "{told.chain}"}}' where seq = 10"""
    )
    await trail.seal()
    assert await trail.found() == set()
    await trail.tamper("delete from audit_seals where batch >= 3")
    await trail.seal()
    assert await trail.found() == {("chain_rewritten", 3, 10)}


async def test_a_lost_epoch_is_a_finding_not_a_failure(trail: Trail) -> None:
    await trail.tamper("delete from audit_epochs")
    assert await trail.found() == {("epoch_changed", None, None)}


async def test_rows_nobody_seals_are_reported(trail: Trail) -> None:
    await trail.write(2)
    assert await trail.found() == set()
    await trail.tamper("update audit set at = at - interval '11 minutes' where seq > 9")
    assert await trail.found() == {("rows_unsealed", None, 10)}


async def test_a_chain_that_was_rewritten_as_a_whole_differs_from_the_printed_head(trail: Trail) -> None:
    printed = await trail.verify()
    await trail.tamper("update audit set caller = 'nobody' where seq = 2", "delete from audit_seals")
    await trail.seal(3, 3, 3)
    again = await trail.verify()
    assert again.findings == []
    assert again.batch == printed.batch
    assert again.chain != printed.chain


async def test_one_row_is_proven_without_the_others(trail: Trail) -> None:
    async with trail.database.transaction(SERVICE) as session:
        seal = await session.scalar(select(AuditSealRow).where(AuditSealRow.batch == 2))
        assert seal is not None
        row = row_of((await session.execute(text(ROWS + " where seq = 5"))).one())
    path = proof_of(leaves_of(seal), seal.seqs.index(5))
    assert proven(row.leaf(), path, seal.root)


async def test_a_restored_database_goes_on_in_its_next_epoch(trail: Trail) -> None:
    """What was written before the backup and not yet sealed is sealed then; transaction numbers may begin anew."""
    await trail.write(2)
    owner = Trail(trail.urls.__class__(trail.urls.owner_url, trail.urls.owner_url, ""))
    await trail.tamper("alter table audit alter xid set default (pg_current_xact_id()::text)::bigint - 100")
    async with owner.database.transaction(SERVICE) as session:
        assert await begin_epoch(session, "restored from the copy of yesterday") == 2
    await trail.write(3)
    await trail.seal(2, 3)
    step = await trail.verify()
    assert (step.findings, step.batches, step.rows) == ([], 5, 14)
    assert await trail.ask("select epoch from audit_seals order by batch") == [1, 1, 1, 2, 2]
    await trail.tamper("update audit_epochs set forked_after = 2 where epoch = 2")
    assert await trail.found() == {("epoch_changed", 4, None)}
    await owner.database.close()


async def test_epochs_of_lives_that_were_put_aside_are_left_out(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a younger server all restored rows bear transaction numbers still to come; they hide no row of this life."""
    owner = Trail(trail.urls.__class__(trail.urls.owner_url, trail.urls.owner_url, ""))
    await trail.tamper("alter table audit alter xid set default (pg_current_xact_id()::text)::bigint + 1000000000")
    await trail.write(3)
    await trail.tamper("alter table audit alter xid set default (pg_current_xact_id()::text)::bigint")
    async with owner.database.transaction(SERVICE) as session:
        assert await begin_epoch(session, "restored a second time", above=3, above_seq=5_000_000) == 4
    await trail.write(1)
    await trail.seal()
    assert await trail.found() == set()
    assert await trail.ask("select max(seq) from audit") == [6_000_001]
    monkeypatch.setattr("shared.kit.verification.STRANGE", 2)
    await trail.tamper(
        "update audit set xid = xid + 2000000000 where seq = 6000001", "delete from audit_seals where epoch = 4"
    )
    assert ("row_inserted", None, 6_000_001) in await trail.found()
    await owner.database.close()
