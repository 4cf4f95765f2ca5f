"""Every SQL statement about refresh tokens and used assertions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contract_service.tokens.models import RefreshToken, UsedAssertion


class RefreshTokens:
    """The refresh tokens of all sign-ins."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    def give(self, token: RefreshToken) -> None:
        """Keep a new refresh token."""
        self.session.add(token)

    async def of_hash(self, token_hash: str) -> RefreshToken | None:
        """A refresh token, to be used by one request at a time."""
        query = select(RefreshToken).where(RefreshToken.token_hash == token_hash).with_for_update()
        return await self.session.scalar(query)

    async def end_family(self, family: UUID, at: datetime) -> None:
        """No token of this sign-in works any more."""
        await self.session.execute(
            update(RefreshToken)
            .where(RefreshToken.family == family, RefreshToken.revoked_at.is_(None))
            .values(revoked_at=at)
        )

    async def end_all(self, at: datetime) -> None:
        """Everybody signs in anew."""
        await self.session.execute(update(RefreshToken).where(RefreshToken.revoked_at.is_(None)).values(revoked_at=at))

    async def forget(self, before: datetime) -> None:
        """Drop tokens that expired before a moment."""
        await self.session.execute(delete(RefreshToken).where(RefreshToken.expires_at < before))


class UsedAssertions:
    """The assertions that machines used up."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def use(self, client_id: str, jti_digest: str, expires_at: datetime) -> bool:
        """Use an assertion up; False when it was used before (one that is being used elsewhere is waited for)."""
        row = {"client_id": client_id, "jti_digest": jti_digest, "expires_at": expires_at}
        put = insert(UsedAssertion).values(row).on_conflict_do_nothing().returning(UsedAssertion.client_id)
        return await self.session.scalar(put) is not None

    async def forget(self, before: datetime) -> None:
        """Drop those that nobody could use any more anyway."""
        await self.session.execute(delete(UsedAssertion).where(UsedAssertion.expires_at < before))
