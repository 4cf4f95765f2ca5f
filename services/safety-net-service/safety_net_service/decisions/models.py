"""What the office decided, and who confirmed it (两人审核)."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, PrimaryKeyConstraint, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base

_IS_OPEN = "state = 'proposed'"


class OfficeDecisionRow(Base):
    """One decision on one settlement: proposed by one person, closed by another.

    ``state``: ``proposed``, ``confirmed`` or ``withdrawn``. A decision on a settlement that has since been superseded
    or voided can no longer be confirmed.
    """

    __tablename__ = "decisions"

    county_code: Mapped[str] = mapped_column(String(6))
    decision_id: Mapped[UUID] = mapped_column(default=uuid4)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    settlement_id: Mapped[UUID]
    decision: Mapped[str] = mapped_column(String(10))
    rule: Mapped[str | None] = mapped_column(String(10))
    amount_fen: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    legal_basis: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20))
    proposed_by: Mapped[str] = mapped_column(String(120))
    proposed_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    closed_by: Mapped[str | None] = mapped_column(String(120))
    closed_at: Mapped[datetime | None]
    decided_settlement_id: Mapped[UUID | None]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "decision_id"),
        CheckConstraint("decision in ('pass', 'reject')", name="decision"),
        CheckConstraint("state in ('proposed', 'confirmed', 'withdrawn')", name="state"),
        CheckConstraint("state <> 'confirmed' or closed_by <> proposed_by", name="two_persons"),
        CheckConstraint("(decided_settlement_id is not null) = (state = 'confirmed')", name="decided"),
        Index(
            "uq_decisions_open",
            "county_code",
            "settlement_id",
            unique=True,
            postgresql_where=text(_IS_OPEN),
        ),
        Index("ix_decisions_county_code_settlement_id", "county_code", "settlement_id"),
    )
