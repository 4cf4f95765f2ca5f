"""How each bill was shared out among its payers."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base

LIVE = ("settled", "held", "rejected")
_IS_LIVE = "state in ('settled', 'held', 'rejected')"


class Settlement(Base):
    """How one version of a bill was shared out, with everything needed to explain and recompute it years later.

    ``answer`` is the public answer without ids and state; ``inputs`` with ``packs`` are what it was computed from. The
    amounts stand beside it in whole fen. Only ``state`` and what ends or claims it ever change.
    """

    __tablename__ = "settlements"

    county_code: Mapped[str] = mapped_column(String(6))
    settlement_id: Mapped[UUID] = mapped_column(default=uuid4)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    discharge_id: Mapped[UUID] = mapped_column(ForeignKey("bills.discharge_id"))
    bill_version: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    decision: Mapped[str] = mapped_column(String(10))
    reasons: Mapped[list[Any]]
    procedure: Mapped[str | None] = mapped_column(String(40))
    policy_pack: Mapped[str] = mapped_column(String(40))
    policy_version: Mapped[str | None] = mapped_column(String(60))
    packs: Mapped[list[Any]]
    resident_id: Mapped[UUID | None]
    township_code: Mapped[str | None] = mapped_column(String(9))
    institution_code: Mapped[str] = mapped_column(String(64))
    admitted_on: Mapped[date]
    discharged_on: Mapped[date]
    total_fen: Mapped[int] = mapped_column(BigInteger)
    base_fen: Mapped[int] = mapped_column(BigInteger)
    basic_insurance_fen: Mapped[int] = mapped_column(BigInteger)
    critical_illness_fen: Mapped[int] = mapped_column(BigInteger)
    supplementary_insurance_fen: Mapped[int] = mapped_column(BigInteger)
    medical_assistance_fen: Mapped[int] = mapped_column(BigInteger)
    government_topup_fen: Mapped[int] = mapped_column(BigInteger)
    other_fen: Mapped[int] = mapped_column(BigInteger)
    reimbursed_fen: Mapped[int] = mapped_column(BigInteger)
    safety_net_fen: Mapped[int] = mapped_column(BigInteger)
    hospital_share_fen: Mapped[int] = mapped_column(BigInteger)
    personal_fen: Mapped[int] = mapped_column(BigInteger)
    patient_pays_fen: Mapped[int] = mapped_column(BigInteger)
    inputs: Mapped[dict[str, Any]]
    answer: Mapped[dict[str, Any]]
    decision_id: Mapped[UUID | None]
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ended_at: Mapped[datetime | None]
    superseded_by: Mapped[UUID | None]
    claimed_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "settlement_id"),
        CheckConstraint("state in ('settled', 'held', 'rejected', 'superseded', 'voided')", name="state"),
        CheckConstraint("decision in ('pass', 'hold', 'reject')", name="decision"),
        CheckConstraint("safety_net_fen >= 0 and hospital_share_fen >= 0 and personal_fen >= 0", name="not_negative"),
        CheckConstraint(
            "total_fen = reimbursed_fen + safety_net_fen + hospital_share_fen + personal_fen",
            name="adds_up",
        ),
        CheckConstraint("decision = 'pass' or safety_net_fen + hospital_share_fen = 0", name="only_a_pass_pays"),
        CheckConstraint("(superseded_by is not null) = (state = 'superseded')", name="superseded_by"),
        # At most one live settlement a discharge, in whichever county.
        Index("uq_settlements_live", "discharge_id", unique=True, postgresql_where=text(_IS_LIVE)),
        Index("ix_settlements_settlement_id", "settlement_id"),
        Index("ix_settlements_discharge_id_seq", "discharge_id", "seq"),
        Index("ix_settlements_county_code_seq", "county_code", "seq"),
        Index("ix_settlements_county_code_resident_id_seq", "county_code", "resident_id", "seq"),
        Index("ix_settlements_institution_code_seq", "institution_code", "seq"),
    )
