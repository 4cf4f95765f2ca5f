"""Money that a later fact shows to be too much or too little (R-19, R-33)."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, PrimaryKeyConstraint, String, text
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base


class Recovery(Base):
    """The difference between what a settlement pays and what it would pay by what is known now.

    ``direction``: ``recovery`` back to the fund, or ``further_payment`` to the patient. ``cause``: ``registry`` (the
    settlement stands and pays on), ``correction``, ``decision`` or ``void`` (the settlement is no longer live).
    ``state``: ``open`` until the office has dealt with it; ``offset`` when nothing had been claimed and the new
    settlement is simply claimed in the old one's place; ``withdrawn`` when the facts came right again.
    """

    __tablename__ = "recoveries"

    county_code: Mapped[str] = mapped_column(String(6))
    recovery_id: Mapped[UUID] = mapped_column(default=uuid4)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    discharge_id: Mapped[UUID]
    settlement_id: Mapped[UUID]
    new_settlement_id: Mapped[UUID | None]
    institution_code: Mapped[str] = mapped_column(String(64))
    cause: Mapped[str] = mapped_column(String(20))
    direction: Mapped[str] = mapped_column(String(20))
    settled_fen: Mapped[int] = mapped_column(BigInteger)
    now_due_fen: Mapped[int] = mapped_column(BigInteger)
    difference_fen: Mapped[int] = mapped_column(BigInteger)
    reasons: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(20))
    opened_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "recovery_id"),
        CheckConstraint("cause in ('registry', 'correction', 'decision', 'void')", name="cause"),
        CheckConstraint("direction in ('recovery', 'further_payment')", name="direction"),
        CheckConstraint("state in ('open', 'offset', 'withdrawn')", name="state"),
        CheckConstraint("difference_fen = abs(settled_fen - now_due_fen) and difference_fen > 0", name="difference"),
        CheckConstraint("(direction = 'recovery') = (settled_fen > now_due_fen)", name="which_way"),
        Index(
            "uq_recoveries_open", "county_code", "settlement_id", unique=True, postgresql_where=text("state = 'open'")
        ),
        Index("ix_recoveries_county_code_seq", "county_code", "seq"),
        Index("ix_recoveries_discharge_id", "discharge_id"),
    )
