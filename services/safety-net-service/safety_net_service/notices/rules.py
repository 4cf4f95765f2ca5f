"""What stands on the three-part notice (三联单), and the code by which a sheet is held against the record. Pure."""

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

TITLE = "建档立卡贫困人口住院告知单（三联单）"
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
# Columns that the plan's sheet does not have: on paper they stand where they hold money.
RARE = frozenset({"government_topup", "hospital_share"})
SHEETS = (
    (1, "hospital", "第一联：医疗机构存档", "R-32"),
    (2, "patient", "第二联：患者留存", "R-32"),
    (3, "safety_net_office", "第三联：医疗兜底保障办公室，作为拨付依据", "A3-25"),
)
# Digits and capitals that nobody mistakes for one another (Crockford): no I, L, O, U.
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FROM_BASE32 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", LETTERS)
_MEANT = str.maketrans("OIL", "011", "- ")
CODE_BYTES = 10


class Step(msgspec.Struct, frozen=True):
    """One step of the computation, in the words of the settlement."""

    clause: str
    says: str
    quote: str


class Paper(msgspec.Struct, frozen=True):
    """What one printing says, the same on its three sheets. Amounts are yuan texts by the codes of `COLUMNS`.

    ``number`` counts the printings of one settlement's notice from 1; every later one is a reprint and says why.
    """

    settlement_id: str
    number: int
    reason: str | None
    institution_code: str
    institution_name: str
    patient_name: str
    bill_no: str
    admission_no: str
    admitted_on: date
    discharged_on: date
    total: str
    amounts: dict[str, str]
    patient_pays: str
    policy_version: str
    steps: list[Step]
    printed_at: datetime

    def without_name(self) -> dict[str, Any]:
        """As it is kept: the name lies sealed beside it."""
        kept: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(self, patient_name=""))
        return kept

    @classmethod
    def of(cls, kept: Mapping[str, Any], patient_name: str) -> "Paper":
        """A kept paper with its name again."""
        return msgspec.convert({**kept, "patient_name": patient_name}, cls)


def check_code(paper: Paper, sign: Callable[[bytes], bytes]) -> str:
    """The code on a printing, ``XXXX-XXXX-XXXX-XXXX``: 80 bits of a signature over all that it says.

    Nobody makes one for other amounts without the county's key; ``sign`` is that key's.
    """
    said = b"notice:" + msgspec.json.encode(paper, order="sorted")
    text = base64.b32encode(sign(said)[:CODE_BYTES]).decode().translate(_FROM_BASE32)
    return "-".join(text[place : place + 4] for place in range(0, len(text), 4))


def as_printed(code: str) -> str:
    """A code as somebody typed it, in the form it is printed in: small letters, O for 0, I and L for 1, no hyphens."""
    plain = code.upper().translate(_MEANT)
    return "-".join(plain[place : place + 4] for place in range(0, len(plain), 4))


def agrees(paper: Paper, amounts: Mapping[str, str]) -> bool:
    """Whether a printing says the same as the settlement's own amounts."""
    said = {**paper.amounts, "total": paper.total, "patient_pays": paper.patient_pays}
    return all(amounts.get(code) == amount for code, amount in said.items())
