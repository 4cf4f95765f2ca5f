"""Discharge bills. A bill is never edited: each correction and the void are versions of their own.

The keys begin with the institution's code, whose 2nd to 7th characters are its county.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Identity, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from treatment_service.database import Base


class Discharge(Base):
    """One stay's bill: its natural key, its present version and state."""

    __tablename__ = "discharges"

    discharge_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    institution_code: Mapped[str] = mapped_column(String(64))
    bill_no: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    # The county that pays (the resident's), and the county of who recorded the bill: staff of both may see it.
    county_code: Mapped[str] = mapped_column(String(6))
    recorded_county_code: Mapped[str] = mapped_column(String(6))
    recorded_by_window: Mapped[bool]
    identity_digest: Mapped[str | None] = mapped_column(String(64))
    admission_no: Mapped[str] = mapped_column(String(64))
    admitted_on: Mapped[date]
    discharged_on: Mapped[date]
    total_fen: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        UniqueConstraint("institution_code", "bill_no"),
        Index("ix_discharges_institution_code_seq", "institution_code", "seq"),
        Index("ix_discharges_county_code_seq", "county_code", "seq"),
        Index("ix_discharges_identity_digest", "identity_digest"),
        Index("ix_discharges_institution_code_admission_no", "institution_code", "admission_no"),
    )


class BillVersion(Base):
    """One version of a bill as it was sent, the patient's number and name sealed."""

    __tablename__ = "bill_versions"

    institution_code: Mapped[str] = mapped_column(String(64), primary_key=True)
    bill_no: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    discharge_id: Mapped[UUID] = mapped_column(ForeignKey("discharges.discharge_id"))
    kind: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None]
    # JSON, not JSONB: what is read back stands in the order in which it was said.
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    sealed_identity: Mapped[str | None]
    sealed_name: Mapped[str]
    recorded_by: Mapped[str] = mapped_column(String(120))
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (Index("ix_bill_versions_discharge_id_version", "discharge_id", "version", unique=True),)


class BillSettlement(Base):
    """The settlement of a bill as safety-net-service last told it."""

    __tablename__ = "bill_settlements"

    discharge_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    bill_version: Mapped[int]
    settlement_id: Mapped[UUID]
    county_code: Mapped[str] = mapped_column(String(6))
    state: Mapped[str] = mapped_column(String(20))
    procedure: Mapped[str | None] = mapped_column(String(40))
    settlement: Mapped[dict[str, Any]] = mapped_column(JSON)


class DischargeChange(Base):
    """One change of a bill's state, version or settlement, for the hospital that polls.

    ``position`` is given only to committed rows, under a lock, so that a reader's cursor never passes by a row whose
    transaction was slower.
    """

    __tablename__ = "discharge_changes"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    institution_code: Mapped[str] = mapped_column(String(64))
    discharge_id: Mapped[UUID]
    bill_no: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    settlement_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (
        Index("ix_discharge_changes_institution_code_position", "institution_code", "position"),
        Index("ix_discharge_changes_unplaced", "seq", postgresql_where=text("position is null")),
    )
