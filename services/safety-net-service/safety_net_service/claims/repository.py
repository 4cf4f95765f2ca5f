"""SQL of claims."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.claims.models import Claim, ClaimLine
from safety_net_service.notices.models import NoticeSignature
from safety_net_service.settlements.models import Settlement

# What a hospital may claim: settled, advanced by it, not claimed yet, of a stay that ended by the month's end.
_OPEN = """
  s.county_code = :county and s.institution_code = :institution and s.state = 'settled'
  and s.procedure = 'hospital_advance' and s.safety_net_fen > 0 and s.claimed_at is null and s.discharged_on <= :until
  and not exists (select from claim_lines l where l.discharge_id = s.discharge_id and l.state <> 'returned')
"""
# All work on a discharge is done under its bill's lock; in one order, so that two who lock many never wait in a circle.
LOCK = text(f"""
select count(*) from (
  select b.discharge_id from bills b join settlements s using (discharge_id) where {_OPEN}
  order by b.discharge_id for update of b
) locked
""")
# A statement of its own: it sees what stood once the bills were locked.
GATHER = text(f"""
with mine as (
  update settlements s set claimed_at = :now from bills b
  where b.discharge_id = s.discharge_id and b.version = s.bill_version and not b.voided and {_OPEN}
  returning s.*, b.facts
)
insert into claim_lines (county_code, claim_id, place, institution_code, settlement_id, discharge_id, bill_version,
  policy_version, facts_sha256, bill_no, admission_no, sealed_name, admitted_on, discharged_on, total_fen,
  basic_insurance_fen, critical_illness_fen, supplementary_insurance_fen, medical_assistance_fen, safety_net_fen)
select county_code, :claim_id, row_number() over (order by discharged_on, facts ->> 'bill_no', discharge_id),
  institution_code, settlement_id, discharge_id, bill_version, policy_version,
  encode(sha256(convert_to(inputs::text, 'UTF8')), 'hex'), facts ->> 'bill_no', facts ->> 'admission_no',
  facts ->> 'sealed_name', admitted_on, discharged_on, total_fen, basic_insurance_fen, critical_illness_fen,
  supplementary_insurance_fen, medical_assistance_fen, safety_net_fen
from mine
""")


class Claims:
    """Hospitals' monthly claims and their lines."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def of_month(self, county_code: str, institution_code: str, month: date) -> Claim | None:
        """A hospital's claim for a month."""
        return await self.session.scalar(
            select(Claim).where(
                Claim.county_code == county_code, Claim.institution_code == institution_code, Claim.month == month
            )
        )

    async def one(self, claim_id: UUID, *, lock: bool = False) -> Claim | None:
        """A claim; locked, nobody else takes it further meanwhile."""
        wanted = select(Claim).where(Claim.claim_id == claim_id).execution_options(populate_existing=True)
        return await self.session.scalar(wanted.with_for_update() if lock else wanted)

    async def gather(self, claim: Claim, until: date, now: datetime) -> int:
        """Freeze all that may be claimed into the lines of a claim; how many they are."""
        which = {"county": claim.county_code, "institution": claim.institution_code, "until": until}
        await self.session.execute(LOCK, which)
        await self.session.execute(GATHER, {**which, "now": now, "claim_id": claim.claim_id})
        return int((await self.sums(claim))["lines"])

    async def sums(self, claim: Claim) -> dict[str, int]:
        """How many lines a claim has, how many were returned or lack a signature, and what is claimed in fen."""
        live = ClaimLine.state == "claimed"
        counted = select(
            func.count().label("lines"),
            func.count().filter(~live).label("returned"),
            func.count().filter(live, ~self._signed()).label("unsigned"),
            func.coalesce(func.sum(ClaimLine.safety_net_fen).filter(live), 0).label("safety_net_fen"),
        ).where(ClaimLine.county_code == claim.county_code, ClaimLine.claim_id == claim.claim_id)
        row = (await self.session.execute(counted)).one()
        return {name: int(value) for name, value in row._mapping.items()}

    async def page(self, *, limit: int, before: int | None, **filters: Any) -> list[Claim]:
        """Claims, newest first; whose they are the database sees to."""
        wanted = select(Claim)
        for name, value in filters.items():
            if value is not None:
                wanted = wanted.where(getattr(Claim, name) == value)
        if before is not None:
            wanted = wanted.where(Claim.seq < before)
        return list(await self.session.scalars(wanted.order_by(Claim.seq.desc()).limit(limit)))

    async def lines(self, claim: Claim, *, limit: int | None = None, after: int = 0) -> list[tuple[ClaimLine, bool]]:
        """The lines of a claim in order, each with whether a printing of its notice is signed."""
        wanted = select(ClaimLine, self._signed().label("signed")).where(
            ClaimLine.county_code == claim.county_code, ClaimLine.claim_id == claim.claim_id, ClaimLine.place > after
        )
        rows = await self.session.execute(wanted.order_by(ClaimLine.place).limit(limit))
        return [(line, bool(signed)) for line, signed in rows]

    async def line(self, claim: Claim, place: int) -> ClaimLine | None:
        """One line."""
        return await self.session.get(ClaimLine, (claim.county_code, claim.claim_id, place), populate_existing=True)

    async def let_go(self, line: ClaimLine) -> None:
        """Let the settlement of a returned line be claimed again."""
        await self.session.execute(
            update(Settlement)
            .where(Settlement.county_code == line.county_code, Settlement.settlement_id == line.settlement_id)
            .values(claimed_at=None)
        )

    @staticmethod
    def _signed() -> Any:
        return (
            select(NoticeSignature.number)
            .where(
                NoticeSignature.county_code == ClaimLine.county_code,
                NoticeSignature.settlement_id == ClaimLine.settlement_id,
            )
            .exists()
        )
