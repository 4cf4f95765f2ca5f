"""Every SQL statement about accounts and about those who failed to come in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.accounts.models import Client, ClientKey, Failures, User
from shared.kit.cursors import Page

BOOTSTRAP_LOCK = 7_310_010


class Accounts:
    """Clients with their keys, and users."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def one_at_a_time(self) -> None:
        """Let those who make accounts take turns: a name is one account's, be it a machine's or a person's."""
        await self.session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": BOOTSTRAP_LOCK})

    async def client(self, client_id: str) -> Client | None:
        """An active client."""
        return await self.session.scalar(select(Client).where(Client.client_id == client_id, Client.active))

    async def user(self, username: str, *, to_change: bool = False) -> User | None:
        """An active user; ``to_change`` makes others who sign in under this name wait."""
        query = select(User).where(User.username == username, User.active)
        return await self.session.scalar(query.with_for_update() if to_change else query)

    async def named(self, name: str) -> Client | User | None:
        """The account of this name, active or not, machine's or person's."""
        user = await self.session.get(User, name)
        return user or await self.session.get(Client, name)

    async def taken(self, name: str) -> bool:
        """Whether an account of either kind has this name."""
        query = select(or_(exists().where(Client.client_id == name), exists().where(User.username == name)))
        return bool(await self.session.scalar(query))

    async def client_of_county(self, client_id: str, county_code: str) -> Client | None:
        """A client for whom this county's administrator answers, active or not, to be changed."""
        query = select(Client).where(Client.client_id == client_id, Client.administered_by == county_code)
        return await self.session.scalar(query.with_for_update())

    async def user_of_county(self, username: str, county_code: str) -> User | None:
        """A user of this county, active or not, to be changed."""
        query = select(User).where(User.username == username, User.county_code == county_code)
        return await self.session.scalar(query.with_for_update())

    async def users_of_county(self, county_code: str, page: Page) -> list[User]:
        """One page of a county's users, newest first."""
        query = select(User).where(User.county_code == county_code).order_by(User.seq.desc()).limit(page.limit + 1)
        if page.after:
            query = query.where(User.seq < page.after[0])
        return list(await self.session.scalars(query))

    async def clients_of_county(self, county_code: str, page: Page) -> list[Client]:
        """One page of the clients a county answers for, newest first."""
        query = select(Client).where(Client.administered_by == county_code)
        if page.after:
            query = query.where(Client.seq < page.after[0])
        return list(await self.session.scalars(query.order_by(Client.seq.desc()).limit(page.limit + 1)))

    async def keys(self, client_id: str) -> Sequence[ClientKey]:
        """A client's keys that are not withdrawn, oldest first."""
        query = select(ClientKey).where(ClientKey.client_id == client_id, ClientKey.withdrawn_at.is_(None))
        return (await self.session.scalars(query.order_by(ClientKey.registered_at, ClientKey.key_id))).all()

    async def key(self, client_id: str, key_id: str) -> ClientKey | None:
        """One key of a client, withdrawn or not."""
        return await self.session.get(ClientKey, (client_id, key_id))

    async def has_client(self, institution_code: str) -> bool:
        """Whether an institution's own system may come in."""
        query = select(exists().where(Client.institution_code == institution_code, Client.active))
        return bool(await self.session.scalar(query))

    async def known(self, table: type[Client] | type[User]) -> dict[str, str | None]:
        """What was last brought along, by account: its digest."""
        key = Client.client_id if table is Client else User.username
        rows = await self.session.execute(select(key, table.bootstrap_digest))
        return {row[0]: row[1] for row in rows}

    async def put(self, table: type[Client] | type[User], rows: Sequence[dict[str, Any]]) -> None:
        """Make these accounts, or make them read so."""
        key = "client_id" if table is Client else "username"
        for row in rows:
            put = insert(table).values(row)
            await self.session.execute(put.on_conflict_do_update(index_elements=[key], set_=row))

    async def institutions_with_client(self) -> set[str]:
        """The codes of institutions whose own systems may come in."""
        query = select(Client.institution_code).where(Client.institution_code.is_not(None), Client.active)
        return {code for code in await self.session.scalars(query) if code}


class FailedSignIns:
    """Who failed to come in, under which name and from where."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def locked_until(self, places: Sequence[tuple[str, str]], now: datetime) -> datetime | None:
        """Until when the longest locked of these places is locked."""
        here = or_(*((Failures.kind == kind) & (Failures.place == place) for kind, place in places))
        query = select(func.max(Failures.locked_until)).where(here, Failures.locked_until > now)
        until: datetime | None = await self.session.scalar(query)
        return until

    async def failed(self, kind: str, place: str, now: datetime, forgotten: datetime) -> int:
        """Count one more failure, and how many there are now; those from before ``forgotten`` no longer count."""
        row = {"kind": kind, "place": place, "failures": 1, "last_failed_at": now}
        again = case((Failures.last_failed_at < forgotten, 1), else_=Failures.failures + 1)
        put = (
            insert(Failures)
            .values(row)
            .on_conflict_do_update(index_elements=["kind", "place"], set_={"failures": again, "last_failed_at": now})
        )
        return int(await self.session.scalar(put.returning(Failures.failures)) or 0)

    async def lock(self, kind: str, place: str, until: datetime) -> None:
        """Nobody comes in here before this moment."""
        here = (Failures.kind == kind, Failures.place == place)
        await self.session.execute(update(Failures).where(*here).values(locked_until=until))

    async def forgive(self, kind: str, place: str) -> None:
        """Forget the failures under one name, wherever they came from."""
        here = or_(Failures.place == place, Failures.place.startswith(f"{place}@", autoescape=True))
        await self.session.execute(delete(Failures).where(Failures.kind == kind, here))

    async def forget(self, before: datetime) -> None:
        """Drop what lies long back."""
        await self.session.execute(delete(Failures).where(Failures.last_failed_at < before))
