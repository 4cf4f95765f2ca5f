"""The table of working days: the country's, the county's own, and what nobody has told yet."""

import json
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select

from deploy.settings import Urls
from safety_net_service.workdays.formats import country
from safety_net_service.workdays.models import COUNTRY, WorkingDay
from safety_net_service.workdays.service import keep_up, missing_years
from shared.kit import clock
from shared.kit.database import Database
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/working-days"
SANYUESAN: dict[str, Any] = {
    "source": "桂政办电〔2018〕示例号",
    "name": "壮族三月三",
    "year": 2018,
    "rest_days": ["2018-04-18", "2018-04-19", "2018-04-20"],
    "workdays": ["2018-04-15"],
}


@pytest.fixture
async def told(world: World) -> World:
    """The country's days are known, and the test's county is one of its own."""
    await keep_up(world.state.database)
    return world


def county() -> str:
    """A county that no other test enters anything for."""
    return f"45{uuid4().int % 10_000:04d}"


def bureau(world: World, county_code: str) -> Client:
    return world.caller("health_bureau", county_code=county_code)


async def due(caller: Client, start: str, days: int) -> str:
    answer = await caller.get(f"{PATH}/deadline", params={"start": start, "days": days})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["due"])


@pytest.mark.clause("C-20", "C-20b")
async def test_deadlines_over_http_are_the_worked_cases(told: World) -> None:
    hospital = told.caller("hospital")
    ends = [await due(hospital, *term) for term in (("2018-08-03", 7), ("2018-08-14", 3), ("2018-08-17", 5))]
    assert ends == ["2018-08-14", "2018-08-17", "2018-08-24"]
    ends = [await due(hospital, *term) for term in (("2018-09-20", 7), ("2018-09-30", 3), ("2018-10-10", 5))]
    assert ends == ["2018-09-30", "2018-10-10", "2018-10-17"]


async def test_every_day_bears_its_source(told: World) -> None:
    year = (await told.caller("finance").get(f"{PATH}/2018")).json()
    days = {each["day"]: each for each in year["days"]}
    assert (len(days), year["workdays"]) == (365, 250)
    assert all("chinesecalendar 1.11.0" in each["source"] and each["region"] == "全国" for each in days.values())
    assert (days["2018-10-01"]["is_workday"], days["2018-10-01"]["name"]) == (False, "国庆节")
    assert (days["2018-09-29"]["is_workday"], days["2018-09-29"]["name"]) == (True, "国庆节调休上班")
    assert (days["2018-09-15"]["is_workday"], days["2018-09-15"]["name"]) == (False, "周末")


async def test_a_regions_own_days_go_before_the_countrys_and_for_it_alone(told: World) -> None:
    here, there = county(), county()
    office = bureau(told, here)
    assert await due(office, "2018-04-13", 5) == "2018-04-20"
    answer = await office.create(f"{PATH}/arrangements", SANYUESAN)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["county_code"], len(made["days"])) == (here, 4)
    assert (await office.get(answer.headers["Location"])).json() == made
    # Sunday the 15th is worked; 18 to 20 April are not.
    assert await due(office, "2018-04-13", 5) == "2018-04-24"
    assert await due(told.caller("hospital", county_code=here), "2018-04-13", 5) == "2018-04-24"
    assert await due(told.caller("hospital", county_code=there), "2018-04-13", 5) == "2018-04-20"
    problem(await bureau(told, there).get(answer.headers["Location"]), 404, "not_found")
    days = {each["day"]: each for each in (await office.get(f"{PATH}/2018")).json()["days"]}
    assert (days["2018-04-18"]["region"], days["2018-04-18"]["source"]) == (here, SANYUESAN["source"])
    assert await told.audited(made["arrangement_id"]) == ["entered"]


async def test_the_newest_word_counts_and_can_be_taken_back(told: World) -> None:
    office = bureau(told, county())
    assert (await office.create(f"{PATH}/arrangements", SANYUESAN)).status_code == 201
    back = {"source": "更正", "name": "更正", "year": 2018, "as_country": ["2018-04-20", "2018-04-15"]}
    assert (await office.create(f"{PATH}/arrangements", back)).status_code == 201
    assert await due(office, "2018-04-13", 5) == "2018-04-24"
    days = {each["day"]: each for each in (await office.get(f"{PATH}/2018")).json()["days"]}
    assert [days[f"2018-04-{day}"]["is_workday"] for day in (15, 18, 19, 20)] == [False, False, False, True]
    assert [days[f"2018-04-{day}"]["region"] for day in (15, 20)] == ["全国", "全国"]


