"""Field types of request and answer bodies: exact money, dates of law, bounded text."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from shared.kit import clock, money

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class FieldError:
    """One wrong field: where it stands (JSON pointer), which rule it broke, and what the clerk should do."""

    pointer: str
    code: str
    detail: str


def refuse(code: str, detail: str) -> PydanticCustomError:
    """A field rule of our own: a stable code and the clerk's words."""
    return PydanticCustomError(code, detail, {"ours": True})


def _fen(value: Any) -> int:
    if isinstance(value, str):
        try:
            return money.fen(value)
        except ValueError:
            pass
    raise refuse("money_malformed", '金额应为两位小数的文字，如 "12345.67"。')


def _date(value: Any) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and DATE.fullmatch(value) and value.isascii():
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise refuse("date_malformed", "日期应为 YYYY-MM-DD 形式的真实日期。")


Money = Annotated[
    int,
    BeforeValidator(_fen),
    PlainSerializer(money.yuan, return_type=str, when_used="json"),
    Field(json_schema_extra={"type": "string", "pattern": f"^{money.PATTERN}$", "examples": ["12345.67"]}),
]
"""Yuan as text outside (``"12345.67"``), whole fen inside."""

Yuan = Annotated[
    int,
    PlainSerializer(money.yuan, return_type=str),
    Field(json_schema_extra={"type": "string", "pattern": f"^{money.PATTERN}$", "examples": ["12345.67"]}),
]
"""Whole fen that an answer writes as yuan."""

LawDate = Annotated[date, BeforeValidator(_date), Field(json_schema_extra={"format": "date"})]
"""A date as the law counts: ``2018-08-11``."""

Moment = Annotated[
    datetime, PlainSerializer(clock.rfc3339, return_type=str), Field(json_schema_extra={"format": "date-time"})
]
"""A moment as every answer writes it, with +08:00, however the database gave it."""

Flag = StrictBool
Whole = StrictInt
Text = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]
"""One line with something on it."""
LongText = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000)]
NO_NUMBERS = "不得写入身份证号码（18位或15位）：这段文字会被许多人看到。违者 422 `identity_number_in_text`。"
# As it is written in one piece, or parted after the area and after the birth date.
_IDENTITY_NUMBER = re.compile(r"(?<!\d)(\d{6}[ -]?\d{8}[ -]?\d{3}[\dXx]|\d{6}[ -]?\d{6}[ -]?\d{3})(?!\d)")


def _without_identity_number(text: str) -> str:
    # Full-width digits are read as numbers too.
    if _IDENTITY_NUMBER.search(unicodedata.normalize("NFKC", text)):
        raise refuse("identity_number_in_text", "文字中含有身份证号码，请删去后再提交。")
    return text


WrittenText = Annotated[LongText, AfterValidator(_without_identity_number)]
"""What somebody writes as a reason. It goes with the record to all who may read it, and is kept in the clear."""
Code = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=r"^[!-~]+$")]
CountyCode = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{6}$")]
TownshipCode = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{9}$")]
VillageCode = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{12}$")]


class Body(BaseModel):
    """What a caller sends: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What a caller reads."""

    model_config = ConfigDict(from_attributes=True)
