"""What treatment-service says: discharge bills, their corrections and voids."""

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from shared.kit.events import Event


class Diagnosis(BaseModel):
    """One diagnosis by its ICD-10 code (医保版). What the hospital calls it in words stays in treatment-service."""

    model_config = ConfigDict(frozen=True)

    code: str
    principal: bool


class Referral(BaseModel):
    """Transfer formalities, or the filing that stands for them (R-22, R-23)."""

    model_config = ConfigDict(frozen=True)

    kind: str
    number: str
    accepted_by_insurer: bool


class BillFacts(Event):
    """What one version of a discharge bill says to those who settle it; amounts in whole fen.

    ``identity_digest`` is None for a newborn without a number. The name travels sealed, for the notice.
    """

    discharge_id: UUID
    version: PositiveInt
    institution_code: str
    bill_no: str
    identity_digest: str | None
    name_digest: str
    sealed_name: str
    admission_no: str
    admitted_on: date
    discharged_on: date
    care_setting: str
    emergency: bool
    pay_later_agreement_no: str | None
    diagnoses: list[Diagnosis]
    total_fen: NonNegativeInt
    in_scope_fen: NonNegativeInt
    non_medical_fen: NonNegativeInt
    drugs_fen: NonNegativeInt
    catalogue_drugs_fen: NonNegativeInt
    basic_insurance_fen: NonNegativeInt
    critical_illness_fen: NonNegativeInt
    supplementary_insurance_fen: NonNegativeInt
    medical_assistance_fen: NonNegativeInt
    government_topup_fen: NonNegativeInt
    other_fen: NonNegativeInt
    cause: str
    place: str
    referral: Referral | None
    recorded_at: datetime


class DischargeBilled(BillFacts):
    """A patient left hospital and the bill is final. Heard by safety-net-service, which settles it."""

    subject: ClassVar[str] = "treatment.discharge_billed.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("safety_net",)


class DischargeCorrected(BillFacts):
    """The hospital or the insurance window put a bill right: a new version that replaces the former ones."""

    subject: ClassVar[str] = "treatment.discharge_corrected.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("safety_net",)


class DischargeVoided(Event):
    """A bill was withdrawn as a whole; ``version`` is the void's own, one above the bill's last."""

    subject: ClassVar[str] = "treatment.discharge_voided.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("safety_net",)

    discharge_id: UUID
    version: PositiveInt
