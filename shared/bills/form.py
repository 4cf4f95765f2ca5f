"""The form of a discharge bill (出院结算单), as hospitals send it to the intake and to the estimate."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

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
    "circumstances": {"cause": "illness", "place": "mainland", "referral": None},
}


class BillPatient(Body):
    """患者。A newborn without a number has null: the bill is held until a correction names him."""

    identity_number: IdentityNumber | None = Field(title="证件号码")
    name: Text = Field(title="姓名")


class BillStay(Body):
    """住院。"""

    admission_no: Code = Field(title="住院号")
    admitted_on: LawDate = Field(title="入院日期")
    discharged_on: LawDate = Field(title="出院日期")
    care_setting: Literal["inpatient", "outpatient"] = Field(title="就诊类别")
    emergency: Flag = Field(title="是否急救、抢救")
    pay_later_agreement_no: Code | None = Field(title="先诊疗后付费协议编号")


class BillDiagnosis(Body):
    """诊断（ICD-10 医保版）。"""

    code: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=40)] = Field(title="诊断编码")
    name: Text = Field(title="诊断名称")
    principal: Flag = Field(title="是否主要诊断")


class BillCharges(Body):
    """费用。``total`` is everything on the receipt; ``non_medical`` (meals, companion's bed) is part of it (R-01)."""

    total: Money = Field(title="住院总费用")
    in_scope: Money = Field(title="政策范围内费用")
    non_medical: Money = Field(title="非医疗费用")
    drugs: Money = Field(title="药品费用")
    catalogue_drugs: Money = Field(title="目录内药品费用")


class BillReimbursements(Body):
    """已报销。``other`` (charity, temporary relief) is shown and not counted (R-08)."""

    basic_insurance: Money = Field(title="城乡居民基本医疗保险")
    critical_illness: Money = Field(title="大病保险")
    supplementary_insurance: Money = Field(title="商业补充保险")
    medical_assistance: Money = Field(title="民政医疗救助")
    government_topup: Money = Field(default=0, title="接口已付政府兜底")
    other: Money = Field(title="其他")


class BillReferral(Body):
    """转诊转院手续或备案（R-22、R-23）。"""

    kind: Literal["transfer", "emergency_filing", "residence_filing"] = Field(title="类别")
    number: Code = Field(title="编号")
    accepted_by_insurer: Flag = Field(title="经办机构是否认可")


class BillCircumstances(Body):
    """情形：决定保障范围的除外情形（A3-06…A3-16）。"""

    cause: Cause = Field(title="就医原因")
    place: Literal["mainland", "hong_kong_macau_taiwan", "abroad"] = Field(title="就医地")
    referral: BillReferral | None = Field(title="转诊")


class DischargeBill(Body):
    """一份出院结算单。"""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    institution_code: Code = Field(title="医疗机构编码")
    bill_no: Code = Field(title="结算单号")
    version: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(title="版本")
    patient: BillPatient
    stay: BillStay
    diagnoses: Annotated[list[BillDiagnosis], Field(min_length=1, max_length=50)] = Field(title="诊断")
    charges: BillCharges
    reimbursements: BillReimbursements
    circumstances: BillCircumstances

    @property
    def natural_key(self) -> tuple[str, str, int]:
        """What makes two bills the same one, for ever."""
        return self.institution_code, self.bill_no, self.version
