"""Invented residents and bills for the flow tests, on top of the demo county."""

import itertools
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from shared.kit.identity_number import check_digit

HOSPITAL, TOWNSHIP, CITY = "county_hospital", "township_centre_luzhai", "city_hospital"
BILLS, SETTLEMENTS = "/treatment/v1/discharges", "/safety-net/v1/settlements"
_born = itertools.count(1)


def a_number() -> tuple[str, date]:
    """A number that was never issued (serial 000) and that the demo county does not use, with its birth date."""
    born = date(1931, 1, 1) + timedelta(days=next(_born))
    first17 = f"452231{born:%Y%m%d}000"
    return first17 + check_digit(first17), born


def a_resident(**changes: Any) -> dict[str, Any]:
    number, born = a_number()
    return {
        "identity": {"type": "resident_id", "number": number},
        "name": "测试流程",
        "sex": "female",
        "birth_date": born.isoformat(),
        "household_no": "4502231099999",
        "relation_to_head": "head",
        "village_code": "450223100001",
        "phone": None,
        "registered_poor": [{"from": "2016-01-01", "to": None, "category": "registered_poor"}],
        "insurance": [{"scheme": "resident", "from": "2016-01-01", "to": None, "suspended": []}],
        "household_registration": True,
        "birth_document": None,
        **changes,
    }


def a_bill(institution_code: str, patient: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """C-01's bill for this patient; ``stay={"emergency": True}`` and the like change parts of it."""
    bill: dict[str, Any] = {
        "institution_code": institution_code,
        "bill_no": f"F-{uuid4()}",
        "version": 1,
        "patient": {"identity_number": patient["identity"]["number"], "name": patient["name"]},
        "stay": {
            "admission_no": f"A-{uuid4()}",
            "admitted_on": "2018-08-01",
            "discharged_on": "2018-08-11",
            "care_setting": "inpatient",
            "emergency": False,
            "pay_later_agreement_no": "XY-1",
        },
        "diagnoses": [{"code": "J18.900", "name": "肺炎", "principal": True}],
        "charges": {
            "total": "20000.00",
            "in_scope": "18000.00",
            "non_medical": "0.00",
            "drugs": "8000.00",
            "catalogue_drugs": "7800.00",
        },
        "reimbursements": {
            "basic_insurance": "11800.00",
            "critical_illness": "0.00",
            "supplementary_insurance": "0.00",
            "medical_assistance": "3000.00",
            "other": "0.00",
        },
        "circumstances": {"cause": "illness", "place": "mainland", "referral": None},
    }
    for name, value in changes.items():
        bill[name] = {**bill[name], **value} if isinstance(value, dict) else value
    return bill
