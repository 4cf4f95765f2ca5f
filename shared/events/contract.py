"""What contract-service says: the county registry, whole state each time, so that a copy can always be made anew."""

from datetime import date
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.kit.events import Event


class Period(BaseModel):
    """Inclusive days; ``last_day`` None is open."""

    model_config = ConfigDict(frozen=True)

    first_day: date
    last_day: date | None


class PovertyPeriod(Period):
    """Days on which a resident bears one poverty category (建档立卡 registered poor, and what came after it)."""

    category: str


class InsurancePeriod(Period):
    """Days under one insurance scheme, with the days on which it was suspended (停保)."""

    scheme: str
    suspended: list[Period]


class IdentityDigest(BaseModel):
    """One identity document: its type and the keyed digest of its number, never the number."""

    model_config = ConfigDict(frozen=True)

    type: str
    digest: str


class ResidentChanged(Event):
    """A resident was registered or changed.

    ``revision`` rises with each change; an older one that arrives late is ignored. ``identities`` holds every document
    the resident is or was known by, the present one first. Heard by both services that judge bills.
    """

    subject: ClassVar[str] = "contract.resident_changed.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("treatment", "safety_net")

    resident_id: UUID
    revision: int
    county_code: str
    village_code: str
    household_no: str
    identities: list[IdentityDigest]
    name_digest: str
    sealed_name: str
    sex: str
    birth_date: date
    registered_poor: list[PovertyPeriod]
    insurance: list[InsurancePeriod]
    household_registration: bool
    birth_document: str | None
    severe_mental_disorder: bool = False


class InstitutionChanged(Event):
    """A medical institution was registered or changed.

    ``insurance_designated`` are the days on which it is 医保定点; ``has_client`` says whether it posts its own bills.
    """

    subject: ClassVar[str] = "contract.institution_changed.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("treatment", "safety_net")

    institution_code: str
    revision: int
    name: str
    kind: str
    level: int
    county_code: str
    township_code: str | None
    insurance_designated: list[Period]
    has_client: bool
