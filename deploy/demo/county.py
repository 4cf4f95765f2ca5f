"""Places and institutions of the demo county. Townships are those of the county; villages and phones are invented."""

from dataclasses import dataclass
from typing import Any

COUNTY = "450223"
CITY, REGION = "450200", "450100"  # Liuzhou's own districts; Nanning, where the region's hospitals are


@dataclass(frozen=True)
class Township:
    """A township (乡镇) of Luzhai and the demo villages in it."""

    code: str
    name: str
    english: str

    @property
    def villages(self) -> tuple[str, ...]:
        """The twelve-digit codes of its four demo villages."""
        return tuple(f"{self.code}{number:03d}" for number in range(1, 5))

    @property
    def institution_code(self) -> str:
        """The insurance code of its township centre."""
        return f"H{COUNTY}00{self.code[-3:]}"


TOWNSHIPS = (
    Township("450223100", "鹿寨镇", "luzhai"),
    Township("450223102", "中渡镇", "zhongdu"),
    Township("450223103", "寨沙镇", "zhaisha"),
    Township("450223104", "平山镇", "pingshan"),
    Township("450223105", "黄冕镇", "huangmian"),
    Township("450223106", "四排镇", "sipai"),
    Township("450223201", "江口乡", "jiangkou"),
    Township("450223202", "导江乡", "daojiang"),
    Township("450223203", "拉沟乡", "lagou"),
)

DESIGNATED = [{"from": "2016-01-01", "to": None}]


def _institution(code: str, name: str, kind: str, level: int, county: str = COUNTY, **known: Any) -> dict[str, Any]:
    return {
        "institution_code": code,
        "name": name,
        "kind": kind,
        "level": level,
        "county_code": county,
        "township_code": known.get("township_code"),
        "insurance_designated": known.get("insurance_designated", DESIGNATED),
        "phone": "0772-0000000",
    }


# Named as their clients are in credentials.json.
INSTITUTIONS: dict[str, dict[str, Any]] = {
    "county_hospital": _institution("H45022300001", "鹿寨县人民医院", "county_hospital", 2),
    "county_tcm_hospital": _institution("H45022300002", "鹿寨县中医医院", "county_tcm_hospital", 2),
    **{
        f"township_centre_{township.english}": _institution(
            township.institution_code, f"{township.name}卫生院", "township_centre", 1, township_code=township.code
        )
        for township in TOWNSHIPS
    },
    "city_hospital": _institution("H45020000001", "柳州市演示医院", "city_hospital", 3, CITY),
    "regional_hospital": _institution("H45010000001", "自治区演示医院", "regional_hospital", 3, REGION),
    # In the county and without designation: it shows exclusion 5 alone, and its exception for emergencies.
    "undesignated_hospital": _institution("H45022300009", "鹿寨县演示民营医院", "other", 1, insurance_designated=[]),
}
