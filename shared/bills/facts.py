"""A bill as it is told: the fields of `BillFacts` out of the form, with its patient sealed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, defstruct
from msgspec.structs import asdict

from shared.bills.form import BillCharges, BillCircumstances, BillPatient, BillReimbursements, BillStay, DischargeBill
from shared.kit import identity_number
from shared.kit.sealing import Keyring

FIELDS = (
    *("discharge_id", "version", "institution_code", "bill_no", "identity_digest", "name_digest", "sealed_name"),
    *BillStay.model_fields,
    "diagnoses",
    *(f"{name}_fen" for name in (*BillCharges.model_fields, *BillReimbursements.model_fields)),
    *BillCircumstances.model_fields,
    "recorded_at",
)
"""The fields of `BillFacts` in their order: the form's own, but that an amount says its unit."""
Told = defstruct("Told", FIELDS, gc=False)


class SealedPatient(Struct, frozen=True, gc=False):
    """The patient of a bill: the digests that find him, and what only the keyring opens."""

    identity_digest: str | None
    sealed_identity: str | None
    name_digest: str
    sealed_name: str

    @classmethod
    def of(cls, patient: BillPatient, keyring: Keyring) -> "SealedPatient":
        """Seal number and name, the number in its canonical form; a newborn has none."""
        digest = sealed = None
        if patient.identity_number is not None:
            canonical = identity_number.canonical(patient.identity_number)
            digest, sealed = keyring.digest(canonical), keyring.seal(canonical)
        return cls(digest, sealed, keyring.name_digest(patient.name), keyring.seal(patient.name))


def told(diagnoses: Iterable[Any]) -> list[dict[str, Any]]:
    """What is said of diagnoses: their codes. What a hospital calls them stays with the bill (decision 0024)."""
    return [{"code": each.code, "principal": each.principal} for each in diagnoses]


def facts(bill: DischargeBill, patient: SealedPatient, discharge_id: UUID, at: datetime) -> dict[str, Any]:
    """What `BillFacts` says of a bill that is recorded at a moment."""
    stay, circumstances = bill.stay.model_dump().values(), bill.circumstances.model_dump().values()
    diagnoses = told(bill.diagnoses)
    amounts = (*bill.charges.model_dump().values(), *bill.reimbursements.model_dump().values())
    return asdict(facts_of(bill, (*stay, diagnoses, *amounts, *circumstances), patient, discharge_id, at))


def facts_of(
    bill: DischargeBill, content: Sequence[Any], patient: SealedPatient, discharge_id: UUID, at: datetime
) -> Struct:
    """As `facts`, of a bill whose stay, diagnoses, amounts in fen and circumstances are at hand, field by field."""
    key = (discharge_id, bill.version, bill.institution_code, bill.bill_no)
    who = (patient.identity_digest, patient.name_digest, patient.sealed_name)
    return Told(*key, *who, *content, at)
