"""What stands on the three-part notice (三联单)."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from safety_net_service.settlements.schemas import PolicyRead
from shared.kit.fields import Moment


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
    """建档立卡贫困住院告知单。``amounts`` are the five of A3-25(2), with the columns without which they don't add up to

    ``total``; ``personal`` includes what other sources paid, ``patient_pays`` is the cash at the window.
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
