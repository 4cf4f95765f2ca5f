"""What a bill would be settled as, by the same rules, before it is sent; nothing of it is kept."""

from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.errors import NotYourInstitution
from safety_net_service.estimates.schemas import EstimateBill
from safety_net_service.registry import service as registry
from safety_net_service.settlements import service as settlements
from safety_net_service.settlements.rules import outcome_to_json
from safety_net_service.settlements.service import Law
from shared.bills.facts import SealedPatient, facts
from shared.bills.rules import UNKNOWN_INSTITUTION, impossible
from shared.events.treatment import BillFacts
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import as_service
from shared.kit.problems import Invalid
from shared.kit.sealing import Keyring


async def estimate(
    session: AsyncSession, caller: Caller, bill: EstimateBill, law: Law, keyring: Keyring
) -> dict[str, Any]:
    """Settle a bill by what is known now and keep nothing but the audit row: an estimate tells who is registered.

    A hospital has the patient before it, and of its own bill it is told what the settlement will tell it anyway. An
    office learns of nobody but its own county's residents.
    """
    own_bill = caller.has("hospital") and caller.institution_code == bill.institution_code
    if not own_bill and not caller.has("hrss", "safety_net_office"):
        raise NotYourInstitution
    institution = await registry.institution(session, bill.institution_code)
    if errors := ([] if institution else [UNKNOWN_INSTITUTION]) + impossible(bill, clock.today()):
        raise Invalid(errors)
    # As treatment-service would tell it.
    told = BillFacts(**facts(bill, SealedPatient.of(bill.patient, keyring), uuid4(), clock.now()))
    people = await registry.candidates(session, told.identity_digest, told.name_digest)
    if not own_bill:
        people = tuple(person for person in people if person.county_code == caller.county_code)
    async with as_service(session):
        inputs = await settlements.inputs_of(session, told, people, institution, law.shelf, lock=False)
    outcome = inputs.settle(law.shelf)
    detail = {"bill_no": bill.bill_no, "decision": outcome.decision, "resident_id": outcome.resident_id}
    record(session, caller, "estimated", "bill", bill.institution_code, detail)
    return {
        "bill_version": bill.version,
        "state": settlements.STATES[outcome.decision],
        **outcome_to_json(outcome),
        "institution_code": bill.institution_code,
    }
