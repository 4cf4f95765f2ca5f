"""The interpreter against the law written by hand, and against fractions over the steps of drawn packs."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import strategies as st

from safety_net_service.settlements.rules import Bill, Institution, SettlementPack, settle
from safety_net_service.settlements.rules.share import facts_of
from shared.kit.policy import Ratio, Shelf
from tests.rules import by_hand
from tests.rules.builders import (
    a_patient,
    a_township_centre,
    an_institution,
    luzhai_2018,
    luzhai_shelf,
    settled,
    shelf_with_2019,
)
from tests.rules.counting import holds
from tests.rules.drawn import bills, institutions, packs


@pytest.mark.clause("A3-20", "A3-21", "A3-22", "A3-23", "R-01", "R-17", "R-52")
@holds(bills(), institutions, st.booleans(), examples=3000)
def test_luzhai_by_pack_is_luzhai_by_hand(bill: Bill, institution: Institution, with_2019: bool) -> None:
    shelf = shelf_with_2019() if with_2019 else luzhai_shelf()
    outcome = settle(bill, [a_patient()], institution, shelf)
    years_with_pack = {2018, 2019} if with_2019 else {2018}
    expected = by_hand.luzhai(bill, institution, years_with_pack)
    found = {
        row.year: (row.safety_net_fen, row.hospital_share_fen)
        for row in outcome.years
        if row.policy_version is not None
    }
    assert found == expected
    assert {row.year: row.days for row in outcome.years} == dict(by_hand.days_by_year(bill))


@holds(packs(), bills(days=st.integers(0, 40)), institutions, st.integers(0, 60_000_000), examples=1200)
def test_any_pack_is_what_fractions_make_of_its_steps(
    pack: SettlementPack, bill: Bill, institution: Institution, promised: int
) -> None:
    committed = {"甲基金": promised, "乙基金": promised // 2}
    days = by_hand.days_by_year(bill)
    outcome = settle(bill, [a_patient()], institution, Shelf([pack]), committed=committed)
    if not days[2018]:
        assert outcome.decision == "reject"
        return
    safety_net, hospital, short = by_hand.evaluate(
        pack, bill, facts_of(pack, bill, institution), days[2018], sum(days.values()), committed
    )
    undecided = any(rule.way == "office" and rule.applies(facts_of(pack, bill, institution)) for rule in pack.steps)
    assert (outcome.decision == "hold") == (short or undecided)
    shown = outcome.if_passed or outcome.amounts
    assert (shown.safety_net_fen, shown.hospital_share_fen) == (safety_net, hospital)


@pytest.mark.parametrize(
    ("points", "county", "township"), [("90%", 320000, 260000), ("85%", 220000, 260000), ("100%", 520000, 260000)]
)
def test_another_number_in_a_copy_of_the_pack_is_another_settlement_without_code(
    points: str, county: int, township: int
) -> None:
    pack = luzhai_2018()
    first = replace(pack.steps[0], ratio=Ratio(points, Decimal(points[:-1]) / 100))
    shelf = Shelf([replace(pack, steps=(first, *pack.steps[1:]))])
    assert settled(shelf=shelf).amounts.safety_net_fen == county
    assert settled(institution=a_township_centre(), shelf=shelf).amounts.safety_net_fen == township
    assert an_institution().kind == "county_hospital"
