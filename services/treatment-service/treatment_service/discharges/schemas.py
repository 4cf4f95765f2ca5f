"""What a hospital sends and reads."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.bills.form import EXAMPLE, DischargeBill
from shared.kit.fields import NO_NUMBERS, Body, LawDate, Moment, WrittenText, Yuan


class DischargeCorrection(Body):
    """更正：理由与整份新结算单（版本为原版本加一）。"""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"reason": "大病保险补报到账", "bill": {**EXAMPLE, "version": 2}}]},
    )

    reason: WrittenText = Field(title="更正理由", description=NO_NUMBERS)
    bill: DischargeBill


class DischargeVoid(Body):
    """作废：理由。"""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"reason": "重复录入，患者未在本院住院"}]}
    )

    reason: WrittenText = Field(title="作废理由", description=NO_NUMBERS)


State = Literal["recorded", "settled", "held", "rejected", "voided"]


class DischargeAnswer(BaseModel):
    """A bill and, once it exists, its settlement (the answer of ``GET /safety-net/v1/settlements/{id}``)."""

    discharge_id: UUID
    institution_code: str
    bill_no: str
    version: int
    state: State
    settlement: dict[str, Any] | None
    admitted_on: LawDate
    discharged_on: LawDate
    total: Yuan
    recorded_at: Moment


class DischargeRead(DischargeAnswer):
    """A bill whole. ``flags``: ``overlapping_stay``, ``repeated_admission_no`` (shown, never refused; R-34, R-35)."""

    flags: list[str]
    bill: dict[str, Any]


class DischargePage(BaseModel):
    items: list[DischargeAnswer]
    next_cursor: str | None


class DischargeChangeRead(BaseModel):
    """One change of state, version or settlement."""

    model_config = ConfigDict(from_attributes=True)

    discharge_id: UUID
    bill_no: str
    version: int
    state: State
    settlement_id: UUID | None
    at: Moment


class DischargeChangePage(BaseModel):
    """``next_cursor`` is always given: keep it and ask again later."""

    items: list[DischargeChangeRead]
    next_cursor: str
