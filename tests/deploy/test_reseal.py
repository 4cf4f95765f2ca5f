"""Sealing anew beside somebody who works on the same rows: his word stands, and what can't be opened is left alone."""

import asyncio
import base64
import json
import os
from collections import Counter
from uuid import UUID, uuid4

import asyncpg

from deploy.reseal import PLACES, WAITING, count, reseal, used
from deploy.settings import Urls
from shared.kit.sealing import Keyring
from tests.conftest import Starter
from tests.flow.marks import SEES_ALL

KEYS = {name: base64.b64encode(os.urandom(32)).decode() for name in ("k1", "k2")}
OLD = Keyring(json.dumps({"current": "k1", "keys": {"k1": KEYS["k1"]}}))
RING = Keyring(json.dumps({"current": "k2", "digest": "k1", "keys": KEYS}))
BILL = (
    "insert into bills (discharge_id, version, voided, settlement_revision, facts) "
    "values ($1, 1, false, 0, jsonb_build_object('sealed_name', $2::text, 'total_fen', 12.50))"
)
BILLS = next(place for place in PLACES if place.table == "bills")


async def filled(starter: Starter, names: dict[UUID, str]) -> tuple[Urls, asyncpg.Connection]:
    """A database of safety-net with a bill for each name, and its owner."""
    urls = await starter.database("safety_net")
    owner = await asyncpg.connect(urls.owner_url, server_settings=SEES_ALL)
    for discharge_id, sealed in names.items():
        await owner.execute(BILL, discharge_id, sealed)
    return urls, owner


async def names_of(owner: asyncpg.Connection) -> dict[UUID, str]:
    """The sealed names of the bills."""
    rows = await owner.fetch("select discharge_id, facts ->> 'sealed_name' from bills")
    return {row[0]: row[1] for row in rows}


async def test_who_changes_a_row_meanwhile_is_not_overwritten(starter: Starter) -> None:
    names = {uuid4(): OLD.seal(f"名字{number}") for number in range(40)}
    urls, owner = await filled(starter, names)
    busy = sorted(names)[7]
    other = await asyncpg.connect(urls.owner_url, server_settings=SEES_ALL)
    async with other.transaction():
        await other.execute(
            "update bills set facts = jsonb_build_object('sealed_name', $1::text) where discharge_id = $2",
            OLD.seal("更正后"),
            busy,
        )
        work = asyncio.create_task(reseal({"safety_net": urls.owner_url}, RING, "k2", batch=7, tell=lambda _: None))
        async with asyncio.timeout(60):
            while True:
                if sum(sealed.startswith("k2.") for sealed in (await names_of(owner)).values()) == 39:
                    break
                await asyncio.sleep(0.02)
        assert not work.done(), "one row is still another's"
    assert await work == 0
    after = await names_of(owner)
    assert {sealed.partition(".")[0] for sealed in after.values()} == {"k2"}
    assert RING.open(after.pop(busy)) == "更正后"
    assert {key: RING.open(sealed) for key, sealed in after.items()} == {
        key: OLD.open(sealed) for key, sealed in names.items() if key != busy
    }
    kept = await owner.fetchval("select facts ->> 'total_fen' from bills where discharge_id <> $1 limit 1", busy)
    assert kept == "12.50", "the rest of the content is as it was"
    await owner.close()
    await other.close()


async def test_what_can_not_be_opened_is_left_alone_counted_and_does_not_hold_it_up(starter: Starter) -> None:
    good, strange, spoilt = uuid4(), uuid4(), uuid4()
    sealed = OLD.seal("甲")
    names = {good: sealed, strange: "k7." + sealed[3:], spoilt: sealed[:-6] + "AAAAAA"}
    urls, owner = await filled(starter, names)
    letter = b'\xff not an envelope "sealed_name":"' + sealed.encode() + b'"}'
    await owner.execute(
        "insert into dead_letters (event_id, subject, payload, deliveries, error_type) values ($1, 'x', $2, 6, 'x')",
        uuid4(),
        letter,
    )
    unopened = await reseal({"safety_net": urls.owner_url}, RING, "k2", tell=lambda _: None)
    assert unopened == 2
    after = await names_of(owner)
    assert (after[strange], after[spoilt]) == (names[strange], names[spoilt])
    assert RING.open(after[good]) == "甲"
    payload: bytes = await owner.fetchval("select payload from dead_letters")
    assert payload.startswith(b'\xff not an envelope "sealed_name":"k2.')
    counts = await count({"safety_net": urls.owner_url})
    assert counts[BILLS] == Counter({"k1": 1, "k2": 1, "k7": 1})
    assert used(counts, outbox=True) == {"k1", "k2", "k7"}
    await owner.close()


RESIDENT = """
insert into residents (county_code, resident_id, name, plain_name, sex, birth_date, household_no, relation_to_head,
  village_code, registered_poor, insurance, household_registration, severe_mental_disorder, revision, changed_at)
values ('450223', $1, '测试', '测试', 'male', '1988-05-24', '1', 'head', '450223100001', '[]', '[]', true, false, 1,
  now())
"""
IDENTITY = """
insert into resident_identities (county_code, digest, resident_id, type, sealed_number, sealed_last_four, present)
values ('450223', $1, $2, 'resident_id', $3, $4, false)
"""


async def test_the_last_four_digits_of_before_are_sealed_apart(starter: Starter) -> None:
    urls, resident_id = await starter.database("contract"), uuid4()
    owner = await asyncpg.connect(urls.owner_url, server_settings=SEES_ALL)
    await owner.execute(RESIDENT, resident_id)
    number = "450223198805240008"
    for digest, sealed, last_four in (
        ("before", OLD.seal(number), None),
        ("since", OLD.seal(number), OLD.seal("0008")),
        ("strange", "k7." + OLD.seal(number)[3:], None),
    ):
        await owner.execute(IDENTITY, digest, resident_id, sealed, last_four)
    assert await reseal({"contract": urls.owner_url}, RING, "k2", batch=1, tell=lambda _: None) == 1
    rows = await owner.fetch("select digest, sealed_number, sealed_last_four from resident_identities")
    found = {row["digest"]: (row["sealed_number"], row["sealed_last_four"]) for row in rows}
    assert found.pop("strange")[1] is None, "what can't be opened has no end that could be kept"
    for sealed, last_four in found.values():
        assert sealed.startswith("k2.")
        assert last_four.startswith("k2.")
        assert (RING.open(sealed), RING.open(last_four)) == (number, "0008")
    await owner.close()


async def test_the_outbox_is_counted_and_not_touched(starter: Starter) -> None:
    urls, owner = await filled(starter, {})
    payload = b'{"data":{"sealed_name":"' + OLD.seal("甲").encode() + b'"}}'
    await owner.execute("insert into outbox (event_id, subject, payload) values ($1, 'x', $2)", uuid4(), payload)
    assert await reseal({"safety_net": urls.owner_url}, RING, "k2", tell=lambda _: None) == 0
    assert await owner.fetchval("select payload from outbox") == payload
    counts = await count({"safety_net": urls.owner_url})
    assert used(counts, outbox=True) == {"k1"}
    assert used(counts, outbox=False) == set()
    assert {place.service for place in WAITING} == {"contract", "treatment", "safety_net"}
    await owner.close()
