"""SQL of bills and of what is to be looked at."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, case, cast, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.models import AT_ONCE, IN_TURN, Bill, Look


class Bills:
    """This service's copies of discharge bills."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def locked(self, discharge_id: UUID) -> Bill:
        """The row under which all work on one discharge is done; made if nothing was heard of it yet."""
        # Updating nothing takes the lock of a row that is there: one round trip instead of two.
        put = insert(Bill).values(discharge_id=discharge_id)
        put = put.on_conflict_do_update(index_elements=["discharge_id"], set_={"discharge_id": discharge_id})
        rows = await self.session.scalars(put.returning(Bill).execution_options(populate_existing=True))
        return rows.one()

    async def locked_if_free(self, discharge_id: UUID) -> Bill | None:
        """The same without waiting: None while somebody else works on this discharge."""
        mine = select(Bill).where(Bill.discharge_id == discharge_id).with_for_update(skip_locked=True)
        return await self.session.scalar(mine.execution_options(populate_existing=True))

    async def raise_revisions(self, floor: int) -> None:
        """Let every bill, also one not yet heard of, count its settlements from here on. Needs the owner's rights."""
        await self.session.execute(update(Bill).values(settlement_revision=floor))
        await self.session.execute(text(f"alter table bills alter settlement_revision set default {int(floor)}"))


class Looks:
    """What is to be looked at, and when."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    def add(self, kind: str, keys: Iterable[str], due_at: datetime) -> None:
        """Have something looked at, in this order, once this transaction has committed."""
        self.session.add_all(Look(kind=kind, key=key, due_at=due_at) for key in keys)

    async def next_due(self, moment: datetime) -> Look | None:
        """What is to be looked at first by now, locked; what others work on is left to them."""
        due = select(Look).where(Look.due_at <= moment).order_by(Look.rank, Look.due_at, Look.seq).limit(1)
        return await self.session.scalar(due.with_for_update(skip_locked=True))

    async def put_off(self, seq: int, until: datetime) -> None:
        """Not before then."""
        await self.session.execute(update(Look).where(Look.seq == seq).values(due_at=until))

    async def add_bills_of(self, kind: str, key: str, due_at: datetime) -> None:
        """Have the bills of an identity or an institution looked at, those that wait before those already judged."""
        column = Bill.identity_digest if kind == "identity" else Bill.institution_code
        rank = literal(AT_ONCE) if kind == "identity" else case((Bill.wait_until.is_(None), IN_TURN), else_=AT_ONCE)
        mine = select(literal("bill"), cast(Bill.discharge_id, Text), rank, literal(due_at))
        mine = mine.where(column == key, ~Bill.voided).order_by(Bill.discharge_id)
        await self.session.execute(insert(Look).from_select(["kind", "key", "rank", "due_at"], mine))
