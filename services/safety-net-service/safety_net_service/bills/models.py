"""Discharge bills as this service heard of them, and what makes it look at them again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from safety_net_service.database import Base

AT_ONCE, IN_TURN = 0, 1
"""Ranks of a look: somebody waits for it, or a bill already judged is only held against what is known now."""


class Bill(Base):
    """This service's copy of a discharge bill; its row is the lock under which all work on one discharge is done.

    ``version`` is the newest heard of; what arrives late changes nothing. ``facts`` is the newest content (null when a
    void came before any bill). Until ``wait_until`` the bill waits for the registration of its patient or its
    institution; a `Look` brings it back then.
    """

    __tablename__ = "bills"

    # Not the county first: whose a bill is is only known once it is judged, and a correction may move it.
    discharge_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=0)
    voided: Mapped[bool] = mapped_column(default=False)
    institution_code: Mapped[str | None] = mapped_column(String(64))
    identity_digest: Mapped[str | None] = mapped_column(String(64))
    facts: Mapped[dict[str, Any] | None]
    # Begins above 0 after a restore (`restored`): what was told in the lost days must not count as newer.
    settlement_revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    wait_until: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_bills_identity_digest", "identity_digest"),
        Index("ix_bills_institution_code", "institution_code"),
    )


class Look(Base):
    """One thing heard because of which bills are to be looked at, from ``due_at`` on.

    ``kind`` and ``key``: ``bill`` (a discharge), ``wait`` (a discharge whose wait is over then), ``identity`` (a keyed
    digest) and ``institution`` (a code) whose registration changed, ``fund`` (county and name) that got money back.
    Every hearing adds a row of its own, in its own transaction: were a row shared, the clock could work it off for the
    first hearing just before the second one commits.
    """

    __tablename__ = "looks"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(Text)
    rank: Mapped[int] = mapped_column(SmallInteger, default=AT_ONCE)
    due_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("kind in ('bill', 'wait', 'identity', 'institution', 'fund')", name="kind"),
        Index("ix_looks_rank_due_at_seq", "rank", "due_at", "seq"),
    )
