"""What the office sends and reads of a decision."""

import re
import unicodedata
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from safety_net_service.settlements.schemas import SettlementRead
from shared.kit.fields import Body, LongText, Moment, Money, Yuan, refuse

Exclusion = Literal["outside_insured_scope", "other_by_law"]
NO_NUMBERS = "不得写入身份证号码（18位或15位）：这段文字随结算公开给各方。违者 422 `identity_number_in_text`。"
# As it is written in one piece, or parted after the area and after the birth date.
_IDENTITY_NUMBER = re.compile(r"(?<!\d)(\d{6}[ -]?\d{8}[ -]?\d{3}[\dXx]|\d{6}[ -]?\d{6}[ -]?\d{3})(?!\d)")


def _without_identity_number(text: str) -> str:
    """What the office writes goes with the settlement to all who may read it, and into the event about it."""
    # Full-width digits are read as numbers too.
    if _IDENTITY_NUMBER.search(unicodedata.normalize("NFKC", text)):
        raise refuse("identity_number_in_text", "文字中含有身份证号码，请删去后再提交。")
    return text


OfficeText = Annotated[LongText, AfterValidator(_without_identity_number)]


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
    reason: OfficeText = Field(title="理由", description=NO_NUMBERS)
    legal_basis: OfficeText = Field(title="依据", description=NO_NUMBERS)
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
