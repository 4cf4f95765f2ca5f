"""Which days are worked (工作日表), by date and region, each with the document that says so."""

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, PrimaryKeyConstraint, String, text
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base

COUNTRY = ""
"""In place of a county's code: the whole country."""


class WorkingDay(Base):
    """One document's word on one day. Rows are only added; the newest word of a region on a day is the one that counts.

    ``county_code`` is the region, `COUNTRY` for everybody; a county's word goes before the country's. ``is_workday`` is
    null where a county takes its word back: the day is again as everywhere. ``arrangement_id`` joins the rows that came
    out of one document.
    """

    __tablename__ = "working_days"

    county_code: Mapped[str] = mapped_column(String(6))
    day: Mapped[date]
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    is_workday: Mapped[bool | None]
    name: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(200))
    arrangement_id: Mapped[UUID] = mapped_column(default=uuid4)
    entered_by: Mapped[str] = mapped_column(String(120))
    entered_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (
        PrimaryKeyConstraint("county_code", "day", "seq"),
        CheckConstraint("is_workday is not null or county_code <> ''", name="the_country_always_says"),
        Index("ix_working_days_arrangement_id", "arrangement_id"),
    )
