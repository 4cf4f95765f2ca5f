"""The packs on the shelf, for anyone to read."""

from datetime import date
from pathlib import Path
from typing import Any

from safety_net_service.errors import NoSuchPolicy
from safety_net_service.settlements.rules import PackShelf, SettlementPack
from safety_net_service.settlements.service import PACK
from shared.kit.money import yuan


def heads(shelf: PackShelf, county_code: str | None, on: date | None) -> list[dict[str, Any]]:
    """The packs of all counties or of one, in force at some time or on one day; by county, the newest first."""
    found = [
        pack
        for pack in shelf
        if county_code in (None, pack.county_code)
        and (on is None or (pack.first_day <= on and (pack.last_day is None or on <= pack.last_day)))
    ]
    found.sort(key=lambda pack: pack.first_day, reverse=True)
    found.sort(key=lambda pack: pack.county_code)
    return [_head(pack) for pack in found]


def whole(shelf: PackShelf, folder: Path, county_code: str, pack: str, effective_date: date) -> dict[str, Any]:
    """One pack with each value's clause and quote, and the file it was read from."""
    packs = shelf.of_county(county_code) if pack == PACK else ()
    found = next((each for each in packs if each.first_day == effective_date), None)
    if found is None:
        raise NoSuchPolicy
    file = folder / county_code / PACK / f"{effective_date.isoformat()}.yaml"
    return {**_head(found), **_content(found), "yaml": file.read_text(encoding="utf-8")}


def _head(pack: SettlementPack) -> dict[str, Any]:
    return {
        "county_code": pack.county_code,
        "pack": PACK,
        "version": pack.version,
        "source": pack.source,
        "first_day": pack.first_day,
        "last_day": pack.last_day,
        "href": f"/safety-net/v1/policies/{pack.county_code}/{PACK}/{pack.first_day.isoformat()}",
    }


def _content(pack: SettlementPack) -> dict[str, Any]:
    def cited(clause: str, **known: Any) -> dict[str, Any]:
        return {**known, "clause": clause, "quote": pack.quote(clause)}

    return {
        "dates": cited(pack.dates_clause),
        "cut_by": pack.cut_by,
        "eligible": cited(pack.eligible_clause, categories=pack.categories),
        "counted": cited(pack.counted_clause, names=pack.counted),
        "exclusions": [cited(clause, code=code) for code, clause in pack.exclusions.items()],
        "values": [
            cited(value.clause, name=value.name, value=value.value, others=value.others)
            for value in pack.values.values()
        ],
        "steps": [
            cited(
                step.clause,
                pay=step.pay,
                way=step.way,
                ratio=step.ratio.text if step.ratio else None,
                of=step.of,
                less=step.less,
                when=step.when,
                limit=step.limit
                and cited(
                    step.limit.clause,
                    name=step.limit.name,
                    most=yuan(step.limit.most_fen),
                    per=step.limit.per,
                    short=step.limit.short,
                ),
                split=step.split and cited(step.split.clause, share=step.split.share.text),
            )
            for step in pack.steps
        ],
        "clauses": pack.clauses,
    }
