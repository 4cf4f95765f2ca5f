"""What callers see of a settlement."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.kit.fields import Moment

State = Literal["settled", "held", "rejected", "superseded", "voided"]
ReasonCode = Literal[
    "not_registered",
    "outpatient",
    "excluded_cause",
    "outside_mainland",
    "insurance_suspended",
    "not_designated",
    "no_referral",
    "not_covered_by_law",
    "outside_insured_scope",
    "not_entitled",
    "infant_without_documents",
    "no_household_registration",
    "other_by_law",
    "no_policy_in_force",
    "evidence_missing",
]


class ReasonRead(BaseModel):
    """为何不予救助或待定：条款与原文。"""

    code: ReasonCode = Field(title="原因")
    clause: str = Field(title="条款")
    quote: str = Field(title="条款原文")
    detail: str = Field(title="说明")


class PolicyRead(BaseModel):
    """所依据的政策。"""

    county_code: str = Field(title="县")
    pack: str = Field(title="类别")
    version: str | None = Field(title="版本")


class AmountsRead(BaseModel):
    """各方负担。``base`` is what the promise is made on (R-01); ``patient_pays`` the cash at the window."""

    total: str = Field(title="总费用")
    base: str = Field(title="计算基数")
    basic_insurance: str = Field(title="城乡居民基本医疗保险")
    critical_illness: str = Field(title="大病保险")
    supplementary_insurance: str = Field(title="商业补充保险")
    medical_assistance: str = Field(title="民政医疗救助")
    other: str = Field(title="其他")
    reimbursed: str = Field(title="已报销")
    government_topup: str = Field(title="接口已付政府兜底")
    safety_net: str = Field(title="兜底")
    hospital_share: str = Field(title="乡镇卫生院补助")
    personal: str = Field(title="个人负担")
    patient_pays: str = Field(title="窗口应付现金")


class YearRead(BaseModel):
    """一个政策期间的份额。"""

    year: int = Field(title="年度")
    days: int = Field(title="天数")
    of_days: int = Field(title="住院总天数")
    safety_net: str = Field(title="兜底")
    hospital_share: str = Field(title="乡镇卫生院补助")
    policy_version: str | None = Field(title="政策版本")
    reason: str | None = Field(title="原因")


class StepRead(BaseModel):
    """一步计算：条款、算式、金额。"""

    clause: str = Field(title="条款")
    quote: str = Field(title="条款原文")
    step: str = Field(title="步骤")
    says: str = Field(title="算式")
    amount: str = Field(title="金额")


class OutcomeRead(BaseModel):
    """一份结算单的结算结果。"""

    bill_version: int = Field(title="结算单版本")
    state: State = Field(title="状态")
    decision: Literal["pass", "reject", "hold"] = Field(title="结论")
    reasons: list[ReasonRead] = Field(title="原因")
    policy: PolicyRead
    procedure: Literal["joint_review", "hospital_advance", "insurance_window"] | None = Field(title="经办程序")
    amounts: AmountsRead
    if_passed: AmountsRead | None = Field(title="若予救助")
    actual_reimbursement_ratio: str = Field(title="住院实际报销比例")
    ratio_of_receipt: str = Field(title="占票据总额比例")
    years: list[YearRead] = Field(title="各期间")
    steps: list[StepRead] = Field(title="计算过程")


class SettlementRead(OutcomeRead):
    """一份结算。"""

    settlement_id: UUID = Field(title="结算编号")
    discharge_id: UUID = Field(title="结算单")
    institution_code: str = Field(title="医疗机构编码")
    resident_id: UUID | None = Field(title="居民")
    made_at: Moment = Field(title="结算时间")
    superseded_by: UUID | None = Field(title="被何结算取代")
    decision_id: UUID | None = Field(title="所依据的办公室决定")


class SettlementPage(BaseModel):
    items: list[SettlementRead]
    next_cursor: str | None


class DifferenceRead(BaseModel):
    """一处不同。"""

    pointer: str = Field(title="字段")
    stored: Any = Field(title="所存")
    recomputed: Any = Field(title="复算")


class RecomputedRead(BaseModel):
    """复算结果。"""

    equal: bool = Field(title="是否一致")
    policy_versions: list[str] = Field(title="所用政策版本")
    differences: list[DifferenceRead] = Field(title="不同之处")
