"""What a hospital advanced in a month and claims back (医疗机构垫付款), line by line as it stood on that day."""

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base

_LIVE = "state <> 'returned'"


class Claim(Base):
    """One hospital's claim for one month. ``month`` is its first day; ``received_on`` starts the Office's clock (R-50).

    ``state``: ``submitted``, then ``reviewed`` by the Office, which hands it to the departments. ``sealed_account`` is
    the number of the hospital's bank account.
    """

    __tablename__ = "claims"

    county_code: Mapped[str] = mapped_column(String(6))
    claim_id: Mapped[UUID] = mapped_column(default=uuid4)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    institution_code: Mapped[str] = mapped_column(String(64))
    institution_name: Mapped[str] = mapped_column(String(200))
    month: Mapped[date]
    state: Mapped[str] = mapped_column(String(20))
    bank: Mapped[str] = mapped_column(String(200))
    account_holder: Mapped[str] = mapped_column(String(200))
    sealed_account: Mapped[str] = mapped_column(Text)
    submitted_by: Mapped[str] = mapped_column(String(120))
    submitted_at: Mapped[datetime]
    received_on: Mapped[date]
    reviewed_by: Mapped[str | None] = mapped_column(String(120))
    reviewed_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "claim_id"),
        CheckConstraint("state in ('submitted', 'reviewed')", name="state"),
        CheckConstraint("(reviewed_by is not null) = (state <> 'submitted')", name="reviewed"),
        CheckConstraint("reviewed_by <> submitted_by", name="two_persons"),
        CheckConstraint("extract(day from month) = 1", name="month"),
        Index("uq_claims_month", "county_code", "institution_code", "month", unique=True),
        Index("ix_claims_county_code_seq", "county_code", "seq"),
    )


class ClaimLine(Base):
    """One settlement in a claim, frozen: versions of bill and law, and a hash of the facts it was judged by.

    ``state``: ``claimed``, or ``returned`` with a reason, upon which the settlement may be claimed in a later month. A
    discharge stands in at most one claim that is not returned, whatever settlements it has had: it is paid once.
    """

    __tablename__ = "claim_lines"

    county_code: Mapped[str] = mapped_column(String(6))
    claim_id: Mapped[UUID]
    place: Mapped[int]
    institution_code: Mapped[str] = mapped_column(String(64))
    settlement_id: Mapped[UUID]
    discharge_id: Mapped[UUID]
    bill_version: Mapped[int]
    policy_version: Mapped[str] = mapped_column(String(60))
    facts_sha256: Mapped[str] = mapped_column(String(64))
    bill_no: Mapped[str] = mapped_column(String(64))
    admission_no: Mapped[str] = mapped_column(String(64))
    sealed_name: Mapped[str] = mapped_column(Text)
    admitted_on: Mapped[date]
    discharged_on: Mapped[date]
    total_fen: Mapped[int] = mapped_column(BigInteger)
    basic_insurance_fen: Mapped[int] = mapped_column(BigInteger)
    critical_illness_fen: Mapped[int] = mapped_column(BigInteger)
    supplementary_insurance_fen: Mapped[int] = mapped_column(BigInteger)
    medical_assistance_fen: Mapped[int] = mapped_column(BigInteger)
    safety_net_fen: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(20), server_default=text("'claimed'"))
    return_reason: Mapped[str | None] = mapped_column(Text)
    returned_by: Mapped[str | None] = mapped_column(String(120))
    returned_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "claim_id", "place"),
        ForeignKeyConstraint(["county_code", "claim_id"], ["claims.county_code", "claims.claim_id"]),
        CheckConstraint("state in ('claimed', 'returned')", name="state"),
        CheckConstraint("(state = 'returned') = (return_reason is not null)", name="returned"),
        CheckConstraint("safety_net_fen > 0", name="something_to_pay"),
        Index("uq_claim_lines_discharge", "discharge_id", unique=True, postgresql_where=text(_LIVE)),
        Index("ix_claim_lines_county_code_settlement_id", "county_code", "settlement_id"),
    )
