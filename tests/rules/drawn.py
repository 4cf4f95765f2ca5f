"""Bills, people, institutions and packs drawn at random, with the edges where the law turns drawn often."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from safety_net_service.settlements.rules import Bill, Institution, OfficeDecision, Patient, SettlementPack
from safety_net_service.settlements.rules.shape import Limit, Split, StepRule, Value
from shared.kit.policy import Place, Ratio
from tests.rules.builders import (
    LIUZHOU,
    LUZHAI,
    a_city_hospital,
    a_decision,
    a_patient,
    a_referral,
    a_township_centre,
    an_institution,
    insured,
    luzhai_2018,
    poor,
    span,
)

HERE = Place("drawn", 1, 1)
EDGES = [date(2018, 6, 30), date(2018, 7, 1), date(2018, 1, 1), date(2018, 12, 31), date(2017, 12, 31)]
CAUSES = ("illness", "illness", "illness", "fight", "suicide_or_self_harm", "work_injury", "other_excluded", "unknown")

usual_amounts = st.integers(100_000, 10_000_000)
fen_amounts = st.one_of(usual_amounts, usual_amounts, st.integers(1, 2_000), st.integers(1, 10**11))
admissions = st.one_of(st.sampled_from(EDGES), st.dates(date(2017, 11, 1), date(2020, 1, 31)))
lengths = st.one_of(st.integers(0, 3), st.integers(0, 60), st.integers(0, 800))
institutions = st.sampled_from([an_institution(), a_township_centre(), a_township_centre(county_code=LIUZHOU)])


@st.composite
def bills(draw: st.DrawFn, /, dates: Any = admissions, days: Any = lengths, **fixed: Any) -> Bill:
    """A bill with any mixture of payers, in doubt about nothing."""
    total = draw(fen_amounts)
    non_medical = draw(st.sampled_from([0, 0, 0, total, total // 7, 1]))
    # Each payer takes a part of what the ones before him left, so that the sum never passes the bill.
    left, parts = total, []
    for twelfths in draw(st.lists(st.integers(0, 11), min_size=6, max_size=6)):
        parts.append(left * twelfths // 12)
        left -= parts[-1]
    if draw(st.integers(0, 9)) == 0:
        parts[draw(st.integers(0, 5))] += left
    admitted = draw(dates)
    known: dict[str, Any] = {
        "admitted_on": admitted,
        "discharged_on": admitted + timedelta(days=draw(days)),
        "total_fen": total,
        "in_scope_fen": total * draw(st.integers(0, 4)) // 4,
        "non_medical_fen": non_medical,
        "basic_insurance_fen": parts[0],
        "critical_illness_fen": parts[1],
        "supplementary_insurance_fen": parts[2],
        "medical_assistance_fen": parts[3],
        "government_topup_fen": parts[4],
        "other_fen": parts[5],
        "pay_later_agreement_no": draw(st.sampled_from([None, "XY-1"])),
        "referral": a_referral(),
    }
    return Bill(**{**known, **fixed})


@st.composite
def doubtful_bills(draw: st.DrawFn) -> Bill:
    """A bill that may be in or out for any reason."""
    bill: Bill = draw(bills())
    return replace(
        bill,
        cause=draw(st.sampled_from(CAUSES)),
        place=draw(st.sampled_from(["mainland", "mainland", "abroad"])),
        care_setting=draw(st.sampled_from(["inpatient", "inpatient", "outpatient"])),
        emergency=draw(st.booleans()),
        diagnoses=draw(st.sampled_from([(), ("F20.000",), ("C34.900", "F31.9")])),
        referral=draw(st.sampled_from([None, a_referral(), a_referral(accepted=False)])),
        identity_given=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def doubtful_people(draw: st.DrawFn) -> list[Patient]:
    """Nobody, one resident, or one in each of two registers, with any history."""
    people = []
    for number in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        stopped = draw(st.sampled_from([(), (span("2018-01-01", "2018-07-05"),), (span("2016-01-01", "2019-12-31"),)]))
        people.append(
            a_patient(
                resident_id=f"resident-{number}",
                county_code=(LUZHAI, LIUZHOU)[number],
                birth_date=draw(st.sampled_from([date(1975, 3, 12), date(2017, 8, 2), date(2018, 7, 1)])),
                poverty=draw(st.sampled_from([(poor(),), (poor("2018-07-01"),), (poor(category="monitored"),), ()])),
                insurance=draw(st.sampled_from([(insured(suspended=stopped),), (insured(scheme="employee"),), ()])),
                household_registration=draw(st.booleans()),
                birth_document=draw(st.sampled_from([None, "birth_certificate"])),
                severe_mental_disorder=draw(st.booleans()),
                name_matches=draw(st.sampled_from([True, True, False])),
            )
        )
    return people


doubtful_institutions: st.SearchStrategy[Institution] = st.sampled_from(
    [
        an_institution(),
        an_institution(designated=()),
        a_township_centre(),
        a_city_hospital(),
        a_city_hospital(designated=(span("2018-07-01", "2018-07-31"),)),
    ]
)
decisions: st.SearchStrategy[OfficeDecision | None] = st.sampled_from(
    [None, None, a_decision("pass"), a_decision("reject", rule="A3-16")]
)


def _ratio(points: int, tenths: int) -> Ratio:
    text = f"{points}%" if not tenths else f"{points}.{tenths}%"
    return Ratio(text, Decimal(text[:-1]) / 100)


ratios = st.builds(_ratio, st.integers(0, 99), st.integers(0, 9)) | st.just(_ratio(100, 0))
limits = st.builds(
    Limit,
    name=st.sampled_from(["甲基金", "乙基金"]),
    most_fen=st.just(50_000_000),
    per=st.just("ever"),
    short=st.sampled_from(["hold", "cut"]),
    clause=st.just("R-08"),
)


@st.composite
def step_rules(draw: st.DrawFn) -> StepRule:
    """A lawful step of any kind."""
    way: Any = draw(st.sampled_from(["top_up", "rate", "rate", "office"]))
    limit = draw(st.none() | limits)
    if limit is not None:
        # One name means one limit, in every step that names it.
        limit = replace(limit, short="hold" if limit.name == "甲基金" else "cut")
    may_split = limit is None or limit.short == "hold"
    return StepRule(
        pay="safety_net",
        way=way,
        ratio=None if way == "office" else draw(ratios),
        of=draw(st.sampled_from(["base", "in_scope", "out_of_scope", "personal"])),
        less=tuple(draw(st.sets(st.sampled_from(["counted", "other_payers", "paid"]), max_size=2))),
        when=draw(st.sampled_from([{}, {"township_in_county": ("true",)}, {"in_county": ("true", "false")}])),
        limit=limit,
        split=Split(draw(ratios), "R-11") if may_split and draw(st.booleans()) else None,
        clause=draw(st.sampled_from(["A3-20", "A3-23"])),
        place=HERE,
    )


@st.composite
def packs(draw: st.DrawFn) -> SettlementPack:
    """A pack of up to three drawn steps around Luzhai's frame."""
    steps: list[StepRule] = []
    for index in range(draw(st.integers(1, 3))):
        rule = draw(step_rules())
        names = {"counted": "counted", "other_payers": "medical_assistance"} | ({"paid": "safety_net"} if index else {})
        steps.append(replace(rule, less=tuple(names[name] for name in sorted(rule.less) if name in names)))
    frame = luzhai_2018()
    values: dict[str, Value] = {name: value for name, value in frame.values.items() if name != "township_base"}
    counted = tuple(draw(st.sets(st.sampled_from(frame.counted), min_size=1)))
    return replace(frame, steps=tuple(steps), values=values, counted=counted)
