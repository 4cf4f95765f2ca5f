"""The quick reader of a discharge bill. It takes only what `DischargeBill` takes, and leaves all doubts to it.

What it does not take is no refusal yet: the careful reader then looks, and finds the words.
"""

import re
from collections.abc import Callable
from datetime import date
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET

from shared.bills.facts import told
from shared.bills.form import (
    BillCharges,
    BillCircumstances,
    BillDiagnosis,
    BillPatient,
    BillReferral,
    BillReimbursements,
    BillStay,
    DischargeBill,
)
from shared.kit.fields import Code, LawDate, Money, Text
from shared.kit.money import PATTERN
from shared.kit.problems import Problem
from shared.kit.strict_json import parse
from shared.kit.structs import struct_of

if TYPE_CHECKING:
    Bill = DischargeBill
else:
    # Field for field the form, as the type checker sees it; but an amount is still the text that was sent.
    kinds = {Money: str, LawDate: date}
    Bill = struct_of(DischargeBill, instead=kinds, patterns_aside=[Code, Text], omitted=["government_topup"])


KEPT = [name for name in DischargeBill.model_fields if name != "patient"]
Content = msgspec.defstruct("Content", KEPT, gc=False)
"""A bill without its patient, as it is stored and read back."""


class Read(NamedTuple):
    """A bill that was read: its amounts in fen, in the order of the fields, and its content as canonical text."""

    bill: Bill
    charged: list[int]
    reimbursed: list[int]
    canonical: bytes


# Keys that every bill has; those of a diagnosis, of a referral and the one that may be left out come to them.
ALWAYS = (DischargeBill, BillPatient, BillStay, BillCharges, BillReimbursements, BillCircumstances)
KEYS = sum(len(part.model_fields) for part in ALWAYS) - 1
DIAGNOSIS_KEYS, REFERRAL_KEYS = len(BillDiagnosis.model_fields), len(BillReferral.model_fields)
CODE = re.compile(r"[!-~]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CHARGES, AMOUNTS = len(BillCharges.model_fields), len(BillCharges.model_fields) + len(BillReimbursements.model_fields)
# One pattern over all of them, one a line: a line feed inside an amount would make them more.
WRITTEN = re.compile(rf"{PATTERN}(?:\n{PATTERN}){{{AMOUNTS - 1}}}")

_decoder = msgspec.json.Decoder(Bill)
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="sorted")
_kept = attrgetter(*KEPT)
_values: Callable[[Any], tuple[Any, ...]] = msgspec.structs.astuple
_written = attrgetter(
    *(f"charges.{name}" for name in BillCharges.model_fields),
    *(f"reimbursements.{name}" for name in BillReimbursements.model_fields),
)


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
    # None of them is empty, so they are codes if all of it is.
    if CODE.fullmatch("".join(codes)) is None:
        return None
    if bill.patient.name.isspace() or any(diagnosis.name.isspace() for diagnosis in bill.diagnoses):
        return None
    # Before the amount that may be left out is filled in: what was sent is what a key belongs to.
    canonical = _canonical.encode(bill)
    amounts = _amounts(bill)
    return None if amounts is None else Read(bill, *amounts, canonical)


def _amounts(bill: Bill) -> tuple[list[int], list[int]] | None:
    """The amounts in fen; the one that may be left out is ``0.00`` from here on. None if one is none."""
    reimbursements: Any = bill.reimbursements
    if reimbursements.government_topup is UNSET:
        reimbursements.government_topup = "0.00"
    text = "\n".join(_written(bill))
    if WRITTEN.fullmatch(text) is None:
        return None
    fen = [int(amount) for amount in text.replace(".", "").split("\n")]
    return fen[:CHARGES], fen[CHARGES:]


def _keys(bill: Bill) -> int:
    """How many keys the text of a bill has when none stands twice: unknown ones were refused."""
    keys = KEYS + DIAGNOSIS_KEYS * len(bill.diagnoses)
    reimbursements: Any = bill.reimbursements
    if reimbursements.government_topup is not UNSET:
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
    return _encoder.encode(Content(*_kept(bill)))


def values(read: Read) -> tuple[Any, ...]:
    """Stay, diagnoses, amounts in fen and circumstances, field by field, for `facts_of`."""
    stay, circumstances = _values(read.bill.stay), _values(read.bill.circumstances)
    return (*stay, told(read.bill.diagnoses), *read.charged, *read.reimbursed, *circumstances)
