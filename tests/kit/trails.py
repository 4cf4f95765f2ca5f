"""A service's audit trail for tests: written as the service, sealed, tampered with as the owner, verified."""

from typing import Any

import asyncpg
from sqlalchemy import text

from deploy.settings import Urls
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import Database
from shared.kit.scope import SERVICE, Scope
from shared.kit.sealer import seal_audit, seal_some
from shared.kit.verification import Step, verify

CALLER = Caller("somebody", frozenset({"auditor"}), "450223", address="127.0.0.1", reason="抽查")


class Trail:
    """One database and its trail."""

    def __init__(self, urls: Urls) -> None:
        self.urls = urls
        self.database = Database(urls.service_url)

    async def write(self, count: int, *, a_transaction: int = 1) -> None:
        """Write rows, so many in each transaction."""
        for start in range(0, count, a_transaction):
            async with self.database.transaction(Scope.of(CALLER)) as session:
                for number in range(start, min(start + a_transaction, count)):
                    record(session, CALLER, "read", "thing", number, {"张": [1, None, "二"], "n": number})

    async def seal(self, *sizes: int) -> None:
        """Seal everything, or batches of these sizes."""
        for size in sizes:
            assert await seal_some(self.database, size) == size
        if not sizes:
            await seal_audit(self.database)

    async def tamper(self, *statements: str) -> None:
        """What the owner of the tables does to them."""
        owner = await asyncpg.connect(self.urls.owner_url)
        try:
            async with owner.transaction():
                for statement in statements:
                    await owner.execute(statement)
        finally:
            await owner.close()

    async def terminate(self, backend: int) -> None:
        """End another connection of the service, as a crash of its process would."""
        other = await asyncpg.connect(self.urls.service_url)
        await other.execute("select pg_terminate_backend($1)", backend)
        await other.close()

    async def verify(self) -> Step:
        """The whole chain."""
        async with self.database.transaction(SERVICE) as session:
            whole = step = await verify(session, 0)
            while step.more:
                step = await verify(session, step.batch)
                whole.findings += step.findings
                whole.batch, whole.chain = step.batch, step.chain
                whole.batches, whole.rows = whole.batches + step.batches, whole.rows + step.rows
        return whole

    async def found(self) -> set[tuple[str, int | None, int | None]]:
        """What a verification names: kind, batch, row."""
        return {(finding.kind, finding.batch, finding.seq) for finding in (await self.verify()).findings}

    async def ask(self, query: str) -> list[Any]:
        """The first column of an answer."""
        async with self.database.transaction(SERVICE) as session:
            return list(await session.scalars(text(query)))
