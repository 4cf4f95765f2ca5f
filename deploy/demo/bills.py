"""The demo bills: the worked cases of the county's rules, each posted by the hospital that discharged the patient."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from deploy.demo.county import COUNTY, INSTITUTIONS, TOWNSHIPS
from deploy.demo.people import AREA, CAST, identity_number
from shared.kit.money import fen, yuan

PAYERS = ("basic_insurance", "critical_illness", "supplementary_insurance", "medical_assistance", "other")
NEW_FLOW = "2018-07-01"
PNEUMONIA = ("J18.900", "肺炎")
TRANSFER = {"kind": "transfer", "number": "ZZ-2018-0001", "accepted_by_insurer": True}


@dataclass(frozen=True)
class DemoBill:
    """One case: who was where from when to when, what it cost, who has paid already."""

    case: str
    client: str
    patient: str
    admitted: str
    discharged: str
    total: str
    paid: dict[str, str]
    diagnosis: tuple[str, str] = PNEUMONIA
    referral: dict[str, Any] | None = None
    agreement: bool = True
    parts: dict[str, str] = field(default_factory=dict)
    stay: dict[str, Any] = field(default_factory=dict)
    circumstances: dict[str, str] = field(default_factory=dict)

    @property
    def bill_no(self) -> str:
        """The hospital's number of the bill."""
        return f"DEMO-{self.case}"

    @property
    def institution(self) -> dict[str, Any]:
        """The hospital that posts it."""
        return INSTITUTIONS[self.client]

    def body(self) -> dict[str, Any]:
        """The bill as it is posted."""
        agreed = self.agreement and self.institution["county_code"] == COUNTY and self.admitted >= NEW_FLOW
        code, name = self.diagnosis
        return {
            "institution_code": self.institution["institution_code"],
            "bill_no": self.bill_no,
            "version": 1,
            "patient": self._patient(),
            "stay": {
                "admission_no": f"{self.admitted.replace('-', '')}{self.case}",
                "admitted_on": self.admitted,
                "discharged_on": self.discharged,
                "care_setting": "inpatient",
                "emergency": False,
                "pay_later_agreement_no": f"XY-{self.case}" if agreed else None,
                **self.stay,
            },
            "diagnoses": [{"code": code, "name": name, "principal": True}],
            "charges": self._charges(),
            "reimbursements": {payer: self.paid.get(payer, "0.00") for payer in PAYERS},
            "circumstances": {"cause": "illness", "place": "mainland", "referral": self.referral, **self.circumstances},
        }

    def _patient(self) -> dict[str, str | None]:
        if person := CAST.get(self.patient):
            return {"identity_number": person.number, "name": person.name}
        if self.patient == "newborn":
            return {"identity_number": None, "name": "测试壬寅之女"}
        return {"identity_number": identity_number(AREA, date(1994, 4, 4)), "name": "测试癸卯"}

    def _charges(self) -> dict[str, str]:
        total = fen(self.total)
        drugs = total * 2 // 5
        usual = {
            "total": self.total,
            "in_scope": yuan(total * 9 // 10),
            "non_medical": "0.00",
            "drugs": yuan(drugs),
            "catalogue_drugs": yuan(drugs * 39 // 40),
        }
        return usual | self.parts


def _paid(
    basic: str, serious: str = "0.00", suppl: str = "0.00", aid: str = "0.00", other: str = "0.00"
) -> dict[str, str]:
    return dict(zip(PAYERS, (basic, serious, suppl, aid, other), strict=True))


def _centre(number: int) -> str:
    return f"township_centre_{TOWNSHIPS[number].english}"


COUNTY_H, TCM = "county_hospital", "county_tcm_hospital"
WINTER = ("2018-12-22", "2019-01-11")

BILLS = (
    DemoBill("C-01", COUNTY_H, "plain", "2018-08-01", "2018-08-11", "20000.00",
             _paid("11800.00", aid="3000.00"),
             ("C34.900", "肺恶性肿瘤")),
    DemoBill("C-02", COUNTY_H, "paid_92", "2018-07-09", "2018-07-16", "8000.00",
             _paid("6400.00", aid="960.00")),
    DemoBill("C-03", TCM, "at_90", "2018-09-03", "2018-09-12", "10000.00",
             _paid("9000.00"), ("I10.x00", "高血压")),
    DemoBill("C-04", TCM, "one_fen", "2018-09-04", "2018-09-14", "10000.00", _paid("8000.00", aid="999.99")),
    DemoBill("C-05", COUNTY_H, "odd_fen", "2018-10-08", "2018-10-19", "12345.67",
             _paid("9876.54"), ("K80.000", "胆囊结石")),
    DemoBill("C-06", TCM, "half_fen", "2018-10-15", "2018-10-16", "333.35", _paid("250.00")),
    DemoBill("C-07", COUNTY_H, "supplementary", "2018-08-20", "2018-09-21", "50000.00",
             _paid("26000.00", "6500.00", "4000.00", "5000.00"), ("C16.900", "胃恶性肿瘤")),
    DemoBill("C-08", _centre(0), "township_20", "2018-07-18", "2018-07-25", "3000.00", _paid("2400.00")),
    DemoBill("C-09", _centre(1), "township_8", "2018-08-06", "2018-08-11", "1800.00", _paid("1650.00")),
    DemoBill("C-10", _centre(2), "township_odd", "2018-11-01", "2018-11-08", "2468.13",
             _paid("2100.00", aid="100.00")),
    DemoBill("C-10b", _centre(3), "township_winter", *WINTER, "3000.00", _paid("2400.00")),
    DemoBill("C-10c", _centre(7), "township_charity", "2018-10-22", "2018-10-29", "3000.00",
             _paid("2400.00", other="600.00")),
    DemoBill("C-11", COUNTY_H, "into_2019", *WINTER, "40000.00",
             _paid("25000.00", aid="5000.00"), ("I63.900", "脑梗死")),
    DemoBill("C-12", COUNTY_H, "out_of_2017", "2017-12-27", "2018-01-16", "16000.00",
             _paid("9600.00", aid="1600.00")),
    DemoBill("C-13", "city_hospital", "no_transfer", "2018-07-20", "2018-08-14", "60000.00",
             _paid("27000.00", "9600.00", aid="6000.00"), ("C18.900", "结肠恶性肿瘤")),
    DemoBill("C-14", "regional_hospital", "transferred", "2018-09-10", "2018-10-12", "60000.00",
             _paid("27000.00", "9600.00", aid="6000.00"), ("C53.900", "宫颈恶性肿瘤"), TRANSFER),
    DemoBill("C-15", COUNTY_H, "infant", "2018-08-30", "2018-08-31", "5000.00", _paid("3900.00")),
    DemoBill("C-15b", COUNTY_H, "infant", "2018-09-01", "2018-09-09", "5000.00", _paid("3900.00")),
    DemoBill("C-16", TCM, "in_traffic", "2018-07-28", "2018-09-05", "30000.00", {}, ("S72.000", "股骨颈骨折"),
             circumstances={"cause": "traffic_accident"}),
    DemoBill("C-17", COUNTY_H, "over_midyear", "2018-06-28", "2018-07-06", "9000.00",
             _paid("5850.00", aid="900.00")),
    DemoBill("C-19", COUNTY_H, "out_of_catalogue", "2018-11-12", "2018-12-03", "30000.00",
             _paid("17000.00", aid="3000.00"), ("N18.000", "终末期肾病"),
             agreement=False, parts={"in_scope": "26000.00"}),
    DemoBill("C-22", COUNTY_H, "employee", "2018-08-13", "2018-08-20", "6000.00", _paid("4200.00")),
    # Beyond the numbered cases: the other exclusions, and what a person must decide.
    DemoBill("X-01", TCM, "outpatient", "2018-07-11", "2018-07-11", "400.00",
             _paid("200.00"), ("E11.900", "2型糖尿病"),
             agreement=False, stay={"care_setting": "outpatient"}),
    DemoBill("X-02", COUNTY_H, "stopped", "2018-08-15", "2018-08-22", "7000.00", {}),
    DemoBill("X-03", COUNTY_H, "stopped_in_part", "2018-09-26", "2018-10-06", "7000.00", _paid("3500.00")),
    DemoBill("X-04", "undesignated_hospital", "undesignated", "2018-07-30", "2018-08-06", "6000.00", {}),
    DemoBill("X-05", "undesignated_hospital", "emergency", "2018-10-01", "2018-10-05", "6000.00",
             _paid("3000.00"),
             ("I21.900", "急性心肌梗死"), agreement=False, stay={"emergency": True}),
    DemoBill("X-06", TCM, "at_work", "2018-08-08", "2018-08-29", "15000.00", {}, ("S68.100", "手指离断"),
             circumstances={"cause": "work_injury"}),
    DemoBill("X-07", COUNTY_H, "infant_without", "2018-09-05", "2018-09-10", "4000.00", _paid("2800.00")),
    DemoBill("X-08", COUNTY_H, "left_poverty", "2018-09-17", "2018-09-27", "11000.00", _paid("7000.00")),
    DemoBill("X-09", COUNTY_H, "nobody", "2018-10-10", "2018-10-15", "5000.00", _paid("2500.00")),
    DemoBill("X-10", TCM, "self_harm", "2018-11-05", "2018-11-16", "9000.00",
             _paid("5400.00"), ("F20.000", "偏执型精神分裂症"),
             circumstances={"cause": "suicide_or_self_harm"}),
    DemoBill("X-11", COUNTY_H, "unknown_cause", "2018-11-20", "2018-11-28", "8000.00",
             _paid("4800.00"), ("T14.900", "损伤"),
             circumstances={"cause": "unknown"}),
    DemoBill("X-12", COUNTY_H, "newborn", "2018-12-02", "2018-12-09", "6500.00",
             _paid("3900.00"), ("P07.300", "早产婴儿")),
    DemoBill("X-13", COUNTY_H, "after_2018", "2019-02-11", "2019-02-20", "9500.00", _paid("6000.00")),
)  # fmt: skip

NOT_REGISTERED = ("X-08", "X-09")
"""Bills that end as `not_registered`: of one who had left poverty, and of one nobody ever registered."""
