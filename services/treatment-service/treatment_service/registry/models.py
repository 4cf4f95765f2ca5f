"""This service's own copy of the county registry, fed by events; the newest revision wins."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from treatment_service.database import Base


class ResidentCopy(Base):
    """Where a resident belongs. What safety-net judges by is in its own copy."""

    __tablename__ = "resident_copies"

    resident_id: Mapped[UUID] = mapped_column(primary_key=True)
    county_code: Mapped[str] = mapped_column(String(6))
    village_code: Mapped[str] = mapped_column(String(12))
    revision: Mapped[int] = mapped_column(BigInteger)


class ResidentIdentity(Base):
    """The keyed digest of one identity document of a resident."""

    __tablename__ = "resident_identities"

    resident_id: Mapped[UUID] = mapped_column(ForeignKey("resident_copies.resident_id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)

    __table_args__ = (Index("ix_resident_identities_digest", "digest"),)


class InstitutionCopy(Base):
    """A medical institution as contract-service last told it."""

    __tablename__ = "institution_copies"

    institution_code: Mapped[str] = mapped_column(String(64), primary_key=True)
    county_code: Mapped[str] = mapped_column(String(6))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    has_client: Mapped[bool]
    revision: Mapped[int] = mapped_column(BigInteger)
    facts: Mapped[dict[str, Any]]
