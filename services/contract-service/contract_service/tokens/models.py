"""The refresh tokens given to staff, and the assertions that machines used up."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, PrimaryKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from contract_service.database import Base


class RefreshToken(Base):
    """One refresh token by its hash. It works once; used again, its whole family ends (somebody copied it)."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    family: Mapped[UUID]
    username: Mapped[str] = mapped_column(ForeignKey("users.username"))
    # When the password was given: however often it is renewed, a sign-in lasts a working day.
    signed_in_at: Mapped[datetime]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_refresh_tokens_family", "family"),
        Index("ix_refresh_tokens_expires_at", "expires_at"),
    )


class UsedAssertion(Base):
    """An assertion's id: it is good once, in whichever process it comes."""

    __tablename__ = "used_assertions"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    jti_digest: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]

    __table_args__ = (
        PrimaryKeyConstraint("client_id", "jti_digest"),
        Index("ix_used_assertions_expires_at", "expires_at"),
    )
