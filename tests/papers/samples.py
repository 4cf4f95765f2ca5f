"""One sample of each printed document, of fictitious people; ``python -m tests.papers.samples`` writes docs/samples."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from safety_net_service.claims.formats.summary import Summary
from safety_net_service.claims.formats.summary import pdf as claims_pdf
from safety_net_service.notices.formats import sheets
from safety_net_service.notices.rules import Paper, Step, check_code
from shared.kit.clock import CHINA

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "samples"
QUOTE = "救助报销金额=住院总费用×90%—已救助报销总额"
# C-07, whose insurance column is not empty, printed a second time.
NOTICE = Paper(
    settlement_id="00000000-0000-4000-8000-000000000007",
    number=2,
    reason="患者联遗失",
    institution_code="H45022300001",
    institution_name="鹿寨县人民医院",
    patient_name="测试龘",
    bill_no="ZY20180811-0001",
    admission_no="201808010032",
    admitted_on=date(2018, 8, 1),
    discharged_on=date(2018, 8, 11),
    total="50000.00",
    amounts={
        "basic_insurance": "26000.00",
        "critical_illness": "6500.00",
        "supplementary_insurance": "4000.00",
        "medical_assistance": "5000.00",
        "government_topup": "0.00",
        "safety_net": "3500.00",
        "hospital_share": "0.00",
        "personal": "5000.00",
    },
    patient_pays="5000.00",
    policy_version="luzhai/2018.1",
    steps=[
        Step("A3-20", "50000.00 × 90% = 45000.00", QUOTE),
        Step("A3-20", "45000.00 − 41500.00 = 3500.00", QUOTE),
    ],
    printed_at=datetime(2018, 8, 11, 10, 22, tzinfo=CHINA),
)


def a_signature(said: bytes) -> bytes:
    """In place of the county's key."""
    return said[:8] + b"sample--"


def notice() -> bytes:
    """三联单."""
    return sheets.pdf(NOTICE, check_code(NOTICE, a_signature))


# Forty-five stays, so that the table goes on to a second page.
SUMMARY = Summary(
    head={
        "医疗机构": "鹿寨县人民医院（H45022300001）",
        "申报月份": "2018-08",
        "开户银行": "示例银行鹿寨支行",
        "户名": "鹿寨县人民医院",
        "账号": "1000200030004000",
        "送达时间": "2018-09-03 09:30",
        "申报编号": "00000000-0000-4000-8000-000000000008",
    },
    rows=[
        (
            (f"{n}", "测试龘", f"2018080100{n:02d}", f"ZY20180811-00{n:02d}", "2018-08-01", "2018-08-11"),
            (2_000_000 + n, 1_180_000, 0, 0, 300_000, 320_000 + n),
        )
        for n in range(1, 46)
    ],
)


def summary() -> bytes:
    """每月垫付资金汇总表."""
    return claims_pdf(SUMMARY)


SAMPLES: dict[str, Callable[[], bytes]] = {"notice.pdf": notice, "claim-summary.pdf": summary}


def write() -> None:
    """Make them all anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, made in SAMPLES.items():
        (FOLDER / name).write_bytes(made())


if __name__ == "__main__":
    write()
