"""What anyone may read of a county's policy (A0-01: 主动公开)."""

from datetime import date
from typing import Any

from pydantic import BaseModel, Field


class PackHead(BaseModel):
    """一份施行的政策。"""

    county_code: str = Field(title="县")
    pack: str = Field(title="类别")
    version: str = Field(title="版本")
    source: str = Field(title="文号")
    first_day: date = Field(title="施行日期")
    last_day: date | None = Field(title="终止日期")
    href: str = Field(title="全文")


class PackList(BaseModel):
    items: list[PackHead]


class Cited(BaseModel):
    """条款与原文。"""

    clause: str = Field(title="条款")
    quote: str = Field(title="条款原文")


class EligibleRead(Cited):
    categories: list[str] = Field(title="救助对象")


class CountedRead(Cited):
    names: list[str] = Field(title="计入已报销")


class ExclusionRead(Cited):
    code: str = Field(title="除外情形")


class ValueRead(Cited):
    name: str = Field(title="参数")
    value: str | int | date = Field(title="取值")
    others: list[str] = Field(title="另一读法")


class RuleRead(Cited):
    """一步：谁付、何时、付多少。"""

    pay: str = Field(title="支付方")
    way: str = Field(title="方式")
    ratio: str | None = Field(title="比例")
    of: str = Field(title="基数")
    less: list[str] = Field(title="减去")
    when: dict[str, list[str]] = Field(title="条件")
    limit: dict[str, Any] | None = Field(title="限额")
    split: dict[str, Any] | None = Field(title="分担")


class PackRead(PackHead):
    """一份政策全文：每个取值的条款与原文，及其文件本身。"""

    dates: Cited = Field(title="施行期间")
    cut_by: str = Field(title="跨期如何计算")
    eligible: EligibleRead
    counted: CountedRead
    exclusions: list[ExclusionRead]
    values: list[ValueRead]
    steps: list[RuleRead]
    clauses: dict[str, str] = Field(title="条款原文")
    yaml: str = Field(title="政策文件")
