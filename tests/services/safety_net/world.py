"""A world of its own for each test: people, hospitals, bills, told to the service as events would tell them."""

from datetime import date
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills.consumers import Hearing
from safety_net_service.bills.models import Bill, Look
from safety_net_service.recoveries.models import Recovery
from safety_net_service.settlements.models import LIVE, Settlement
from shared.events.contract import (
    IdentityDigest,
    InstitutionChanged,
    InsurancePeriod,
    Period,
    PovertyPeriod,
    ResidentChanged,
)
from shared.events.safety_net import BillSettled
from shared.events.treatment import BillFacts, Diagnosis, DischargeBilled, DischargeCorrected, DischargeVoided
from shared.kit import clock
from shared.kit.database import AuditRow, OutboxRow
from shared.kit.events import Envelope, Event
from shared.kit.money import fen
from shared.kit.scope import SERVICE
from tests.clients import Client, Issuer, client_of

NAME = "测试甲"
ALWAYS = Period(first_day=date(2016, 1, 1), last_day=None)


class World:
    """One test's people, hospitals and bills, told to the service as events would tell them."""

    def __init__(self, app: FastAPI, issuer: Issuer) -> None:
        self.app, self.issuer, self.state = app, issuer, app.state
        self.hearing = Hearing(app.state.law)
        self.number = f"TEST{uuid4().hex.upper()}"
        self.institution_code = f"H450223{uuid4().hex[:12]}"
        self.resident_id, self.discharge_id = uuid4(), uuid4()

    # --- what is said ---

    def a_resident(self, **changes: Any) -> ResidentChanged:
        """The patient, registered poor and insured, unless ``changes`` say otherwise."""
        county = changes.pop("county_code", "450223")
        known = {
            "resident_id": self.resident_id,
            "revision": 1,
            "county_code": county,
            "village_code": f"{county}100001",
            "household_no": "4502231000001",
            "identities": [IdentityDigest(type="resident_id", digest=self.digest())],
            "name_digest": self.state.keyring.name_digest(NAME),
            "sealed_name": self.state.keyring.seal(NAME),
            "sex": "male",
            "birth_date": date(1975, 3, 12),
            "registered_poor": [PovertyPeriod(**ALWAYS.model_dump(), category="registered_poor")],
            "insurance": [InsurancePeriod(**ALWAYS.model_dump(), scheme="resident", suspended=[])],
            "household_registration": True,
            "birth_document": None,
        }
        return ResidentChanged(**{**known, **changes})

    def an_institution(self, **changes: Any) -> InstitutionChanged:
        """The hospital: of the county and designated, unless ``changes`` say otherwise."""
        known = {
            "institution_code": self.institution_code,
            "revision": 1,
            "name": "测试县医院",
            "kind": "county_hospital",
            "level": 2,
            "county_code": "450223",
            "township_code": None,
            "insurance_designated": [ALWAYS],
            "has_client": True,
        }
        return InstitutionChanged(**{**known, **changes})

    def a_bill(self, kind: type[BillFacts] = DischargeBilled, **changes: Any) -> BillFacts:
        """C-01: 20,000 at a county hospital, 14,800 reimbursed. Amounts may be given in yuan: ``total="9000.00"``."""
        known: dict[str, Any] = {
            "discharge_id": self.discharge_id,
            "version": 1,
            "institution_code": self.institution_code,
            "bill_no": "T-1",
            "identity_digest": self.digest(),
            "name_digest": self.state.keyring.name_digest(NAME),
            "sealed_name": self.state.keyring.seal(NAME),
            "admission_no": "A-1",
            "admitted_on": date(2018, 8, 1),
            "discharged_on": date(2018, 8, 11),
            "care_setting": "inpatient",
            "emergency": False,
            "pay_later_agreement_no": "XY-1",
            "diagnoses": [Diagnosis(code="C34.900", principal=True)],
            "total": "20000.00",
            "in_scope": "18000.00",
            "non_medical": "0.00",
            "drugs": "8000.00",
            "catalogue_drugs": "7800.00",
            "basic_insurance": "11800.00",
            "critical_illness": "0.00",
            "supplementary_insurance": "0.00",
            "medical_assistance": "3000.00",
            "government_topup": "0.00",
            "other": "0.00",
            "cause": "illness",
            "place": "mainland",
            "referral": None,
            "recorded_at": clock.now(),
        }
        known |= changes
        money = [name for name, value in known.items() if name.replace("_", "").isalpha() and _is_yuan(value)]
        return kind(**{f"{name}_fen" if name in money else name: _fen(known[name], name in money) for name in known})

    def a_correction(self, version: int = 2, **changes: Any) -> BillFacts:
        """The next version of the bill."""
        return self.a_bill(DischargeCorrected, version=version, **changes)

    def a_void(self, version: int = 3) -> DischargeVoided:
        """The withdrawal of the bill."""
        return DischargeVoided(discharge_id=self.discharge_id, version=version)

    def digest(self, number: str | None = None) -> str:
        """The keyed digest of an identity number; the patient's if none is given."""
        return str(self.state.keyring.digest(number or self.number))

    # --- hearing it ---

    async def hear(self, *events: Event) -> None:
        """Hear each event in a transaction of its own, as the inbox does, and let the clock strike after it."""
        for event in events:
            async with self.state.database.transaction(SERVICE) as session:
                await self.hear_in(session, event)
            await self.look()

    async def hear_in(self, session: AsyncSession, event: Event) -> None:
        """Hear an event among others in a transaction, as a batch of the inbox does."""
        if isinstance(event, ResidentChanged):
            await self.hearing.resident(session, event)
        elif isinstance(event, InstitutionChanged):
            await self.hearing.institution(session, event)
        elif isinstance(event, BillFacts):
            await self.hearing.bill(session, event)
        elif isinstance(event, DischargeVoided):
            await self.hearing.void(session, event)
        await session.flush()

    async def settle(self, **changes: Any) -> Settlement:
        """Registered patient, known hospital, one bill: its settlement."""
        await self.hear(self.an_institution(), self.a_resident(), self.a_bill(**changes))
        return await self.live()

    async def let_time_pass(self) -> None:
        """End every wait of this world's bill, and let the service look at what is due."""
        async with self.state.database.transaction(SERVICE) as session:
            await session.execute(
                update(Bill)
                .where(Bill.discharge_id == self.discharge_id, Bill.wait_until.is_not(None))
                .values(wait_until=clock.now())
            )
            await session.execute(update(Look).where(Look.key == str(self.discharge_id)).values(due_at=clock.now()))
        await self.look()

    async def look(self) -> None:
        """What the worker does every fifth of a second."""
        await self.hearing.look_at_due(self.state.database)

    # --- looking ---

    async def bill(self) -> Bill:
        """The bill's row."""
        async with self.state.database.transaction(SERVICE) as session:
            found: Bill | None = await session.get(Bill, self.discharge_id)
        assert found is not None
        return found

    async def looks(self) -> list[str]:
        """Why the bill is still to be looked at."""
        async with self.state.database.transaction(SERVICE) as session:
            mine = select(Look.kind).where(Look.key == str(self.discharge_id)).order_by(Look.seq)
            return list(await session.scalars(mine))

    async def settlements(self, discharge_id: UUID | None = None) -> list[Settlement]:
        """Every settlement of the bill, oldest first."""
        async with self.state.database.transaction(SERVICE) as session:
            mine = select(Settlement).where(Settlement.discharge_id == (discharge_id or self.discharge_id))
            return list(await session.scalars(mine.order_by(Settlement.seq)))

    async def live(self) -> Settlement:
        """The one settlement that stands."""
        (found,) = [each for each in await self.settlements() if each.state in LIVE]
        return found

    async def said(self) -> list[BillSettled]:
        """What was said about the bill, in order."""
        async with self.state.database.transaction(SERVICE) as session:
            rows = await session.scalars(
                select(OutboxRow).where(OutboxRow.subject == BillSettled.subject).order_by(OutboxRow.seq)
            )
            events = [BillSettled.model_validate(Envelope.from_bytes(row.payload).data) for row in rows]
        return [event for event in events if event.discharge_id == self.discharge_id]

    async def cases(self) -> list[Recovery]:
        """The recoveries about the bill, oldest first."""
        async with self.state.database.transaction(SERVICE) as session:
            mine = select(Recovery).where(Recovery.discharge_id == self.discharge_id).order_by(Recovery.seq)
            return list(await session.scalars(mine))

    async def audited(self, object_id: object) -> list[str]:
        """What was done to a record."""
        async with self.state.database.transaction(SERVICE) as session:
            mine = select(AuditRow.action).where(AuditRow.object_id == str(object_id)).order_by(AuditRow.seq)
            return list(await session.scalars(mine))

    # --- asking ---

    def caller(self, role: str, **claims: Any) -> Client:
        """An HTTP client of a role; hospitals of this world's own."""
        if role == "hospital":
            claims = {"institution_code": self.institution_code, **claims}
        if role == "township_government":
            claims = {"township_code": "450223100", **claims}
        return client_of(self.app, self.issuer.token(role, **claims))

    async def claim(self, settlement: Settlement) -> None:
        """Let a settlement be claimed, as a hospital's monthly batch will."""
        async with self.state.database.transaction(SERVICE) as session:
            await session.execute(
                update(Settlement)
                .where(Settlement.settlement_id == settlement.settlement_id)
                .values(claimed_at=clock.now())
            )


def _is_yuan(value: Any) -> bool:
    return isinstance(value, str) and value[-3:-2] == "." and value.replace(".", "").isdigit()


def _fen(value: Any, is_money: bool) -> Any:
    return fen(value) if is_money else value
