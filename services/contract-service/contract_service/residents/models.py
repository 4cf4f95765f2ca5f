"""The register of residents, the documents they are known by, and every state a record ever had."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKeyConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from contract_service.database import Base


class Resident(Base):
    """A resident of a county. The name stands in clear: this is the register, in which people are found by name.
    Nobody is looked for by telephone number, so that is sealed.

    ``plain_name`` is the name as it is searched (`shared.kit.sealing.plain_name`).
    """

    __tablename__ = "residents"

    county_code: Mapped[str] = mapped_column(String(6))
    resident_id: Mapped[UUID] = mapped_column()
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    plain_name: Mapped[str] = mapped_column(Text)
    sex: Mapped[str] = mapped_column(String(10))
    birth_date: Mapped[date]
    household_no: Mapped[str] = mapped_column(String(32))
    relation_to_head: Mapped[str] = mapped_column(String(40))
    village_code: Mapped[str] = mapped_column(String(12))
    sealed_phone: Mapped[str | None] = mapped_column(String(400))
    registered_poor: Mapped[list[Any]]
    insurance: Mapped[list[Any]]
    household_registration: Mapped[bool]
    birth_document: Mapped[str | None] = mapped_column(String(40))
    severe_mental_disorder: Mapped[bool]
    revision: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[datetime]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "resident_id"),
        Index("ix_residents_county_code_seq", "county_code", "seq"),
        Index("ix_residents_county_code_household_no", "county_code", "household_no"),
        Index("ix_residents_village_code_seq", "village_code", "seq"),
        Index(
            "ix_residents_county_code_plain_name",
            "county_code",
            "plain_name",
            postgresql_ops={"plain_name": "text_pattern_ops"},
        ),
    )


class ResidentIdentity(Base):
    """A document a resident is or was known by: found by its digest, opened from the seal.

    The last four digits are kept apart, so that nobody opens a number to show its end; and sealed, because area, birth
    date and the last four digits together are the number. A row of before has none until keys are rotated.

    The primary key is what makes one identity number one resident of a county, whatever arrives at once.
    """

    __tablename__ = "resident_identities"

    county_code: Mapped[str] = mapped_column(String(6))
    digest: Mapped[str] = mapped_column(String(64))
    resident_id: Mapped[UUID]
    type: Mapped[str] = mapped_column(String(40))
    sealed_number: Mapped[str] = mapped_column(String(400))
    sealed_last_four: Mapped[str | None] = mapped_column(String(400))
    present: Mapped[bool]
    known_since: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "digest"),
        ForeignKeyConstraint(["county_code", "resident_id"], ["residents.county_code", "residents.resident_id"]),
        Index(
            "uq_resident_identities_present",
            "county_code",
            "resident_id",
            unique=True,
            postgresql_where=text("present"),
        ),
        Index("ix_resident_identities_county_code_resident_id", "county_code", "resident_id"),
    )


class ResidentState(Base):
    """One state of a resident's record, his number, name and telephone number sealed: never deleted, and never changed
    but by who seals it under a new key (`deploy.reseal`)."""

    __tablename__ = "resident_states"

    county_code: Mapped[str] = mapped_column(String(6))
    resident_id: Mapped[UUID]
    revision: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[dict[str, Any]]
    changed_by: Mapped[str] = mapped_column(String(120))
    changed_at: Mapped[datetime]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "resident_id", "revision"),
        ForeignKeyConstraint(["county_code", "resident_id"], ["residents.county_code", "residents.resident_id"]),
    )
