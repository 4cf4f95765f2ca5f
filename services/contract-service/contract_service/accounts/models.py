"""Clients of hospitals' systems, local staff, and who tried in vain to come in."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, PrimaryKeyConstraint, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from contract_service.database import Base


class Client(Base):
    """A machine's account, bound to one institution. The secret is random enough that a plain hash keeps it."""

    __tablename__ = "clients"

    client_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    # None: it proves itself by its key alone.
    secret_digest: Mapped[str | None] = mapped_column(String(64))
    institution_code: Mapped[str | None] = mapped_column(String(64))
    county_code: Mapped[str] = mapped_column(String(6))
    roles: Mapped[list[Any]]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    # The county whose administrator answers for it; the institution may lie in another.
    administered_by: Mapped[str] = mapped_column(String(6))
    created_by: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    # Of an account the deployment brought along: what it then read.
    bootstrap_digest: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index("ix_clients_institution_code", "institution_code"),
        Index("ix_clients_administered_by_seq", "administered_by", "seq"),
    )


class ClientKey(Base):
    """The public half of a key by which a client proves itself."""

    __tablename__ = "client_keys"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    key_id: Mapped[str] = mapped_column(String(64))
    algorithm: Mapped[str] = mapped_column(String(10))
    public_key: Mapped[str] = mapped_column(Text)
    registered_by: Mapped[str] = mapped_column(String(120))
    registered_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]

    __table_args__ = (PrimaryKeyConstraint("client_id", "key_id"),)


class User(Base):
    """A person's account: what he is, and to which place or department he is bound."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(String(120), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[Any]]
    county_code: Mapped[str] = mapped_column(String(6))
    institution_code: Mapped[str | None] = mapped_column(String(64))
    township_code: Mapped[str | None] = mapped_column(String(9))
    village_code: Mapped[str | None] = mapped_column(String(12))
    department: Mapped[str | None] = mapped_column(String(60))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    # An account for showing the system: neither a first password to be changed nor a one-time code.
    demo: Mapped[bool] = mapped_column(server_default=text("false"))
    must_change_password: Mapped[bool] = mapped_column(server_default=text("true"))
    sealed_totp: Mapped[str | None] = mapped_column(String(200))
    totp_confirmed_at: Mapped[datetime | None]
    # The step of the last code that was used: no code is good twice, none before it is good at all.
    totp_used_step: Mapped[int | None] = mapped_column(BigInteger)
    # Sign-ins from before this moment are over, whatever they still hold.
    sessions_from: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    bootstrap_digest: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_users_county_code_seq", "county_code", "seq"),)


class Failures(Base):
    """How often somebody failed to come in under one name or from one address. Names stand here as keyed digests:
    people type passwords into the wrong field."""

    __tablename__ = "sign_in_failures"

    kind: Mapped[str] = mapped_column(String(20))
    place: Mapped[str] = mapped_column(String(200))
    failures: Mapped[int] = mapped_column(Integer)
    last_failed_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("kind", "place"),
        Index("ix_sign_in_failures_last_failed_at", "last_failed_at"),
    )
