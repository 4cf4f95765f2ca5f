"""What the office reads of a recovery."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.kit.fields import Moment, Yuan

State = Literal["open", "offset", "withdrawn"]


class RecoveryRead(BaseModel):
    """一项追回或补付。"""

    recovery_id: UUID = Field(title="编号")
    discharge_id: UUID = Field(title="结算单")
    settlement_id: UUID = Field(title="原结算")
    new_settlement_id: UUID | None = Field(title="新结算")
    institution_code: str = Field(title="医疗机构编码")
    cause: Literal["registry", "correction", "decision", "void"] = Field(title="起因")
    direction: Literal["recovery", "further_payment"] = Field(title="方向")
    settled: Yuan = Field(title="原结算兜底")
    now_due: Yuan = Field(title="现应兜底")
    difference: Yuan = Field(title="差额")
    reasons: list[str] = Field(title="原因")
    state: State = Field(title="状态")
    opened_at: Moment = Field(title="立案时间")
    closed_at: Moment | None = Field(title="结案时间")


class RecoveryPage(BaseModel):
    items: list[RecoveryRead]
    next_cursor: str | None
