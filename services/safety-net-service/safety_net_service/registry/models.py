"""This service's own copy of the county registry, fed by events; the newest revision wins."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base


class ResidentCopy(Base):
    """What bills are judged by: a resident's dated poverty and insurance history, without name or number."""

    __tablename__ = "resident_copies"

    resident_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    county_code: Mapped[str] = mapped_column(String(6))
    village_code: Mapped[str] = mapped_column(String(12))
    name_digest: Mapped[str] = mapped_column(String(64))
    birth_date: Mapped[date]
    registered_poor: Mapped[list[Any]]
    insurance: Mapped[list[Any]]
    household_registration: Mapped[bool]
    birth_document: Mapped[str | None] = mapped_column(String(40))
    severe_mental_disorder: Mapped[bool]


class ResidentIdentity(Base):
    """The keyed digest of one identity document; a person in two counties' registers has it twice."""

    __tablename__ = "resident_identities"

    resident_id: Mapped[UUID] = mapped_column(
        ForeignKey("resident_copies.resident_id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(40), primary_key=True)

    __table_args__ = (Index("ix_resident_identities_digest", "digest"),)


class InstitutionCopy(Base):
    """A medical institution, and the days on which the insurance designates it (医保定点)."""

    __tablename__ = "institution_copies"

    institution_code: Mapped[str] = mapped_column(String(64), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    county_code: Mapped[str] = mapped_column(String(6))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    insurance_designated: Mapped[list[Any]]
