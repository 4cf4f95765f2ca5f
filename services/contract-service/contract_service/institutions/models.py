"""The register of medical institutions and every state it ever had."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, PrimaryKeyConstraint, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from contract_service.database import Base


class Institution(Base):
    """A medical institution under its insurance-side code, which is one in the whole country.

    ``registered_by_county`` is the county whose health bureau keeps the record: also an outside hospital to which the
    county's residents go. ``has_client`` says whether its own system posts bills here.
    """

    __tablename__ = "institutions"

    institution_code: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    registered_by_county: Mapped[str] = mapped_column(String(6))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    level: Mapped[int] = mapped_column(SmallInteger)
    county_code: Mapped[str] = mapped_column(String(6))
    township_code: Mapped[str | None] = mapped_column(String(9))
    insurance_designated: Mapped[list[Any]]
    phone: Mapped[str | None] = mapped_column(String(40))
    has_client: Mapped[bool]
    revision: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[datetime]

    __table_args__ = (Index("ix_institutions_county_code_seq", "county_code", "seq"),)


class InstitutionState(Base):
    """One state of an institution's record: never changed, never deleted."""

    __tablename__ = "institution_states"

    institution_code: Mapped[str] = mapped_column(ForeignKey("institutions.institution_code"))
    revision: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[dict[str, Any]]
    changed_by: Mapped[str] = mapped_column(String(120))
    changed_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (PrimaryKeyConstraint("institution_code", "revision"),)
