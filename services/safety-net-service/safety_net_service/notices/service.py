"""The three-part notice that the patient signs at discharge (建档立卡贫困住院告知单, 三联单; A3-25(2))."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills import service as bills
from safety_net_service.errors import NotSettled
from safety_net_service.registry import service as registry
from safety_net_service.settlements import service as settlements
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.sealing import Keyring

TITLE = "建档立卡贫困住院告知单（三联单）"
# The five of A3-25(2), and between them the columns without which they would not add up to the bill.
COLUMNS = (
    ("basic_insurance", "城乡居民基本医疗保险", "A3-25"),
    ("critical_illness", "城乡居民大病保险", "A3-25"),
    ("supplementary_insurance", "商业补充保险", "R-07"),
    ("medical_assistance", "民政医疗救助", "A3-25"),
    ("government_topup", "医保接口已付政府兜底", "A3-21"),
    ("safety_net", "医疗兜底保障", "A3-25"),
    ("hospital_share", "乡镇卫生院补助", "A3-23"),
    ("personal", "个人自付", "A3-25"),
)
SHEETS = (
    (1, "hospital", "第一联：医疗机构存档", "R-32"),
    (2, "patient", "第二联：患者留存", "R-32"),
    (3, "safety_net_office", "第三联：医疗兜底保障办公室，作为拨付依据", "A3-25"),
)


async def notice(session: AsyncSession, caller: Caller, settlement_id: UUID, keyring: Keyring) -> dict[str, Any]:
    """The notice of a settlement that stands and pays; the patient's name is opened for it, and that is audited."""
    settlement = await settlements.read(session, caller, settlement_id)
    facts = await bills.facts_of(session, settlement.discharge_id)
    if settlement.state != "settled" or facts is None or facts.version != settlement.bill_version:
        raise NotSettled
    answer = settlement.answer
    quotes = {step["clause"]: step["quote"] for step in answer["steps"]}
    record(session, caller, "read", "notice", settlement_id)
    return {
        "title": TITLE,
        "settlement_id": settlement_id,
        "discharge_id": settlement.discharge_id,
        "bill_no": facts.bill_no,
        "patient_name": keyring.open(facts.sealed_name),
        "institution": {
            "institution_code": settlement.institution_code,
            "name": await registry.institution_name(session, settlement.institution_code),
        },
        "admission_no": facts.admission_no,
        "admitted_on": facts.admitted_on,
        "discharged_on": facts.discharged_on,
        "total": answer["amounts"]["total"],
        "amounts": [
            {"code": code, "title": title, "amount": answer["amounts"][code], "clause": clause}
            for code, title, clause in COLUMNS
        ],
        "patient_pays": answer["amounts"]["patient_pays"],
        "sheets": [
            {"number": number, "holder": holder, "title": title, "clause": clause}
            for number, holder, title, clause in SHEETS
        ],
        "procedure": settlement.procedure,
        "policy": answer["policy"],
        "clauses": [{"clause": clause, "quote": quote} for clause, quote in quotes.items()],
        "made_at": settlement.made_at,
    }
