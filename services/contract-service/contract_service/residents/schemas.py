"""What callers send and read about residents."""

from datetime import date
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from contract_service.periods import RegistryPeriod, no_overlap
from shared.kit.fields import Answer, Body, Flag, LawDate, Moment, VillageCode, refuse
from shared.kit.identity_number import Type as IdentityType

Number = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
Name = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=200)]
Relation = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=40)]
Phone = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9+() -]{3,40}$")]
HouseholdNo = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Za-z]{1,32}$")]


class IdentityDocument(Body):
    """A document and its number (证件). The number is never repeated in a refusal, a log line, a path or an event."""

    type: IdentityType = Field(description="证件类型")
    number: Number = Field(description="证件号码；按 numbers=last_four 列出时只有末四位")


class PovertyCategoryPeriod(RegistryPeriod):
    """Days on which a resident bears one poverty category; which of them are eligible is policy data (R-19)."""

    category: Literal["registered_poor", "out_of_poverty_policy_kept", "out_of_poverty", "monitored"]


class InsuranceSchemePeriod(RegistryPeriod):
    """Days under one insurance scheme, with the days on which it was suspended (停保)."""

    scheme: Literal["resident", "employee", "none"]
    suspended: Annotated[list[RegistryPeriod], Field(default_factory=list, max_length=100), AfterValidator(no_overlap)]

    @model_validator(mode="after")
    def _suspensions_within(self) -> Self:
        end = self.last_day or date.max
        for off in self.suspended:
            # An open suspension lasts as long as the insurance itself.
            if off.first_day < self.first_day or off.first_day > end or (off.last_day or end) > end:
                raise refuse("suspension_outside_period", "停保时段超出了该参保时段。")
        return self


class ResidentCreate(Body):
    """A resident as the register takes him."""

    identity: IdentityDocument = Field(description="现用证件")
    name: Name = Field(description="姓名")
    sex: Literal["male", "female"] = Field(description="性别")
    birth_date: LawDate = Field(description="出生日期")
    household_no: HouseholdNo = Field(description="户编号：1–32 位字母或数字")
    relation_to_head: Relation = Field(description="与户主关系")
    village_code: VillageCode = Field(description="所在村区划代码（12 位）")
    phone: Phone | None = Field(default=None, description="联系电话")
    registered_poor: Annotated[
        list[PovertyCategoryPeriod], Field(max_length=100, description="建档立卡时段"), AfterValidator(no_overlap)
    ]
    insurance: Annotated[
        list[InsuranceSchemePeriod], Field(max_length=100, description="参保时段"), AfterValidator(no_overlap)
    ]
    household_registration: Flag = Field(description="是否有户籍")
    birth_document: Literal["birth_certificate", "birth_permit"] | None = Field(default=None, description="出生证件")
    severe_mental_disorder: Flag = Field(default=False, description="是否登记为严重精神障碍患者")


class ResidentSearch(Body):
    """A look-up by number, in a body: a number never stands in a URL."""

    identity_number: Number = Field(description="证件号码")


class ResidentWarning(Answer):
    """Something odd about a record that may yet be true."""

    code: str
    detail: str


class ResidentFacts(Answer):
    """What the register says of a resident at one time."""

    identity: IdentityDocument
    name: str
    sex: str
    birth_date: date
    household_no: str
    relation_to_head: str
    village_code: str
    phone: str | None
    registered_poor: list[PovertyCategoryPeriod]
    insurance: list[InsuranceSchemePeriod]
    household_registration: bool
    birth_document: str | None
    severe_mental_disorder: bool


class ResidentRead(ResidentFacts):
    """A resident as the register has him."""

    resident_id: UUID
    county_code: str
    former_identities: list[IdentityDocument] = Field(description="曾用证件：仍可据以核对")
    warnings: list[ResidentWarning] = Field(description="与登记不一致之处，供核对；只列末四位时不核对，为空")
    revision: int
    changed_at: Moment


class ResidentPage(Answer):
    """One page of residents, newest first."""

    items: list[ResidentRead]
    next_cursor: str | None


class ResidentStateRead(Answer):
    """One state of the record: what it was, who made it so, when."""

    revision: int
    changed_by: str
    changed_at: Moment
    resident: ResidentFacts


class ResidentHistory(Answer):
    """Every state of a resident's record, newest first."""

    items: list[ResidentStateRead]
    next_cursor: str | None