async def test_an_arrangement_sent_twice_is_entered_once(told: World) -> None:
    office, key = bureau(told, county()), str(uuid4())
    first = await office.create(f"{PATH}/arrangements", SANYUESAN, key=key)
    again = await office.create(f"{PATH}/arrangements", SANYUESAN, key=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await office.create(f"{PATH}/arrangements", {**SANYUESAN, "name": "别的"}, key=key)
    problem(other, 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"rest_days": ["2019-04-07"]}, "day_of_another_year"),
        ({"workdays": ["2018-04-18"]}, "day_twice"),
        ({"rest_days": [], "workdays": []}, "nothing_arranged"),
        ({"year": "2018"}, "field_invalid"),
        ({"source": ""}, "text_too_short"),
        ({"whole_year": True}, "working_year_known"),
    ],
)
async def test_what_contradicts_itself_is_refused(told: World, change: dict[str, Any], code: str) -> None:
    answer = await bureau(told, county()).create(f"{PATH}/arrangements", {**SANYUESAN, **change})
    problem(answer, 409 if code == "working_year_known" else 422, code)


async def test_a_year_without_data_refuses_until_a_county_enters_it_whole(told: World) -> None:
    here = county()
    office = bureau(told, here)
    asked: dict[str, str | int] = {"start": "2040-12-28", "days": 5}
    body = problem(await office.get(f"{PATH}/deadline", params=asked), 409, "working_days_unknown")
    assert body["year"] == 2040
    problem(await office.get(f"{PATH}/2040"), 409, "working_days_unknown")
    own = {"source": "桂政办电〔2040〕示例号", "name": "壮族三月三", "year": 2040, "rest_days": ["2040-04-13"]}
    assert (await office.create(f"{PATH}/arrangements", own)).status_code == 201
    problem(await office.get(f"{PATH}/2040"), 409, "working_days_unknown")
    whole = {
        "source": "国办发明电〔2039〕示例号",
        "name": "国庆节",
        "year": 2040,
        "whole_year": True,
        "rest_days": ["2040-10-01", "2040-10-02"],
        "workdays": ["2040-09-29"],
    }
    assert (await office.create(f"{PATH}/arrangements", whole)).status_code == 201
    days = {each["day"]: each["is_workday"] for each in (await office.get(f"{PATH}/2040")).json()["days"]}
    assert len(days) == 366
    assert [days[f"2040-{day}"] for day in ("04-13", "09-29", "09-30", "10-01")] == [False, True, False, False]
    # The term that ends in the next year is refused still.
    assert problem(await office.get(f"{PATH}/deadline", params=asked), 409, "working_days_unknown")["year"] == 2041
    assert await due(office, "2040-09-28", 2) == "2040-10-03"
    assert 2040 in (await office.get(PATH)).json()["years"]
    assert 2040 not in (await bureau(told, county()).get(PATH)).json()["years"]


def test_the_next_year_is_missed_from_december_on() -> None:
    known = [2025, 2026]
    assert missing_years(known, date(2026, 11, 30)) == []
    assert missing_years(known, date(2026, 12, 1)) == [2027]
    assert missing_years(known, date(2027, 1, 2)) == [2027]
    assert missing_years(known, date(2027, 12, 31)) == [2027, 2028]


async def test_offices_and_the_log_are_warned_of_a_missing_year(
    told: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    december = datetime(2026, 12, 1, 8, tzinfo=clock.CHINA)
    monkeypatch.setattr(clock, "now", lambda: december)
    told_of = (await told.caller("safety_net_office", seconds=10**9).get(PATH)).json()
    assert [(each["code"], each["year"]) for each in told_of["warnings"]] == [("working_year_missing", 2027)]
    capsys.readouterr()
    await keep_up(told.state.database)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["code"]) for line in lines if line["event"] == "working_year_missing"] == [
        ("warning", "2027")
    ]
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 30, 23, 59, tzinfo=clock.CHINA))
    assert (await told.caller("hospital").get(PATH)).json()["warnings"] == []


async def test_keeping_up_again_adds_nothing_and_a_changed_mind_adds_a_word(
    told: World, safety_net_urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def words() -> int:
        async with told.state.database.transaction(SERVICE) as session:
            counted = select(func.count()).select_from(WorkingDay).where(WorkingDay.county_code == COUNTRY)
            return int(await session.scalar(counted) or 0)

    before = await words()
    await keep_up(told.state.database)
    assert await words() == before == len(country.country_days())
    prolonged = {**country.country_days(), date(2026, 10, 8): (False, "国庆节")}
    monkeypatch.setattr(country, "country_days", lambda: prolonged)
    await keep_up(told.state.database)
    assert await words() == before + 1
    assert await due(told.caller("hospital"), "2026-10-07", 1) == "2026-10-09"
    owner = Database(safety_net_urls.owner_url)
    async with owner.transaction(SERVICE) as session:
        await session.execute(delete(WorkingDay).where(WorkingDay.county_code == COUNTRY))
    await owner.close()
