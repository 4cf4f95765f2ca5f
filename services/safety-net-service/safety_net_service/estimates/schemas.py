"""A bill to be estimated: the body of an intake, field for field.

treatment-service owns the intake; services share no code, so the fields stand here again, and a flow test posts the
same bodies to both.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from safety_net_service.settlements.schemas import OutcomeRead
from shared.kit.fields import Body, Code, Flag, LawDate, Money, Text, Whole

IdentityNumber = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
Cause = Literal[
    "illness",
    "crime",
    "intoxication",
    "fight",
    "suicide_or_self_harm",
    "drug_use",
    "injured_by_others",
    "medicine_not_as_ordered",
    "traffic_accident",
    "medical_malpractice",
    "cosmetic",
    "work_injury",
    "public_health",
    "other_excluded",
    "unknown",
]

EXAMPLE: JsonDict = {
    "institution_code": "H45022300001",
    "bill_no": "ZY20180811-0001",
    "version": 1,
    "patient": {"identity_number": "450223197503120006", "name": "测试甲"},
    "stay": {
        "admission_no": "201808010032",
        "admitted_on": "2018-08-01",
        "discharged_on": "2018-08-11",
        "care_setting": "inpatient",
        "emergency": False,
        "pay_later_agreement_no": "XY-2018-0032",
    },
    "diagnoses": [{"code": "C34.900", "name": "肺恶性肿瘤", "principal": True}],
    "charges": {
        "total": "20000.00",
        "in_scope": "18000.00",
        "non_medical": "0.00",
        "drugs": "8000.00",
        "catalogue_drugs": "7800.00",
    },
    "reimbursements": {
        "basic_insurance": "11800.00",
        "critical_illness": "0.00",
        "supplementary_insurance": "0.00",
        "medical_assistance": "3000.00",
        "other": "0.00",
    },
    # A referral, though none is needed in the county: FastAPI leaves null out of the examples it shows.
    "circumstances": {
        "cause": "illness",
        "place": "mainland",
        "referral": {"kind": "transfer", "number": "ZZ-2018-0001", "accepted_by_insurer": True},
    },
}


class EstimatePatient(Body):
    """患者。"""

    identity_number: IdentityNumber | None = Field(title="证件号码")
    name: Text = Field(title="姓名")


class EstimateStay(Body):
    """住院。"""

    admission_no: Code = Field(title="住院号")
    admitted_on: LawDate = Field(title="入院日期")
    discharged_on: LawDate = Field(title="出院日期")
    care_setting: Literal["inpatient", "outpatient"] = Field(title="就诊类别")
    emergency: Flag = Field(title="是否急救、抢救")
    pay_later_agreement_no: Code | None = Field(title="先诊疗后付费协议编号")


class EstimateDiagnosis(Body):
    """诊断（ICD-10 医保版）。"""

    code: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=40)] = Field(title="诊断编码")
    name: Text = Field(title="诊断名称")
    principal: Flag = Field(title="是否主要诊断")


class EstimateCharges(Body):
    """费用。"""

    total: Money = Field(title="住院总费用")
    in_scope: Money = Field(title="政策范围内费用")
    non_medical: Money = Field(title="非医疗费用")
    drugs: Money = Field(title="药品费用")
    catalogue_drugs: Money = Field(title="目录内药品费用")


class EstimateReimbursements(Body):
    """已报销。"""

    basic_insurance: Money = Field(title="城乡居民基本医疗保险")
    critical_illness: Money = Field(title="大病保险")
    supplementary_insurance: Money = Field(title="商业补充保险")
    medical_assistance: Money = Field(title="民政医疗救助")
    government_topup: Money = Field(default=0, title="接口已付政府兜底")
    other: Money = Field(title="其他")


class EstimateReferral(Body):
    """转诊转院手续或备案（R-22、R-23）。"""

    kind: Literal["transfer", "emergency_filing", "residence_filing"] = Field(title="类别")
    number: Code = Field(title="编号")
    accepted_by_insurer: Flag = Field(title="经办机构是否认可")


class EstimateCircumstances(Body):
    """情形。"""

    cause: Cause = Field(title="就医原因")
    place: Literal["mainland", "hong_kong_macau_taiwan", "abroad"] = Field(title="就医地")
    referral: EstimateReferral | None = Field(title="转诊")


class EstimateBill(Body):
    """一份待试算的出院结算单。"""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    institution_code: Code = Field(title="医疗机构编码")
    bill_no: Code = Field(title="结算单号")
    version: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(title="版本")
    patient: EstimatePatient
    stay: EstimateStay
    diagnoses: Annotated[list[EstimateDiagnosis], Field(min_length=1, max_length=50)] = Field(title="诊断")
    charges: EstimateCharges
    reimbursements: EstimateReimbursements
    circumstances: EstimateCircumstances


class EstimateRead(OutcomeRead):
    """试算结果：与正式结算同一规则，不留存，不作为支付依据。"""

    institution_code: str = Field(title="医疗机构编码")
