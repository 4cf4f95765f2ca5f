"""What callers send and read about institutions."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from contract_service.periods import Periods, RegistryPeriod
from shared.kit.fields import Answer, Body, CountyCode, Moment, Text, TownshipCode, Whole

Kind = Literal[
    "county_hospital",
    "county_tcm_hospital",
    "township_centre",
    "village_clinic",
    "community_centre",
    "city_hospital",
    "regional_hospital",
    "other",
]
CODE_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
InstitutionCode = Annotated[str, StringConstraints(strict=True, pattern=CODE_PATTERN)]
Phone = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9+() -]{3,40}$")]


class InstitutionCreate(Body):
    """An institution as it is registered."""

    institution_code: InstitutionCode = Field(description="医疗机构编码（医保）")
    name: Text = Field(description="机构名称")
    kind: Kind = Field(description="机构类型")
    level: Annotated[Whole, Field(ge=0, le=3)] = Field(description="医院等级：0 未定级，1–3 级")
    county_code: CountyCode = Field(description="所在县区划代码")
    township_code: TownshipCode | None = Field(default=None, description="所在乡镇区划代码")
    insurance_designated: Periods = Field(description="医保定点时段")
    phone: Phone | None = Field(default=None, description="联系电话")


class InstitutionRead(Answer):
    """An institution as the register has it."""

    institution_code: str
    name: str
    kind: str
    level: int
    county_code: str
    township_code: str | None
    insurance_designated: list[RegistryPeriod]
    phone: str | None
    has_client: bool = Field(description="是否有自己的接口账号")
    registered_by_county: str = Field(description="登记县")
    revision: int
    changed_at: Moment


class InstitutionPage(Answer):
    """One page of institutions, newest first."""

    items: list[InstitutionRead]
    next_cursor: str | None


class InstitutionStateRead(Answer):
    """One state of the record: what it was, who made it so, when."""

    revision: int
    changed_by: str
    changed_at: Moment
    institution: dict[str, Any] = Field(validation_alias="state")


class InstitutionHistory(Answer):
    """Every state of an institution's record, newest first."""

    items: list[InstitutionStateRead]
    next_cursor: str | None
