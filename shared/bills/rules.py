"""What can't be true of a bill, whoever sends it and wherever. Pure: no clock, no database."""

from collections.abc import Sequence
from datetime import date, timedelta

from shared.bills.form import DischargeBill
from shared.kit.fields import FieldError

LONGEST_STAY = timedelta(days=3 * 366)
"""A longer stay is a slip of the pen: nothing in the notice knows one."""

UNKNOWN_INSTITUTION = FieldError("/institution_code", "unknown_institution", "没有登记这家医疗机构。")


def impossible(bill: DischargeBill, today: date) -> list[FieldError]:
    """Every contradiction in a bill, to be put right at the window (C-21); an empty list for a possible one."""
    charged, reimbursed = list(bill.charges.model_dump().values()), list(bill.reimbursements.model_dump().values())
    return contradictions(charged, reimbursed, bill.stay.admitted_on, bill.stay.discharged_on, today)


def contradictions(
    charged: Sequence[int], reimbursed: Sequence[int], admitted_on: date, discharged_on: date, today: date
) -> list[FieldError]:
    """The contradictions of a bill whose parts are at hand: amounts in fen, in the order of the form's fields."""
    total, in_scope, non_medical, drugs, catalogue_drugs = charged
    found = []
    if total == 0:
        found.append(FieldError("/charges/total", "nothing_to_settle", "总费用为 0.00，没有可结算的费用。"))
    if non_medical > total:
        found.append(_above("non_medical", "分项费用大于总费用。"))
    if in_scope > total:
        found.append(_above("in_scope", "分项费用大于总费用。"))
    if drugs > total:
        found.append(_above("drugs", "分项费用大于总费用。"))
    if catalogue_drugs > drugs:
        found.append(_above("catalogue_drugs", "目录内药品费用大于药品费用。"))
    if sum(reimbursed) > total:
        found.append(
            FieldError("/reimbursements", "reimbursed_above_total", "各项报销与其他资助之和大于总费用，请核对。")
        )
    if discharged_on < admitted_on:
        found.append(FieldError("/stay/discharged_on", "dates_out_of_order", "出院日期早于入院日期。"))
    if discharged_on > today:
        found.append(FieldError("/stay/discharged_on", "date_in_future", "出院日期晚于今天。"))
    elif discharged_on - admitted_on > LONGEST_STAY:
        found.append(FieldError("/stay/admitted_on", "stay_too_long", "住院时间超过三年，请核对入院日期。"))
    return found


def _above(part: str, detail: str) -> FieldError:
    return FieldError(f"/charges/{part}", "part_above_total", detail)
