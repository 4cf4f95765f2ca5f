"""Second opinions: Luzhai written by hand with whole numbers, and any pack evaluated with fractions.

Nothing here uses the interpreter. The days are counted one by one, amounts are fractions until the law rounds them.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from fractions import Fraction

from safety_net_service.settlements.rules import Bill, Institution, SettlementPack
from safety_net_service.settlements.rules.shape import StepRule


def half_up(exact: Fraction) -> int:
    """To the fen, halves upward."""
    return int((exact * 2 + 1) // 2)


def days_by_year(bill: Bill) -> Counter[int]:
    """The days of the stay, by year: the admission day, then every day before the discharge."""
    day, years = bill.admitted_on, Counter({bill.admitted_on.year: 1})
    while (day := day + timedelta(days=1)) < bill.discharged_on:
        years[day.year] += 1
    return years


def cut_latest_first(shares: dict[int, int], room: int) -> dict[int, int]:
    """Fill the room from the earliest year on; what no longer fits is the latest years'."""
    cut = {}
    for year in sorted(shares):
        cut[year] = min(shares[year], room)
        room -= cut[year]
    return cut


def luzhai(bill: Bill, institution: Institution, years_with_pack: Collection[int]) -> dict[int, tuple[int, int]]:
    """What county and township centre pay in each year, as the notice of 2018 says it (A3-20, A3-22, A3-23)."""
    received = (
        bill.basic_insurance_fen
        + bill.critical_illness_fen
        + bill.supplementary_insurance_fen
        + bill.medical_assistance_fen
        + bill.government_topup_fen
    )
    base = bill.total_fen - bill.non_medical_fen
    township = institution.kind == "township_centre" and institution.county_code == "450223"
    promised = base if township else (base * 90 + 50) // 100
    whole = promised - received if promised > received else 0
    years = days_by_year(bill)
    of_days = sum(years.values())
    shares = {year: (2 * whole * years[year] + of_days) // (2 * of_days) for year in years if year in years_with_pack}
    shares = cut_latest_first(shares, bill.total_fen - received - bill.other_fen)
    return {year: (share // 2, share - share // 2) if township else (share, 0) for year, share in shares.items()}


def evaluate(
    pack: SettlementPack, bill: Bill, facts: Mapping[str, str], days: int, of_days: int, committed: Mapping[str, int]
) -> tuple[int, int, bool]:
    """Any pack's answer for a stay of which `days` of `of_days` are its own: safety net, other share, fund short?"""
    counted = sum(getattr(bill, f"{name}_fen") for name in pack.counted)
    names = {
        "base": Fraction(bill.total_fen - bill.non_medical_fen),
        "in_scope": Fraction(bill.in_scope_fen),
        "out_of_scope": max(Fraction(bill.total_fen - bill.non_medical_fen - bill.in_scope_fen), Fraction(0)),
        "counted": Fraction(counted),
        "medical_assistance": Fraction(bill.medical_assistance_fen),
        "safety_net": Fraction(0),
    }
    given: list[tuple[StepRule, int]] = []
    for rule in pack.steps:
        if all(facts[fact] in wanted for fact, wanted in rule.when.items()):
            names["personal"] = max(bill.total_fen - counted - names["safety_net"], Fraction(0))
            less = sum((names[name] for name in rule.less), Fraction(0))
            if rule.way == "top_up" and rule.ratio is not None:
                paid = max(half_up(names[rule.of] * Fraction(rule.ratio.value)) - int(less), 0)
            else:
                ratio = Fraction(rule.ratio.value) if rule.ratio is not None else Fraction(1)
                paid = half_up(max(names[rule.of] - less, Fraction(0)) * ratio)
            names["safety_net"] += paid
            given.append((rule, paid))
    parts, running = [], 0
    for _, paid in given:
        before = half_up(Fraction(running * days, of_days))
        running += paid
        parts.append(half_up(Fraction(running * days, of_days)) - before)
    room = bill.total_fen - bill.received_fen
    for index, part in enumerate(parts):
        parts[index] = min(part, room)
        room -= parts[index]
    short = _fund(given, parts, committed)
    county = [_county_part(rule, part) for (rule, _), part in zip(given, parts, strict=True)]
    return sum(county), sum(parts) - sum(county), short


def _county_part(rule: StepRule, part: int) -> int:
    return part if rule.split is None else int(part * Fraction(rule.split.share.value))


def _fund(given: list[tuple[StepRule, int]], parts: list[int], committed: Mapping[str, int]) -> bool:
    """Apply the funds' limits to the parts; whether one makes the bill wait."""
    short = False
    for name in {rule.limit.name for rule, _ in given if rule.limit is not None}:
        mine = [index for index, (rule, _) in enumerate(given) if rule.limit is not None and rule.limit.name == name]
        limit = given[mine[0]][0].limit
        assert limit is not None
        free = max(limit.most_fen - committed[name], 0)
        if limit.short == "hold":
            short = short or sum(_county_part(given[index][0], parts[index]) for index in mine) > free
            continue
        for index in mine:
            parts[index] = min(parts[index], free)
            free -= parts[index]
    return short
