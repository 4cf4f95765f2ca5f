"""What offices send and read of working days."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.kit.fields import Body, Flag, LawDate, Moment, Text, Whole

Year = Annotated[Whole, Field(ge=2000, le=2200)]
Days = Annotated[list[LawDate], Field(max_length=366)]


class ArrangementBody(Body):
    """一份节假日安排文件。``rest_days`` and ``workdays`` are the days it names; ``as_country`` takes the county's own

    word on a day back. ``whole_year``: the document is the country's for a year the system does not know yet; all other
    days of the year are then worked from Monday to Friday.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "source": "桂政办电〔2018〕示例号",
                    "name": "壮族三月三",
                    "year": 2018,
                    "rest_days": ["2018-04-18", "2018-04-19", "2018-04-20"],
                    "workdays": ["2018-04-15"],
                }
            ]
        },
    )

    source: Text = Field(title="文件")
    name: Text = Field(title="名称")
    year: Year = Field(title="年份")
    rest_days: Days = Field(default_factory=list, title="放假的日子")
    workdays: Days = Field(default_factory=list, title="上班的日子")
    as_country: Days = Field(default_factory=list, title="恢复全国安排的日子")
    whole_year: Flag = Field(default=False, title="全年安排")


class ArrangedDay(BaseModel):
    """``is_workday`` is null where the day is again as everywhere."""

    model_config = ConfigDict(from_attributes=True)

    day: date = Field(title="日期")
    is_workday: bool | None = Field(title="是否工作日")
    name: str = Field(title="名称")


class ArrangementRead(BaseModel):
    """一份已录入的节假日安排。"""

    arrangement_id: UUID = Field(title="编号")
    county_code: str = Field(title="县")
    source: str = Field(title="文件")
    entered_by: str = Field(title="录入人")
    entered_at: Moment = Field(title="录入时间")
    days: list[ArrangedDay] = Field(title="各日")


class DayRead(BaseModel):
    """一日。``region`` is the county whose own document says it, or the whole country (``全国``)."""

    day: date = Field(title="日期")
    is_workday: bool = Field(title="是否工作日")
    name: str = Field(title="名称")
    region: str = Field(title="适用地区")
    source: str = Field(title="依据")


class YearRead(BaseModel):
    """一年的工作日表。"""

    county_code: str = Field(title="县")
    year: int = Field(title="年份")
    workdays: int = Field(title="工作日数")
    days: list[DayRead] = Field(title="各日")


class YearWarning(BaseModel):
    """A year whose days are missing or about to be."""

    code: str = Field(title="代码")
    year: int = Field(title="年份")
    detail: str = Field(title="说明")


class KnownYears(BaseModel):
    """哪些年份可以计算期限。"""

    county_code: str = Field(title="县")
    years: list[int] = Field(title="已知年份")
    warnings: list[YearWarning] = Field(title="提醒")


class DeadlineRead(BaseModel):
    """一个期限。"""

    county_code: str = Field(title="县")
    start: date = Field(title="起算事项发生日")
    days: int = Field(title="工作日数")
    due: date = Field(title="到期日")
