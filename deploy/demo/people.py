"""The invented residents of the demo county: a small cast that the demo bills are about, and their neighbours.

Nobody here exists: every identity number has the serial 000, which is never issued, and every name says 测试 (test).
The neighbours come from a generator with a fixed seed, so every demo county is the same.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from deploy.demo.county import TOWNSHIPS
from shared.kit.identity_number import check_digit

SEED = 20180720
RESIDENTS = 330
# Luzhai's area code until 2002 and since: a number keeps the area of its first registration.
OLD_AREA, AREA = "452223", "450223"

Periods = list[dict[str, Any]]


def _poverty(*periods: tuple[str, str | None, str]) -> Periods:
    return [{"from": first, "to": last, "category": category} for first, last, category in periods]


def _insured(
    *periods: tuple[str, str | None], scheme: str = "resident", stopped: tuple[tuple[str, str], ...] = ()
) -> Periods:
    suspended = [{"from": first, "to": last} for first, last in stopped]
    return [{"scheme": scheme, "from": first, "to": last, "suspended": suspended} for first, last in periods]


POOR = _poverty(("2016-01-01", None, "registered_poor"))
KEPT = _poverty(("2015-11-01", "2017-12-31", "registered_poor"), ("2018-01-01", None, "out_of_poverty_policy_kept"))
LEFT = _poverty(("2014-01-01", "2016-12-31", "registered_poor"), ("2017-01-01", None, "out_of_poverty"))
FELL_BACK = _poverty(
    ("2014-01-01", "2015-12-31", "registered_poor"),
    ("2016-01-01", "2017-12-31", "out_of_poverty"),
    ("2018-01-01", None, "registered_poor"),
)
MONITORED = _poverty(("2018-03-01", None, "monitored"))
NEVER: Periods = []

INSURED = _insured(("2016-01-01", None))
YEAR_BY_YEAR = _insured(("2016-01-01", "2016-12-31"), ("2017-01-01", "2017-12-31"), ("2018-01-01", None))
MISSED_2017 = _insured(("2016-01-01", "2016-12-31"), ("2018-01-01", None))
EMPLOYEE = _insured(("2016-01-01", None), scheme="employee")
NOW_EMPLOYEE = [*_insured(("2016-01-01", "2018-06-30")), *_insured(("2018-07-01", None), scheme="employee")]
STOPPED = _insured(("2016-01-01", None), stopped=(("2018-08-01", "2018-09-30"),))
UNINSURED = _insured(("2016-01-01", None), scheme="none")


@dataclass(frozen=True)
class Person:
    """One resident as the registry is told of him."""

    name: str
    sex: str
    born: date
    village: str
    household: str
    relation: str = "head"
    poverty: Periods = field(default_factory=lambda: POOR)
    insurance: Periods = field(default_factory=lambda: INSURED)
    identity_type: str = "resident_id"
    number: str = ""
    registered: bool = True
    birth_document: str | None = None

    def body(self) -> dict[str, Any]:
        """What is posted to the registry."""
        return {
            "identity": {"type": self.identity_type, "number": self.number},
            "name": self.name,
            "sex": self.sex,
            "birth_date": self.born.isoformat(),
            "household_no": self.household,
            "relation_to_head": self.relation,
            "village_code": self.village,
            "phone": None,
            "registered_poor": self.poverty,
            "insurance": self.insurance,
            "household_registration": self.registered,
            "birth_document": self.birth_document,
        }


def identity_number(area: str, born: date) -> str:
    """An 18-digit number with the serial 000: valid in form, and never issued to anybody."""
    first17 = f"{area}{born:%Y%m%d}000"
    return first17 + check_digit(first17)


def _cast(key: str, name: str, sex: str, born: str, place: tuple[int, int], **known: Any) -> tuple[str, Person]:
    """A named resident in township and village ``place``; those of one place are one household."""
    day, village = date.fromisoformat(born), TOWNSHIPS[place[0]].villages[place[1]]
    number = known.pop("number", None) or identity_number(OLD_AREA if day.year < 2002 else AREA, day)
    household = known.pop("household", f"{village}9001")
    return key, Person(name, sex, day, village, household, number=number, **known)


UNREGISTERED = {"registered": False}
CAST: dict[str, Person] = dict(
    [
        # The resident of the handbook's own example: registered after 2002, so his number has the new area.
        _cast("plain", "测试甲", "male", "1975-03-12", (0, 0), household="4502231000001",
              number=identity_number(AREA, date(1975, 3, 12))),
        _cast("paid_92", "测试乙丑", "female", "1968-11-03", (1, 0)),
        _cast("at_90", "测试丙寅", "male", "1959-06-21", (2, 1), poverty=KEPT),
        _cast("one_fen", "测试丁卯", "female", "1971-02-17", (3, 2)),
        _cast("odd_fen", "测试戊辰", "male", "1963-09-30", (4, 0), insurance=YEAR_BY_YEAR),
        _cast("half_fen", "测试己巳", "female", "1980-12-08", (5, 3)),
        _cast("supplementary", "测试庚午", "male", "1955-04-26", (6, 1)),
        _cast("township_20", "测试辛未", "female", "1949-07-14", (0, 1)),
        _cast("township_8", "测试壬申", "male", "1952-01-09", (1, 2)),
        _cast("township_odd", "测试癸酉", "female", "1947-10-25", (2, 0), poverty=KEPT),
        _cast("township_winter", "测试甲戌", "male", "1944-05-19", (3, 0)),
        _cast("township_charity", "测试乙亥", "female", "1966-08-02", (7, 1)),
        _cast("into_2019", "测试丙子", "male", "1961-03-28", (4, 1)),
        _cast("out_of_2017", "测试丁丑", "female", "1957-12-15", (5, 1), insurance=YEAR_BY_YEAR),
        _cast("no_transfer", "测试戊寅", "male", "1973-07-07", (6, 0)),
        _cast("transferred", "测试·己卯", "female", "1965-02-23", (7, 0)),
        _cast("infant", "测试庚辰", "male", "2017-09-01", (8, 1), **UNREGISTERED, relation="child",
              identity_type="birth_certificate", number="Z000000001", birth_document="birth_certificate",
              insurance=_insured(("2017-09-01", None))),
        _cast("in_traffic", "测试辛巳", "male", "1985-11-11", (8, 1)),
        _cast("over_midyear", "测试壬午", "female", "1976-06-06", (0, 2)),
        _cast("out_of_catalogue", "测试癸未", "male", "1969-01-31", (1, 1)),
        _cast("employee", "测试甲申", "female", "1988-04-05", (2, 2), insurance=EMPLOYEE),
        _cast("stopped", "测试乙酉", "male", "1982-09-13", (3, 1), insurance=STOPPED),
        _cast("stopped_in_part", "测试丙戌", "female", "1979-05-27", (4, 2), insurance=STOPPED),
        _cast("left_poverty", "测试丁亥", "male", "1960-10-10", (5, 0), poverty=LEFT),
        _cast("never_poor", "测试戊子", "female", "1974-08-18", (6, 2), poverty=NEVER),
        _cast("monitored", "测试己丑", "male", "1967-12-01", (7, 2), poverty=MONITORED),
        _cast("undesignated", "测试庚寅", "female", "1990-03-03", (8, 2)),
        _cast("emergency", "测试辛卯", "male", "1958-07-22", (0, 3)),
        _cast("self_harm", "测试壬辰", "female", "1983-02-14", (1, 3)),
        _cast("unknown_cause", "测试癸巳", "male", "1992-06-16", (2, 3)),
        _cast("at_work", "测试甲午", "male", "1986-05-01", (3, 3)),
        _cast("outpatient", "测试乙未", "female", "1962-09-09", (4, 3)),
        _cast("after_2018", "测试丙申", "male", "1970-04-14", (5, 2)),
        # The other identity documents; all but the birth permit's holder show exclusions 9 and 10.
        _cast("infant_without", "测试丁酉", "female", "2018-01-15", (3, 3), **UNREGISTERED, relation="child",
              identity_type="travel_permit_hm", number="H00000001", insurance=_insured(("2018-01-15", None))),
        _cast("born_by_permit", "测试戊戌", "male", "2018-03-20", (2, 3), **UNREGISTERED, relation="child",
              identity_type="birth_permit", number="450223201800001", birth_document="birth_permit",
              insurance=_insured(("2018-03-20", None))),
        _cast("from_hong_kong", "测试己亥", "female", "1978-01-20", (3, 1), **UNREGISTERED, relation="spouse",
              identity_type="residence_permit_hmt", number=identity_number("810000", date(1978, 1, 20))),
        _cast("from_taiwan", "测试庚子", "male", "1972-10-02", (0, 2), **UNREGISTERED, relation="spouse",
              identity_type="travel_permit_tw", number="00000001"),
        _cast("from_abroad", "测试辛丑", "female", "1984-08-08", (8, 1), **UNREGISTERED, relation="spouse",
              identity_type="foreign_permanent_resident", number=identity_number("911840", date(1984, 8, 8))),
    ]
)  # fmt: skip

STEMS = "甲乙丙丁戊己庚辛壬癸"
SIGNS = "春夏秋冬东南西北山水云月梅兰竹菊松柏青白"
HISTORIES = ((POOR, 55), (KEPT, 20), (FELL_BACK, 6), (LEFT, 8), (MONITORED, 5), (NEVER, 6))
INSURANCES = (
    (INSURED, 62),
    (YEAR_BY_YEAR, 18),
    (MISSED_2017, 5),
    (NOW_EMPLOYEE, 4),
    (EMPLOYEE, 4),
    (STOPPED, 4),
    (UNINSURED, 3),
)


def residents() -> list[Person]:
    """The whole demo county: the cast first, so that its events arrive first, then households of neighbours."""
    people = list(CAST.values())
    taken = {person.number for person in people}
    neighbours = _Neighbours(random.Random(SEED), taken)
    serial = 0
    while len(people) < RESIDENTS:
        serial += 1
        people.extend(neighbours.household(serial))
    return people


class _Neighbours:
    """Households of two to six, three generations at most."""

    def __init__(self, chance: random.Random, taken: set[str]) -> None:
        self.chance, self.taken = chance, taken

    def household(self, serial: int) -> Iterator[Person]:
        """One household; all its members share its poverty history, each has insurance of his own."""
        chance = self.chance
        township = TOWNSHIPS[serial % len(TOWNSHIPS)]
        village = chance.choice(township.villages)
        poverty = chance.choices([h for h, _ in HISTORIES], [w for _, w in HISTORIES])[0]
        year = chance.randint(1952, 1984)
        head = Person("", "male", date(year, 1, 1), village, f"{village}{serial:04d}", poverty=poverty)
        if chance.random() < 0.15:
            head = replace(head, sex="female")
        yield self._someone(head, year)
        if chance.random() < 0.8:
            spouse = replace(head, sex="female" if head.sex == "male" else "male", relation="spouse")
            yield self._someone(spouse, year + chance.randint(-4, 5))
        for _ in range(chance.randint(0, 2)):
            child = replace(head, sex=chance.choice(("male", "female")), relation="child")
            yield self._someone(child, min(year + chance.randint(21, 32), 2017))
        if chance.random() < 0.45:
            parent = replace(head, sex=chance.choice(("male", "female")), relation="parent")
            yield self._someone(parent, max(year - chance.randint(21, 30), 1926))

    def _someone(self, like: Person, year: int) -> Person:
        chance = self.chance
        while True:
            born = date(year, 1, 1) + timedelta(days=chance.randrange(365))
            area = AREA if year >= 2002 or chance.random() < 0.1 else OLD_AREA
            number = identity_number(area, born)
            if number not in self.taken:
                break
        self.taken.add(number)
        insurance = chance.choices([i for i, _ in INSURANCES], [w for _, w in INSURANCES])[0]
        if year > 1998 and insurance in (EMPLOYEE, NOW_EMPLOYEE):
            insurance = INSURED
        name = "测试" + chance.choice(STEMS) + chance.choice(SIGNS)
        return replace(like, name=name, born=born, number=number, insurance=insurance)
