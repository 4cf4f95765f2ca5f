"""What the office sends and reads of a decision."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from safety_net_service.settlements.schemas import SettlementRead
from shared.kit.fields import NO_NUMBERS, Body, Moment, Money, WrittenText, Yuan

Exclusion = Literal["outside_insured_scope", "other_by_law"]


class DecisionBody(Body):
    """办公室决定。``exclusion`` names A3-05 or A3-16 when a rejection rests on one of them (it may be left out: a

    rejection then decides the hold, or on a settlement that is not held counts as ``other_by_law``, unless
    ``legal_basis`` names the clause). ``amount`` is the sum granted where the county's text has no formula.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"decision": "pass", "reason": "经查户口簿，姓名系更名前后不一，确为同一人", "legal_basis": "A3-04"}
            ]
        },
    )

    decision: Literal["pass", "reject"] = Field(title="决定")
    reason: WrittenText = Field(title="理由", description=NO_NUMBERS)
    legal_basis: WrittenText = Field(title="依据", description=NO_NUMBERS)
    exclusion: Exclusion | None = Field(default=None, title="所依除外情形")
    amount: Money | None = Field(default=None, title="核定金额")


class DecisionRead(BaseModel):
    """一项决定。``state``: ``proposed`` waits for its second person."""

    model_config = ConfigDict(from_attributes=True)

    decision_id: UUID = Field(title="决定编号")
    settlement_id: UUID = Field(title="所决定的结算")
    decision: Literal["pass", "reject"] = Field(title="决定")
    exclusion: Exclusion | None = Field(title="所依除外情形")
    amount: Yuan | None = Field(title="核定金额")
    reason: str = Field(title="理由")
    legal_basis: str = Field(title="依据")
    state: Literal["proposed", "confirmed", "withdrawn"] = Field(title="状态")
    proposed_by: str = Field(title="提出人")
    proposed_at: Moment = Field(title="提出时间")
    closed_by: str | None = Field(title="复核人")
    closed_at: Moment | None = Field(title="复核时间")
    decided_settlement_id: UUID | None = Field(title="决定后的结算")


class DecisionConfirmed(DecisionRead):
    """A confirmed decision with the settlement that now stands in the place of the decided one."""

    settlement: SettlementRead = Field(title="决定后的结算内容")


class DecisionList(BaseModel):
    items: list[DecisionRead]
