"""What can't be true of a bill, whoever sends it. Pure: no clock, no database."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID, uuid5

from shared.kit.fields import FieldError
from treatment_service.discharges.schemas import DischargeBill

BILLS = UUID("7b1f6d0e-5b8f-5c57-9a2e-45022301001a")
"""The name space of `discharge_id_of`. Never changed: every discharge id rests on it."""
LONGEST_STAY = timedelta(days=3 * 366)
"""A longer stay is a slip of the pen: nothing in the notice knows one."""


def discharge_id_of(institution_code: str, bill_no: str) -> UUID:
    """The id of a bill by its natural key, for ever: recorded again after a restore it is the same discharge elsewhere.

    Under another id it would be settled, and paid, a second time.
    """
    return uuid5(BILLS, f"{institution_code}\n{bill_no}")


def impossible(bill: DischargeBill, today: date) -> list[FieldError]:
    """Every contradiction in a bill, to be put right at the window (C-21); an empty list for a possible one."""
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


def possible(charged: Sequence[int], reimbursed: Sequence[int], admitted: date, discharged: date, today: date) -> bool:
    """Whether `impossible` would find nothing, for a reader in a hurry: amounts in fen in the order of the fields."""
    total, in_scope, non_medical, drugs, catalogue_drugs = charged
    return (
        total > 0
        and in_scope <= total
        and non_medical <= total
        and catalogue_drugs <= drugs <= total
        and sum(reimbursed) <= total
        and admitted <= discharged <= today
        and discharged - admitted <= LONGEST_STAY
    )


def differences(recorded: dict[str, object], sent: dict[str, object], at: str = "") -> list[str]:
    """JSON pointers to the fields in which two bills differ, compared by value."""
    found = []
    for name in sorted(recorded.keys() | sent.keys()):
        here, there, where = recorded.get(name), sent.get(name), f"{at}/{name}"
        if isinstance(here, dict) and isinstance(there, dict):
            found += differences(here, there, where)
        elif here != there:
            found.append(where)
    return found
