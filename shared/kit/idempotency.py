"""A creating request sent twice creates once.

The key is a row in the same transaction as what it creates. A second request with the same key waits for the first, at
most ten seconds: in this process before it takes a connection, so that retries starve nobody, and behind another
process on the first one's uncommitted row. If the first fails, the second goes on as if it were the first. Only what
committed is kept, so a refusal is judged anew.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Header, Request
from sqlalchemy import Text, cast, delete, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import Database, IdempotencyRow, at_end
from shared.kit.problems import Problem
from shared.kit.scope import SERVICE
from shared.kit.sealing import Keyring

WAIT_SECONDS = 10.0
KEEP_DAYS = 30


class KeyMissing(Problem):
    status, code, title = 400, "idempotency_key_missing", "Idempotency-Key is missing"
    detail = "缺少 Idempotency-Key 请求头：重发时用同一键，系统保证只办理一次。"


class KeyInvalid(Problem):
    status, code, title = 400, "idempotency_key_invalid", "Idempotency-Key is not usable"
    detail = "Idempotency-Key 应为 1 至 255 个可见字符。"


class KeyReused(Problem):
    status, code, title = 422, "idempotency_key_reused", "The key was used for another content"
    detail = "该 Idempotency-Key 已用于另一份内容，请换用新键。"


class RequestInProgress(Problem):
    status, code, title = 409, "request_in_progress", "The first request with this key is still running"
    detail = "同一请求仍在办理中，请稍后用同一键重试。"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "2"})


@dataclass(frozen=True)
class Replay:
    """What the first request with this key created."""

    status: int
    ids: dict[str, Any]


@dataclass(frozen=True)
class Once:
    """One request's key, as a keyed digest, in the scope of its caller and path."""

    path: str
    key: str
    body_hash: bytes

    @classmethod
    def of(cls, keyring: Keyring, path: str, key: str, content: bytes) -> "Once":
        """The key a request gave, with what it asks for.

        Both are kept under a key of ours: a plain hash of the body would give the identity number back to whoever tries
        the few numbers a resident can have, and some programs make their keys of whatever tells patients apart.
        """
        return cls(path, kept_key(keyring, key), keyring.fingerprint(content))

    async def claim(self, session: AsyncSession, caller: Caller) -> Replay | None:
        """Take the key, or learn what it created before.

        Raises `KeyReused` for another content and `RequestInProgress` after ten seconds. A replay writes its own
        audit row: its commit then waits for whatever standby the first commit still waits for, so that a retry is
        never told of something a failover could lose.
        """
        left = await _take_turn(session, (caller.subject, self.path, self.key))
        row = {"caller": caller.subject, "path": self.path, "key": self.key, "body_hash": self.body_hash}
        await session.execute(text(f"set local lock_timeout = '{max(int(left * 1000), 1)}ms'"))
        try:
            fresh = await session.scalar(
                insert(IdempotencyRow)
                .values(**row, status=0, ids={})
                .on_conflict_do_nothing()
                .returning(IdempotencyRow.key)
            )
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":
                raise RequestInProgress from None
            raise
        if fresh is not None:
            return None
        kept = (await session.execute(select(IdempotencyRow).where(*self._mine(caller)))).scalar_one()
        if kept.body_hash != self.body_hash:
            raise KeyReused
        record(session, caller, "replayed", "idempotency_key", self.path, {"status": kept.status})
        return Replay(kept.status, kept.ids)

    async def keep(self, session: AsyncSession, caller: Caller, status: int, **ids: Any) -> None:
        """Remember what this key created."""
        written = cast(literal(msgspec.json.encode(ids).decode(), Text), JSONB)
        await session.execute(update(IdempotencyRow).where(*self._mine(caller)).values(status=status, ids=written))

    def _mine(self, caller: Caller) -> tuple[Any, ...]:
        return (
            IdempotencyRow.caller == caller.subject,
            IdempotencyRow.path == self.path,
            IdempotencyRow.key == self.key,
        )


class _Turn:
    """Whose turn it is with one key in this process, and how many want it."""

    def __init__(self) -> None:
        self.lock, self.wanted = asyncio.Lock(), 0


_turns: dict[tuple[str, str, str], _Turn] = {}


async def _take_turn(session: AsyncSession, key: tuple[str, str, str]) -> float:
    """Wait for this process's other requests with this key; the seconds left of the wait.

    The turn is given on when the transaction is over.
    """
    loop, turn = asyncio.get_running_loop(), _turns.setdefault(key, _Turn())
    deadline = loop.time() + WAIT_SECONDS
    turn.wanted += 1

    def leave() -> None:
        turn.wanted -= 1
        if turn.wanted == 0:
            _turns.pop(key, None)

    def give_on() -> None:
        turn.lock.release()
        leave()

    try:
        await asyncio.wait_for(turn.lock.acquire(), WAIT_SECONDS)
    except TimeoutError:
        leave()
        raise RequestInProgress from None
    except BaseException:
        leave()
        raise
    at_end(session, give_on)
    return deadline - loop.time()


def kept_key(keyring: Keyring, key: str) -> str:
    """A request's key as it is kept."""
    return keyring.digest(f"key:{key}")


def in_hand(subject: str, path: str, key: str) -> bool:
    """Whether a request with this key is being judged in this process, or waits to be."""
    return (subject, path, key) in _turns


def content_text(content: Any) -> bytes:
    """Parsed content as bytes: spacing and the order of keys don't count."""
    try:
        return msgspec.json.encode(content, order="sorted")
    except UnicodeEncodeError:
        # Half a surrogate pair, in a query.
        return json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")


def content_hash(content: Any) -> bytes:
    """A hash of parsed content: spacing and the order of keys don't count."""
    return hashlib.sha256(content_text(content)).digest()


def checked_key(key: str | None) -> str:
    """The header's key, or why it can't be one."""
    if key is None or key == "":
        raise KeyMissing
    if len(key) > 255 or not key.isprintable() or not key.isascii():
        raise KeyInvalid
    return key


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None, Header(description="幂等键：同一请求重发时不变（1–255 个可见字符）", max_length=1000)
    ] = None,
) -> Once:
    key = checked_key(idempotency_key)
    return Once.of(request.app.state.keyring, request.url.path, key, content_text(await request.json()))


OnceKey = Annotated[Once, Depends(_once)]
"""A creating POST declares it: the header is required."""


async def forget_old_keys(database: Database) -> None:
    """Drop keys older than 30 days. The natural keys beside them are kept for ever."""
    async with database.transaction(SERVICE) as session:
        too_old = text(f"now() - interval '{KEEP_DAYS} days'")
        await session.execute(delete(IdempotencyRow).where(IdempotencyRow.kept_at < too_old))
