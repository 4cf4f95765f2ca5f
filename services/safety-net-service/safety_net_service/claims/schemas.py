"""What hospitals and offices send and read of claims."""

import re
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from shared.kit.fields import NO_NUMBERS, Body, Moment, Text, WrittenText, Yuan, refuse

State = Literal["submitted", "reviewed"]
MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


def _month(value: Any) -> date:
    if isinstance(value, str) and MONTH.fullmatch(value):
        return date.fromisoformat(f"{value}-01")
    raise refuse("month_malformed", "月份应为 YYYY-MM，如 2018-08。")


Month = Annotated[
    date, BeforeValidator(_month), Field(json_schema_extra={"type": "string", "format": "", "pattern": MONTH.pattern})
]
AccountNumber = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{8,32}$")]


class Account(Body):
    """收款账户。"""

    bank: Text = Field(title="开户银行")
    holder: Text = Field(title="户名")
    number: AccountNumber = Field(title="账号")


class ClaimBody(Body):
    """一个月的垫付款申报。The system gathers the lines; the hospital gives the month and where the money goes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "month": "2018-08",
                    "account": {"bank": "示例银行鹿寨支行", "holder": "鹿寨县人民医院", "number": "1000200030004000"},
                }
            ]
        },
    )

    month: Month = Field(title="月份")
    account: Account = Field(title="收款账户")


class ReturnBody(Body):
    """退回一行。"""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"reason": "第三联未签字，请补签后下月再报"}]}
    )

    reason: WrittenText = Field(title="理由", description=NO_NUMBERS)


class AccountRead(BaseModel):
    bank: str = Field(title="开户银行")
    holder: str = Field(title="户名")
    number: str = Field(title="账号")


class ClockRead(BaseModel):
    """正在计的期限。``due_on`` is null while the days of ``unknown_year`` are not entered: nothing is guessed."""

    step: str = Field(title="环节")
    days: int = Field(title="工作日数")
    clause: str = Field(title="条款")
    started_on: date = Field(title="起算日")
    due_on: date | None = Field(title="到期日")
    days_left: int | None = Field(title="剩余工作日（负数为逾期）")
    late: bool = Field(title="是否逾期")
    unknown_year: int | None = Field(title="工作日未录入的年份")


class ClaimRead(BaseModel):
    """一份垫付款申报。``safety_net`` is what is claimed, without the lines returned."""

    claim_id: UUID = Field(title="申报编号")
    county_code: str = Field(title="县")
    institution_code: str = Field(title="医疗机构编码")
    institution_name: str = Field(title="医疗机构")
    month: str = Field(title="月份")
    state: State = Field(title="状态")
    lines: int = Field(title="行数")
    returned: int = Field(title="已退回行数")
    unsigned: int = Field(title="未签字行数")
    safety_net: Yuan = Field(title="垫付兜底金额")
    account: AccountRead = Field(title="收款账户")
    submitted_by: str = Field(title="申报人")
    submitted_at: Moment = Field(title="申报时间")
    reviewed_by: str | None = Field(title="办公室审核人")
    reviewed_at: Moment | None = Field(title="办公室审核时间")
    clock: ClockRead = Field(title="期限")


class ClaimPage(BaseModel):
    items: list[ClaimRead]
    next_cursor: str | None


class LineRead(BaseModel):
    """申报的一行，内容以申报时为准。"""

    place: int = Field(title="序号")
    settlement_id: UUID = Field(title="结算编号")
    discharge_id: UUID = Field(title="结算单")
    bill_version: int = Field(title="结算单版本")
    policy_version: str = Field(title="政策版本")
    facts_sha256: str = Field(title="所依据事实摘要")
    bill_no: str = Field(title="结算单号")
    admitted_on: date = Field(title="入院日期")
    discharged_on: date = Field(title="出院日期")
    total: Yuan = Field(title="住院总费用")
    safety_net: Yuan = Field(title="兜底")
    signed: bool = Field(title="告知单已签字")
    state: Literal["claimed", "returned"] = Field(title="状态")
    return_reason: str | None = Field(title="退回理由")
    returned_by: str | None = Field(title="退回人")
    returned_at: Moment | None = Field(title="退回时间")


class LinePage(BaseModel):
    items: list[LineRead]
    next_cursor: str | None
