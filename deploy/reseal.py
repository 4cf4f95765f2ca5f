"""Everything that lies sealed in the three databases, and sealing it again under the newest key.

Small transactions, one after another, beside live traffic. Each takes only rows nobody else holds, seals anew what is
there at that moment, and commits: a kill leaves rows under the old key or under the new one, and both can be opened.
What was locked or came meanwhile is found in the next pass. Run as the owner of the tables: a service may not change
its histories, and this changes how they are sealed, not what they say.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidTag

from deploy.databases import connected
from deploy.settings import SERVICES
from shared.kit.sealing import Keyring, KeyUnknown

BATCH = 200
PAUSE_SECONDS = 0.2
# Passes without any progress before it gives up: what is left is locked for long, or can't be opened.
FRUITLESS = 25
NAME_IN_PAYLOAD = """substring(encode(payload, 'escape') from '"sealed_name":"([^"]+)"')"""


@dataclass(frozen=True)
class Sealed:
    """One place where sealed text lies: a column of text, or a path in a column of JSON, or the payload of an event."""

    service: str
    table: str
    column: str
    path: str = ""

    @property
    def value(self) -> str:
        """The sealed text, as SQL."""
        if self.column == "payload":
            return NAME_IN_PAYLOAD
        return f"{self.column} #>> '{{{self.path}}}'" if self.path else self.column

    @property
    def kid(self) -> str:
        """The name of the key it is sealed with, as SQL."""
        return f"split_part({self.value}, '.', 1)"

    @property
    def becomes(self) -> str:
        """The column with ``$1`` in place of ``$2``, as SQL."""
        if self.column == "payload":
            return "decode(replace(encode(payload, 'escape'), $2::text, $1::text), 'escape')"
        if self.path:
            return f"jsonb_set({self.column}, '{{{self.path}}}', to_jsonb($1::text))"
        return "$1::text"

    def __str__(self) -> str:
        return f"{SERVICES[self.service].label} {self.table}.{self.path.replace(',', '.') or self.column}"


PLACES = (
    Sealed("contract", "residents", "sealed_phone"),
    Sealed("contract", "resident_identities", "sealed_number"),
    Sealed("contract", "resident_identities", "sealed_last_four"),
    Sealed("contract", "resident_states", "state", "identity,sealed_number"),
    Sealed("contract", "resident_states", "state", "sealed_name"),
    Sealed("contract", "resident_states", "state", "sealed_phone"),
    Sealed("contract", "users", "sealed_totp"),
    Sealed("treatment", "bill_versions", "sealed_identity"),
    Sealed("treatment", "bill_versions", "sealed_name"),
    Sealed("safety_net", "bills", "facts", "sealed_name"),
    Sealed("safety_net", "claims", "sealed_account"),
    Sealed("safety_net", "claim_lines", "sealed_name"),
    Sealed("safety_net", "notice_prints", "sealed_name"),
    Sealed("safety_net", "notice_signatures", "sealed_signer"),
    *(Sealed(service, "dead_letters", "payload") for service in SERVICES),
)
# What was said is kept as it was said, and goes 35 days after it was published: the old key waits for that.
WAITING = tuple(Sealed(service, "outbox", "payload") for service in SERVICES)

Counts = dict[Sealed, Counter[str]]


async def count(urls: dict[str, str]) -> Counts:
    """How many texts each key seals in each place, the outbox included. ``urls``: the owners' addresses."""
    counts: Counts = {}
    for service, url in urls.items():
        async with connected(url, f"the owner of {service}") as owner, owner.transaction():
            await _whole(owner)
            for place in (*PLACES, *WAITING):
                if place.service == service:
                    rows = await owner.fetch(
                        f"select {place.kid}, count(*) from {place.table} where {place.value} is not null group by 1"
                    )
                    counts[place] = Counter({row[0]: row[1] for row in rows})
    return counts


def used(counts: Counts, *, outbox: bool) -> set[str]:
    """The keys that seal something."""
    return {kid for place, found in counts.items() if outbox or place in PLACES for kid in found}


async def reseal(
    urls: dict[str, str], ring: Keyring, kid: str, *, batch: int = BATCH, tell: Callable[[str], None]
) -> int:
    """Seal everything under this key, which is the one that seals; how many texts could not be opened."""
    unopened = 0
    for service, url in urls.items():
        async with connected(url, f"the owner of {service}") as owner:
            if service == "contract":
                await _keep_last_fours_apart(owner, ring, batch)
            for place in PLACES:
                if place.service == service:
                    done, stuck = await _reseal_place(owner, place, ring, kid, batch)
                    unopened += stuck
                    if done or stuck:
                        tell(f"  {place}: {done} sealed with {kid}" + (f", {stuck} can't be opened" if stuck else ""))
    return unopened


