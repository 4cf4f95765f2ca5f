"""The policy in force is readable by anyone (A0-01: 主动公开)."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI

from safety_net_service.bills.consumers import Hearing
from safety_net_service.main import POLICIES
from safety_net_service.settlements.rules import load_shelf
from shared.kit.money import yuan
from tests.clients import client_of, problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/policies"


@pytest.mark.clause("A0-01")
async def test_anyone_reads_which_policies_there_are_without_a_token(safety_net: FastAPI) -> None:
    nobody = client_of(safety_net)
    items = (await nobody.get(PATH)).json()["items"]
    luzhai = next(item for item in items if item["county_code"] == "450223")
    assert luzhai == {
        "county_code": "450223",
        "pack": "settlement",
        "version": "luzhai/2018.1",
        "source": "鹿扶领办发〔2018〕37号",
        "first_day": "2018-01-01",
        "last_day": "2018-12-31",
        "href": f"{PATH}/450223/settlement/2018-01-01",
    }
    for parameters, there in (
        ({"county_code": "450223", "on": "2018-12-31"}, True),
        ({"county_code": "450223", "on": "2019-01-01"}, False),
        ({"county_code": "450224"}, False),
    ):
        found = (await nobody.get(PATH, params=parameters)).json()["items"]
        assert ("luzhai/2018.1" in {item["version"] for item in found}) is there
    problem(await nobody.get(PATH, params={"colour": "red"}), 422, "unknown_parameter")


@pytest.mark.clause("A0-01")
async def test_anyone_reads_each_value_with_its_clause_and_its_words(safety_net: FastAPI) -> None:
    nobody = client_of(safety_net)
    for item in (await nobody.get(PATH)).json()["items"]:
        answer = await nobody.get(item["href"])
        assert answer.status_code == 200, answer.text
        pack = answer.json()
        cited = [pack["dates"], pack["eligible"], pack["counted"], *pack["exclusions"], *pack["values"], *pack["steps"]]
        assert all(each["clause"] and pack["clauses"][each["clause"]] == each["quote"] for each in cited)
        assert f"policy: {pack['version']}" in pack["yaml"]
    luzhai = (await nobody.get(f"{PATH}/450223/settlement/2018-01-01")).json()
    assert {"A3-20": "90%"}.items() <= {step["clause"]: step["ratio"] for step in luzhai["steps"]}.items()


@pytest.mark.parametrize(
    "path",
    ["450223/settlement/2018-01-02", "450223/something/2018-01-01", "450224/settlement/2018-01-01"],
)
async def test_a_policy_that_is_not_there_is_not_found(safety_net: FastAPI, path: str) -> None:
    problem(await client_of(safety_net).get(f"{PATH}/{path}"), 404, "no_such_policy")


async def test_a_number_changed_in_a_copy_of_the_pack_changes_settlements_without_code(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = folder / "450223" / "settlement" / "2018-01-01.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('top_up: "90%"', 'top_up: "80%"'), encoding="utf-8")
    world.hearing = Hearing(replace(world.state.law, shelf=load_shelf(folder)))
    assert yuan((await world.settle()).safety_net_fen) == "1200.00"


@pytest.mark.parametrize("day", ["0", "2018-08-01T00:00:00", "20180801"])
async def test_a_day_asked_for_is_a_date_of_law(safety_net: FastAPI, day: str) -> None:
    nobody = client_of(safety_net)
    problem(await nobody.get(PATH, params={"on": day}), 422, "date_malformed")
    problem(await nobody.get(f"{PATH}/450223/settlement/{day}"), 422, "date_malformed")
