"""What a bill would be settled as, by the same rules, before it is sent; nothing of it is kept."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.errors import NotYourInstitution
from safety_net_service.estimates.schemas import EstimateBill
from safety_net_service.registry import service as registry
from safety_net_service.settlements import service as settlements
from safety_net_service.settlements.rules import outcome_to_json
from safety_net_service.settlements.service import Law
from shared.events.treatment import BillFacts
from shared.kit import clock, identity_number
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.database import as_service
from shared.kit.problems import FieldError, Invalid
from shared.kit.sealing import Keyring

LONGEST_STAY = timedelta(days=3 * 366)
"""A longer stay is a slip of the pen: nothing in the notice knows one."""


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
    unknown = [FieldError("/institution_code", "unknown_institution", "没有登记这家医疗机构。")]
    if errors := ([] if institution else unknown) + _impossible(bill, clock.today()):
        raise Invalid(errors)
    facts = _facts(bill, keyring)
    people = await registry.candidates(session, facts.identity_digest, facts.name_digest)
    if not own_bill:
        people = tuple(person for person in people if person.county_code == caller.county_code)
    async with as_service(session):
        inputs = await settlements.inputs_of(session, facts, people, institution, law.shelf, lock=False)
    outcome = inputs.settle(law.shelf)
    detail = {"bill_no": bill.bill_no, "decision": outcome.decision, "resident_id": outcome.resident_id}
    record(session, caller, "estimated", "bill", bill.institution_code, detail)
    return {
        "bill_version": bill.version,
        "state": settlements.STATES[outcome.decision],
        **outcome_to_json(outcome),
        "institution_code": bill.institution_code,
    }


def _facts(bill: EstimateBill, keyring: Keyring) -> BillFacts:
    """The bill as treatment-service would tell it."""
    number = bill.patient.identity_number
    return BillFacts(
        discharge_id=uuid4(),
        version=bill.version,
        institution_code=bill.institution_code,
        bill_no=bill.bill_no,
        identity_digest=None if number is None else keyring.digest(identity_number.canonical(number)),
        name_digest=keyring.name_digest(bill.patient.name),
        sealed_name="",
        diagnoses=[{"code": each.code, "principal": each.principal} for each in bill.diagnoses],
        recorded_at=clock.now(),
        **bill.stay.model_dump(),
        **bill.circumstances.model_dump(),
        **{f"{name}_fen": fen for name, fen in bill.charges.model_dump().items()},
        **{f"{name}_fen": fen for name, fen in bill.reimbursements.model_dump().items()},
    )


def _impossible(bill: EstimateBill, today: date) -> list[FieldError]:
    """Every contradiction in a bill; an empty list for a possible one."""
    charges, stay = bill.charges, bill.stay
    found = []
    if charges.total == 0:
        found.append(FieldError("/charges/total", "nothing_to_settle", "总费用为 0.00，没有可结算的费用。"))
    parts = (("non_medical", charges.non_medical), ("in_scope", charges.in_scope), ("drugs", charges.drugs))
    for name, fen in parts:
        if fen > charges.total:
            found.append(FieldError(f"/charges/{name}", "part_above_total", "分项费用大于总费用。"))
    if charges.catalogue_drugs > charges.drugs:
        found.append(FieldError("/charges/catalogue_drugs", "part_above_total", "目录内药品费用大于药品费用。"))
    if sum(bill.reimbursements.model_dump().values()) > charges.total:
        found.append(
            FieldError("/reimbursements", "reimbursed_above_total", "各项报销与其他资助之和大于总费用，请核对。")
        )
    if stay.discharged_on < stay.admitted_on:
        found.append(FieldError("/stay/discharged_on", "dates_out_of_order", "出院日期早于入院日期。"))
    if stay.discharged_on > today:
        found.append(FieldError("/stay/discharged_on", "date_in_future", "出院日期晚于今天。"))
    elif stay.discharged_on - stay.admitted_on > LONGEST_STAY:
        found.append(FieldError("/stay/admitted_on", "stay_too_long", "住院时间超过三年，请核对入院日期。"))
    return found
