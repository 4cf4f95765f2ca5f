"""What stands on the three-part notice (三联单)."""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from safety_net_service.settlements.schemas import PolicyRead
from shared.kit.fields import NO_NUMBERS, Body, Moment, Text, WrittenText, refuse

Relation = Literal["spouse", "parent", "child", "sibling", "other_relative", "guardian", "village_cadre", "other"]
Sha256 = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")


def _moment(value: Any) -> datetime:
    if isinstance(value, str) and MOMENT.fullmatch(value) and value.isascii():
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise refuse("moment_malformed", "时间应为带时区的真实时间，如 2018-08-11T09:30:00+08:00。")


SignedAt = Annotated[datetime, BeforeValidator(_moment), Field(json_schema_extra={"format": "date-time"})]


class NoticeInstitution(BaseModel):
    institution_code: str = Field(title="医疗机构编码")
    name: str = Field(title="医疗机构")


class NoticeAmount(BaseModel):
    """告知单上的一栏。"""

    code: str = Field(title="代码")
    title: str = Field(title="栏目")
    amount: str = Field(title="金额")
    clause: str = Field(title="条款")


class NoticeSheet(BaseModel):
    """一联。"""

    number: Literal[1, 2, 3] = Field(title="联次")
    holder: Literal["hospital", "patient", "safety_net_office"] = Field(title="持有人")
    title: str = Field(title="用途")
    clause: str = Field(title="条款")


class NoticeClause(BaseModel):
    clause: str = Field(title="条款")
    quote: str = Field(title="条款原文")


class NoticeRead(BaseModel):
    """建档立卡贫困人口住院告知单。

    ``amounts`` are the five of A3-25(2), with the columns without which they don't add up to ``total``; ``personal``
    includes what other sources paid, ``patient_pays`` is the cash at the window.
    """

    title: str = Field(title="名称")
    settlement_id: UUID = Field(title="结算编号")
    discharge_id: UUID = Field(title="结算单")
    bill_no: str = Field(title="结算单号")
    patient_name: str = Field(title="患者姓名")
    institution: NoticeInstitution
    admission_no: str = Field(title="住院号")
    admitted_on: date = Field(title="入院日期")
    discharged_on: date = Field(title="出院日期")
    total: str = Field(title="住院总费用")
    amounts: list[NoticeAmount] = Field(title="各方负担")
    patient_pays: str = Field(title="窗口应付现金")
    sheets: list[NoticeSheet] = Field(title="三联")
    procedure: str | None = Field(title="经办程序")
    policy: PolicyRead
    clauses: list[NoticeClause] = Field(title="依据")
    made_at: Moment = Field(title="结算时间")


class PrintBody(Body):
    """打印告知单。``reason`` says why it is printed again; the first printing needs none."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"reason": "患者联遗失"}]})

    reason: WrittenText | None = Field(default=None, max_length=60, title="补打事由", description=NO_NUMBERS)


class SignatureBody(Body):
    """患者或代办人签字。``signed_at`` left out is now. ``image_sha256`` is of the scan of the signed sheet, in small

    hexadecimal digits.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "signed_by": "proxy",
                    "signer_name": "测试乙",
                    "relation": "child",
                    "image_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        },
    )

    signed_by: Literal["patient", "proxy"] = Field(title="签字人")
    signer_name: Text | None = Field(default=None, title="代办人姓名")
    relation: Relation | None = Field(default=None, title="与患者关系")
    signed_at: SignedAt | None = Field(default=None, title="签字时间")
    image_sha256: Sha256 = Field(title="签字联影像摘要")


class SignatureRead(BaseModel):
    """一次签字。``signer_name`` of the patient is the name on the notice."""

    signed_by: Literal["patient", "proxy"] = Field(title="签字人")
    signer_name: str = Field(title="姓名")
    relation: Relation | None = Field(title="与患者关系")
    signed_at: Moment = Field(title="签字时间")
    image_sha256: str = Field(title="签字联影像摘要")
    recorded_by: str = Field(title="登记人")
    recorded_at: Moment = Field(title="登记时间")


class PrintRead(BaseModel):
    """一次打印。"""

    settlement_id: UUID = Field(title="结算编号")
    number: int = Field(title="第几次打印")
    reprint: bool = Field(title="是否补打")
    reason: str | None = Field(title="补打事由")
    check_code: str = Field(title="核验码")
    pdf_sha256: str = Field(title="所打印文件摘要")
    printed_by: str = Field(title="打印人")
    printed_at: Moment = Field(title="打印时间")
    signature: SignatureRead | None = Field(title="签字")


class PrintList(BaseModel):
    items: list[PrintRead]


class CheckedAmount(BaseModel):
    code: str = Field(title="代码")
    title: str = Field(title="栏目")
    amount: str = Field(title="金额")


class CheckRead(BaseModel):
    """核验结果：what a genuine sheet with this code says, to be laid beside the paper.

    ``agrees``: the record still says what was printed. ``stands``: the settlement is the one that counts.
    ``last_number``: how often it was printed; an older printing than the last is no longer the one to act on.
    """

    printing: PrintRead = Field(title="打印记录")
    agrees: bool = Field(title="与结算记录一致")
    stands: bool = Field(title="结算仍有效")
    last_number: int = Field(title="已打印次数")
    patient_name: str = Field(title="患者姓名")
    institution: NoticeInstitution
    bill_no: str = Field(title="结算单号")
    admission_no: str = Field(title="住院号")
    admitted_on: date = Field(title="入院日期")
    discharged_on: date = Field(title="出院日期")
    total: str = Field(title="住院总费用")
    amounts: list[CheckedAmount] = Field(title="各方负担")
    patient_pays: str = Field(title="窗口应付现金")
