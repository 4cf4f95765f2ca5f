"""Bills settled together stand, and are told of, exactly as if each had been heard alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import delete, select

from safety_net_service.bills.models import Bill, Look
from safety_net_service.settlements.models import Settlement
from safety_net_service.settlements.rules import UNKNOWN_KIND, Institution, Patient
from safety_net_service.settlements.rules import Bill as BillInputs
from shared.events.contract import (
    IdentityDigest,
    InstitutionChanged,
    InsurancePeriod,
    Period,
    PovertyPeriod,
    ResidentChanged,
)
from shared.events.treatment import BillFacts, Diagnosis, Referral
from shared.kit.database import AuditRow, OutboxRow
from shared.kit.events import Envelope, Event
from shared.kit.log import request_id
from shared.kit.scope import SERVICE
from tests.policies.cases import read_cases
from tests.rules.drawn import doubtful_bills, doubtful_institutions, doubtful_people
from tests.services.safety_net.hearing import Ears
from tests.services.safety_net.world import World

CASES = Path(__file__).parents[2] / "policies" / "cases" / "worked.yaml"
DRAWN = 260
OWN = {"settlement_id", "seq", "discharge_id", "made_at"}


def drawn_cases() -> list[tuple[BillInputs, Sequence[Patient], Institution]]:
    """The same random cases at each run."""
    found: list[tuple[BillInputs, Sequence[Patient], Institution]] = []

    @settings(
        max_examples=DRAWN,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(doubtful_bills(), doubtful_people(), doubtful_institutions)
    def draw(bill: BillInputs, people: list[Patient], institution: Institution) -> None:
        found.append((bill, people, institution))

    draw()
    return found


def all_cases() -> list[tuple[BillInputs, Sequence[Patient], Institution]]:
    """Every worked case, and the drawn ones."""
    worked = [case.inputs for case in read_cases(CASES)]
    return [(each.bill, each.candidates, each.institution) for each in worked] + drawn_cases()


class Told:
    """A case as events would tell it: the registry's, and its bill as often as one likes under numbers of its own."""

    def __init__(self, world: World, bill: BillInputs, people: Sequence[Patient], institution: Institution) -> None:
        self.world, self.bill = world, bill
        self.digest, self.code = world.digest(uuid4().hex), f"H{institution.county_code}{uuid4().hex[:12]}"
        self.residents = [self._resident(person) for person in people]
        self.institution = self._institution(institution) if institution.kind != UNKNOWN_KIND else None

    def _resident(self, person: Patient) -> ResidentChanged:
        types = person.identity_types or ("resident_id",)
        known = self.world.a_resident(
            resident_id=uuid4(),
            identities=[
                IdentityDigest(type=kind, digest=self.digest if not place else self.world.digest(uuid4().hex))
                for place, kind in enumerate(types)
            ],
            registered_poor=[
                PovertyPeriod(first_day=each.first, last_day=each.last, category=each.category)
                for each in person.poverty
            ],
            insurance=[
                InsurancePeriod(
                    first_day=each.first,
                    last_day=each.last,
                    scheme=each.scheme,
                    suspended=[Period(first_day=stop.first, last_day=stop.last) for stop in each.suspended],
                )
                for each in person.insurance
            ],
            village_code=f"{person.county_code}100001",
            **{
                name: getattr(person, name)
                for name in ("birth_date", "household_registration", "birth_document", "severe_mental_disorder")
            },
        )
        other = {} if person.name_matches else {"name_digest": self.world.state.keyring.name_digest("另一人")}
        return known.model_copy(update=other)

    def _institution(self, institution: Institution) -> InstitutionChanged:
        return self.world.an_institution(
            institution_code=self.code,
            kind=institution.kind,
            county_code=institution.county_code,
            insurance_designated=[Period(first_day=each.first, last_day=each.last) for each in institution.designated],
        )

    def billed(self) -> BillFacts:
        """The bill."""
        bill, referral = self.bill, self.bill.referral
        facts = self.world.a_bill(
            institution_code=self.code,
            identity_digest=self.digest if bill.identity_given else None,
            diagnoses=[Diagnosis(code=code, principal=not place) for place, code in enumerate(bill.diagnoses)],
            referral=referral
            and Referral(kind=referral.kind, number=referral.number, accepted_by_insurer=referral.accepted_by_insurer),
        )
        same = {
            name: getattr(bill, name)
            for name in BillFacts.model_fields
            if hasattr(bill, name) and name not in ("diagnoses", "referral")
        }
        return facts.model_copy(update=same)


