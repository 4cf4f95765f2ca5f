"""What was printed for a patient to sign, and what he signed (告知单打印与签字)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base


class NoticePrint(Base):
    """One printing of a settlement's notice, with all it says (`rules.Paper`); rows are only added.

    ``number`` counts the printings; each but the first is a reprint and has its reason. ``pdf_sha256`` is of the very
    pages that were handed out.
    """

    __tablename__ = "notice_prints"

    county_code: Mapped[str] = mapped_column(String(6))
    settlement_id: Mapped[UUID]
    number: Mapped[int]
    check_code: Mapped[str] = mapped_column(String(19))
    paper: Mapped[dict[str, Any]]
    sealed_name: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    pdf_sha256: Mapped[str] = mapped_column(String(64))
    printed_by: Mapped[str] = mapped_column(String(120))
    printed_at: Mapped[datetime]

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "settlement_id", "number"),
        CheckConstraint("number >= 1 and (number = 1 or reason is not null)", name="a_reprint_says_why"),
        Index("uq_notice_prints_check_code", "check_code", unique=True),
    )


class NoticeSignature(Base):
    """The patient, or somebody in his place (代办人), signed a printing; rows are only added.

    A proxy's name lies sealed; the patient's is that of the printing. ``image_sha256`` is of the scan of the signed
    sheet, which the hospital keeps with sheet one.
    """

    __tablename__ = "notice_signatures"

    county_code: Mapped[str] = mapped_column(String(6))
    settlement_id: Mapped[UUID]
    number: Mapped[int]
    signed_by: Mapped[str] = mapped_column(String(10))
    sealed_signer: Mapped[str | None] = mapped_column(Text)
    relation: Mapped[str | None] = mapped_column(String(20))
    signed_at: Mapped[datetime]
    image_sha256: Mapped[str] = mapped_column(String(64))
    recorded_by: Mapped[str] = mapped_column(String(120))
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "settlement_id", "number"),
        ForeignKeyConstraint(
            ["county_code", "settlement_id", "number"],
            ["notice_prints.county_code", "notice_prints.settlement_id", "notice_prints.number"],
        ),
        CheckConstraint(
            "(signed_by = 'patient' and sealed_signer is null and relation is null)"
            " or (signed_by = 'proxy' and sealed_signer is not null and relation is not null)",
            name="a_proxy_is_named",
        ),
    )
