"""Identity documents: the canonical form of a number, and what is wrong with it.

GB 11643-1999 for the 18-digit number: area 6, birth 8, serial 3 (odd for men), check digit ISO 7064 MOD 11-2. The
area is that of first registration, so it says nothing about where a person lives now and is only a warning; libraries
that tie the area to the birth year refuse true Luzhai numbers. The travel permits have no check digit: pattern only.
"""

import re
import unicodedata
from datetime import date
from typing import Literal, get_args

PROVINCES = frozenset(re.findall("..", "1112131415212223313233343536374142434445465051525354616263646571818283"))
Type = Literal[
    "resident_id",
    "birth_certificate",
    "birth_permit",
    "residence_permit_hmt",
    "travel_permit_hm",
    "travel_permit_tw",
    "foreign_permanent_resident",
]
TYPES: tuple[str, ...] = get_args(Type)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
# 居民身份证 18; 港澳台居民居住证 18 (areas 81/82/83); 港澳居民来往内地通行证 H/M + 8 (+ 2 on old cards);
# 台湾居民来往大陆通行证 8; 外国人永久居留身份证 18 from 9 (2023) or 3 letters + 12 digits;
# 出生医学证明 a letter and 9 digits (older series differ); 准生证明 has no national form.
PATTERNS = {
    "resident_id": re.compile(r"[1-9][0-9]{16}[0-9X]"),
    "residence_permit_hmt": re.compile(r"8[123]0000[0-9]{11}[0-9X]"),
    "travel_permit_hm": re.compile(r"[HM][0-9]{8}(?:[0-9]{2})?"),
    "travel_permit_tw": re.compile(r"[0-9]{8}(?:[0-9]{2}(?:\([A-Z]\))?)?"),
    "foreign_permanent_resident": re.compile(r"9[0-9]{16}[0-9X]|[A-Z]{3}[0-9]{12}"),
    "birth_certificate": re.compile(r"[A-Z]{1,2}[0-9]{6,12}"),
    "birth_permit": re.compile(r"[0-9A-Z一-鿿〔〕\[\]()号第字]{4,40}"),
}


class IdentityRefused(ValueError):
    """Why a number can't be right: ``code`` for programs, the text for the clerk."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def check_digit(first17: str) -> str:
    """The eighteenth character (ISO 7064 MOD 11-2)."""
    return CHECK_DIGITS[sum(int(d) * w for d, w in zip(first17, WEIGHTS, strict=True)) % 11]


def folded(number: str) -> str:
    """One spelling for one number: half-width, upper case, no spaces or hyphens."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", number) if not c.isspace() and c not in "-‐–—").upper()
    # NFKC turns the Roman numeral Ⅹ into X; the Cyrillic Х only looks like one and would never be found again.
    return plain.replace("Х", "X")


def canonical(number: str) -> str:
    """What a number is matched by, whatever its type: one spelling, and 15 digits are taken for an old card's."""
    plain = folded(number)
    if re.fullmatch(r"[1-9][0-9]{14}", plain):
        first17 = plain[:6] + "19" + plain[6:]
        return first17 + check_digit(first17)
    return plain


def checked(kind: str, number: str, today: date) -> str:
    """The number as it is kept, or why it can't be one of its type. Only an old card's 15 digits become 18."""
    plain = canonical(number) if kind == "resident_id" else folded(number)
    if not PATTERNS[kind].fullmatch(plain):
        raise IdentityRefused("identity_malformed", "证件号码的位数或字符不符合该证件类型。")
    if kind in ("resident_id", "residence_permit_hmt") or (kind == "foreign_permanent_resident" and plain[0] == "9"):
        if check_digit(plain[:17]) != plain[17]:
            raise IdentityRefused("identity_check_digit", "证件号码的校验位不正确，请核对号码。")
        birth = birth_date(plain)
        if birth is None or not date(1900, 1, 1) <= birth <= today:
            raise IdentityRefused("identity_birth_date", "证件号码中的出生日期不是真实日期。")
    if kind == "resident_id" and plain[:2] not in PROVINCES:
        raise IdentityRefused("identity_area", "证件号码的地区代码不存在。")
    return plain


def birth_date(number: str) -> date | None:
    """The birth date an 18-character number carries, if it is one."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def warnings(kind: str, number: str, *, birth: date, sex: str, areas: frozenset[str]) -> list[tuple[str, str]]:
    """What looks odd beside the record but may be true; the digit of serial 000 (never issued) is not compared."""
    if kind not in ("resident_id", "residence_permit_hmt"):
        return []
    found = []
    if kind == "resident_id" and number[:6] not in areas:
        found.append(("identity_area_elsewhere", "号码的地区代码不是本县现用或曾用代码，请确认首次落户地。"))
    if birth_date(number) != birth:
        found.append(("identity_birth_date_differs", "号码中的出生日期与登记的出生日期不一致。"))
    if number[14:17] != "000" and (int(number[16]) % 2 == 1) != (sex == "male"):
        found.append(("identity_sex_differs", "号码中的性别与登记的性别不一致。"))
    return found