async def _keep_last_fours_apart(owner: asyncpg.Connection, ring: Keyring, batch: int) -> None:
    """Seal the last four digits apart where they are not yet: rows of before they were kept."""
    query = (
        "select county_code, digest, sealed_number from resident_identities where sealed_last_four is null "
        "and (county_code, digest) > ($1, $2) order by county_code, digest limit $3 for update skip locked"
    )
    change = "update resident_identities set sealed_last_four = $3 where county_code = $1 and digest = $2"
    after = ("", "")
    while True:
        async with owner.transaction():
            await _whole(owner)
            rows = await owner.fetch(query, *after, batch)
            opened = [(row["county_code"], row["digest"], _opened(ring, row["sealed_number"])) for row in rows]
            await owner.executemany(change, [(*key, ring.seal(text[-4:])) for *key, text in opened if text is not None])
        if not rows:
            return
        after = (rows[-1]["county_code"], rows[-1]["digest"])


async def _reseal_place(
    owner: asyncpg.Connection, place: Sealed, ring: Keyring, kid: str, batch: int
) -> tuple[int, int]:
    """Pass over a place until nothing is left, or nothing more can be done: texts resealed, and texts not opened."""
    key = await _primary_key(owner, place.table)
    total = fruitless = 0
    while True:
        left = f"select count(*) from {place.table} where {place.kid} <> $1"
        async with owner.transaction():
            await _whole(owner)
            remaining = await owner.fetchval(left, kid)
        if not remaining:
            return total, 0
        done, stuck = await _one_pass(owner, place, key, ring, kid, batch)
        total += done
        fruitless = 0 if done else fruitless + 1
        if stuck == remaining or fruitless > FRUITLESS:
            return total, remaining
        await asyncio.sleep(PAUSE_SECONDS)


async def _one_pass(
    owner: asyncpg.Connection, place: Sealed, key: list[str], ring: Keyring, kid: str, batch: int
) -> tuple[int, int]:
    names = ", ".join(key)
    done = stuck = 0
    after: tuple[Any, ...] = ()
    while True:
        beyond = f"and ({names}) > ({', '.join(f'${n}' for n in range(3, 3 + len(key)))})" if after else ""
        query = (
            f"select {names}, {place.value} as sealed from {place.table} where {place.kid} <> $1 {beyond} "
            f"order by {names} limit $2 for update skip locked"
        )
        mine = " and ".join(f"{name} = ${n}" for n, name in enumerate(key, 3))
        # ``$2``, the text as it was, is named even where it is not needed: PostgreSQL wants every parameter used.
        change = f"update {place.table} set {place.column} = {place.becomes} where {mine} and {place.value} = $2::text"
        async with owner.transaction():
            await _whole(owner)
            rows = await owner.fetch(query, kid, batch, *after)
            changes = [
                (fresh, row["sealed"], *tuple(row)[: len(key)])
                for row in rows
                if (fresh := _sealed_again(ring, row["sealed"], kid)) is not None
            ]
            await owner.executemany(change, changes)
            done, stuck = done + len(changes), stuck + len(rows) - len(changes)
        if not rows:
            return done, stuck
        after = tuple(rows[-1])[: len(key)]


def _opened(ring: Keyring, sealed: str) -> str | None:
    """The text; None when it can't be opened."""
    try:
        return ring.open(sealed)
    except (KeyUnknown, InvalidTag, ValueError):
        return None


def _sealed_again(ring: Keyring, sealed: str, kid: str) -> str | None:
    """The same under the newest key; None when it can't be opened."""
    if (text := _opened(ring, sealed)) is None:
        return None
    fresh = ring.seal(text)
    if not fresh.startswith(f"{kid}."):
        raise RuntimeError(f"{kid} does not seal yet")
    return fresh


async def _whole(owner: asyncpg.Connection) -> None:
    """See the rows of all counties, should the owner be bound by row-level security too."""
    await owner.execute("select set_config('app.service', 'on', true), set_config('lock_timeout', '5s', true)")


async def _primary_key(owner: asyncpg.Connection, table: str) -> list[str]:
    rows = await owner.fetch(
        "select attname from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey) "
        "where indrelid = $1::text::regclass and indisprimary order by array_position(indkey::int2[], attnum)",
        table,
    )
    return [row[0] for row in rows]
