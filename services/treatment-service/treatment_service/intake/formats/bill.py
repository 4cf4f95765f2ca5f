"""The quick reader of a discharge bill. It takes only what `DischargeBill` takes, and leaves all doubts to it.

What it does not take is no refusal yet: the careful reader then looks, and finds the words.
"""

import re
from datetime import date
from itertools import chain
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shared.kit.money import PATTERN
from shared.kit.problems import Problem
from shared.kit.strict_json import parse
from treatment_service.discharges.schemas import Cause, DischargeBill

Code = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Patient(Struct, forbid_unknown_fields=True, gc=False):
    identity_number: Code | None
    name: Text


class Stay(Struct, forbid_unknown_fields=True, gc=False):
    admission_no: Code
    admitted_on: date
    discharged_on: date
    care_setting: Literal["inpatient", "outpatient"]
    emergency: bool
    pay_later_agreement_no: Code | None


class Diagnosis(Struct, forbid_unknown_fields=True, gc=False):
    code: Annotated[str, Meta(min_length=1, max_length=40)]
    name: Text
    principal: bool


class Charges(Struct, forbid_unknown_fields=True, gc=False):
    total: str
    in_scope: str
    non_medical: str
    drugs: str
    catalogue_drugs: str


class Reimbursements(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    basic_insurance: str
    critical_illness: str
    supplementary_insurance: str
    medical_assistance: str
    government_topup: str | UnsetType = UNSET
    other: str


class Referral(Struct, forbid_unknown_fields=True, gc=False):
    kind: Literal["transfer", "emergency_filing", "residence_filing"]
    number: Code
    accepted_by_insurer: bool


class Circumstances(Struct, forbid_unknown_fields=True, gc=False):
    cause: Cause
    place: Literal["mainland", "hong_kong_macau_taiwan", "abroad"]
    referral: Referral | None


class Bill(Struct, forbid_unknown_fields=True, gc=False):
    """The shape of `DischargeBill`, amounts still as they were written."""

    institution_code: Code
    bill_no: Code
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    patient: Patient
    stay: Stay
    diagnoses: Annotated[list[Diagnosis], Meta(min_length=1, max_length=50)]
    charges: Charges
    reimbursements: Reimbursements
    circumstances: Circumstances


class Content(Struct, gc=False):
    """A bill without its patient, as it is stored and read back."""

    institution_code: str
    bill_no: str
    version: int
    stay: Stay
    diagnoses: list[Diagnosis]
    charges: Charges
    reimbursements: Reimbursements
    circumstances: Circumstances


class Read(NamedTuple):
    """A bill that was read: its amounts in fen, in the order of the fields, and its content as canonical text."""

    bill: Bill
    charged: list[int]
    reimbursed: list[int]
    canonical: bytes


# Keys that every bill has: its own nine, and those of patient, stay, charges, reimbursements and circumstances.
KEYS, DIAGNOSIS_KEYS, REFERRAL_KEYS = 9 + 2 + 6 + 5 + 5 + 3, 3, 3
CODE = re.compile(r"[!-~]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
AMOUNTS = re.compile(rf"{PATTERN}(?:\n{PATTERN}){{9,10}}")

_decoder = msgspec.json.Decoder(Bill)
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="sorted")


def read(raw: bytes) -> Read | None:
    """The bill that a JSON text is; None where only the careful reader can say what it is."""
    try:
        bill = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if raw.count(b":") != _keys(bill) and not _well_formed(raw):
        return None
    # Without an escape no JSON text holds a control character but DEL.
    if (b"\\" in raw or b"\x7f" in raw) and CONTROL.search("".join(_texts(bill))):
        return None
    return _checked(bill)


def of(bill: DischargeBill) -> Read:
    """A bill that the careful reader took."""
    found = _decoder.decode(bill.model_dump_json())
    amounts = _amounts(found)
    assert amounts is not None
    return Read(found, *amounts, _canonical.encode(found))


def whole(read: Read) -> DischargeBill:
    """The bill for the careful reader, as it was sent."""
    return DischargeBill.model_validate(msgspec.json.decode(read.canonical))


def _checked(bill: Bill) -> Read | None:
    stay, referral = bill.stay, bill.circumstances.referral
    codes = [bill.institution_code, bill.bill_no, stay.admission_no]
    if stay.pay_later_agreement_no is not None:
        codes.append(stay.pay_later_agreement_no)
    if referral is not None:
        codes.append(referral.number)
    if not all(map(CODE.fullmatch, codes)):
        return None
    if bill.patient.name.isspace() or any(diagnosis.name.isspace() for diagnosis in bill.diagnoses):
        return None
    # Before the amount that may be left out is filled in: what was sent is what a key belongs to.
    canonical = _canonical.encode(bill)
    amounts = _amounts(bill)
    return None if amounts is None else Read(bill, *amounts, canonical)


def _amounts(bill: Bill) -> tuple[list[int], list[int]] | None:
    """The amounts in fen; the one that may be left out is ``0.00`` from here on. None if one is none."""
    charges, paid = bill.charges, bill.reimbursements
    if paid.government_topup is UNSET:
        paid.government_topup = "0.00"
    written = (
        *(charges.total, charges.in_scope, charges.non_medical, charges.drugs, charges.catalogue_drugs),
        *(paid.basic_insurance, paid.critical_illness, paid.supplementary_insurance, paid.medical_assistance),
        *(paid.government_topup, paid.other),
    )
    text = "\n".join(written)
    # One pattern over all of them; a line feed inside an amount would make them more.
    if AMOUNTS.fullmatch(text) is None or text.count("\n") != len(written) - 1:
        return None
    fen = [int(amount) for amount in text.replace(".", "").split("\n")]
    return fen[:5], fen[5:]


def _keys(bill: Bill) -> int:
    """How many keys the text of a bill has when none stands twice: unknown ones were refused."""
    keys = KEYS + DIAGNOSIS_KEYS * len(bill.diagnoses)
    if bill.reimbursements.government_topup is not UNSET:
        keys += 1
    return keys if bill.circumstances.referral is None else keys + REFERRAL_KEYS


def _well_formed(raw: bytes) -> bool:
    """More colons than keys: one in a text, or a key that stands twice."""
    try:
        parse(raw)
    except Problem:
        return False
    return True


def _texts(bill: Bill) -> chain[str]:
    patient = (bill.patient.identity_number or "", bill.patient.name)
    return chain(patient, *((diagnosis.code, diagnosis.name) for diagnosis in bill.diagnoses))


def content(bill: Bill) -> bytes:
    """The bill without its patient, as JSON in the order of its fields."""
    return _encoder.encode(
        Content(
            bill.institution_code,
            bill.bill_no,
            bill.version,
            bill.stay,
            bill.diagnoses,
            bill.charges,
            bill.reimbursements,
            bill.circumstances,
        )
    )