async def everything(world: World, discharge_ids: set[UUID]) -> dict[UUID, dict[str, Any]]:
    """What the service knows and says of these bills, without what is each bill's own."""
    async with world.state.database.transaction(SERVICE) as session:
        bills = await session.scalars(select(Bill).where(Bill.discharge_id.in_(discharge_ids)))
        found: dict[UUID, dict[str, Any]] = {
            bill.discharge_id: {
                "bill": (bill.version, bill.voided, bill.institution_code, bill.identity_digest),
                "revision": bill.settlement_revision,
                "facts": {**(bill.facts or {}), "discharge_id": ""},
                "waits": bill.wait_until is not None,
                **{name: [] for name in ("looks", "settlements", "audit", "said")},
            }
            for bill in bills
        }
        whose = {str(discharge_id): discharge_id for discharge_id in found}
        for look in await session.scalars(select(Look).order_by(Look.seq)):
            if look.key in whose:
                found[whose[look.key]]["looks"].append((look.kind, look.rank))
        for row in await session.scalars(select(Settlement).order_by(Settlement.seq)):
            if row.discharge_id in found:
                whose[str(row.settlement_id)] = row.discharge_id
                found[row.discharge_id]["settlements"].append(_columns(row, OWN))
        for deed in await session.scalars(select(AuditRow).order_by(AuditRow.seq)):
            if deed.object_id in whose:
                found[whose[deed.object_id]]["audit"].append(_columns(deed, {"seq", "at", "xid", "object_id"}))
        for said in await session.scalars(select(OutboxRow).order_by(OutboxRow.seq)):
            envelope = Envelope.from_bytes(said.payload)
            assert (envelope.event_id, envelope.subject) == (said.event_id, said.subject)
            if envelope.data["discharge_id"] in whose:
                told = (said.subject, envelope.request_id, list(envelope.data), _without_ids(envelope.data))
                found[whose[envelope.data["discharge_id"]]]["said"].append(told)
    return found


def _columns(row: Any, but: set[str]) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in row.__table__.columns if column.name not in but}


def _without_ids(data: dict[str, Any]) -> dict[str, Any]:
    assert data["settlement_id"] == data["settlement"]["settlement_id"]
    assert data["discharge_id"] == data["settlement"]["discharge_id"]
    own = dict.fromkeys(("settlement_id", "discharge_id"), "")
    order = list(data["settlement"])
    return {**data, **own, "settlement": {**data["settlement"], **own, "made_at": ""}, "order": order}


@pytest.mark.clause("R-33")
@pytest.mark.parametrize(("wait_seconds", "at_least"), [(0, 300), (2, 200)])
async def test_a_batch_settles_every_bill_as_it_would_be_settled_alone(
    world: World, wait_seconds: int, at_least: int
) -> None:
    told = [Told(world, *case) for case in all_cases()[: None if at_least == 300 else at_least]]
    assert len(told) >= at_least
    for each in told:
        events: list[Event] = [*each.residents, *([each.institution] if each.institution else [])]
        async with world.state.database.transaction(SERVICE) as session:
            for event in events:
                await world.hear_in(session, event)
    law = replace(world.state.law, wait=timedelta(seconds=wait_seconds))
    alone, together = Ears(world, together=False, law=law), Ears(world, together=True, law=law)
    bills = [each.billed().model_copy(update={"discharge_id": uuid4()}) for each in told]
    twins = [bill.model_copy(update={"discharge_id": uuid4()}) for bill in bills]
    token = request_id.set("a-request-of-its-own")
    try:
        for start in range(0, len(bills), 100):
            letters = await alone.take(*bills[start : start + 100])
            letters += await together.take(*twins[start : start + 100])
            assert {letter.answers[0] for letter in letters} == {"ack"}
    finally:
        request_id.reset(token)
        await together.inbox.close()
    found = await everything(world, {bill.discharge_id for bill in (*bills, *twins)})
    async with world.state.database.transaction(SERVICE) as session:
        # What became due is nothing to the tests after this one.
        await session.execute(delete(Look))
    outcomes = set()
    for bill, twin in zip(bills, twins, strict=True):
        assert found[twin.discharge_id] == found[bill.discharge_id]
        mine = found[twin.discharge_id]
        outcomes |= {row["state"] for row in mine["settlements"]} | {kind for kind, _ in mine["looks"]}
    assert outcomes == {"settled", "held", "rejected", "bill"} | ({"wait"} if wait_seconds else set())
