"""POST /contract/v1/residents: who is taken into the register, and what is refused."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from contract_service.residents.models import Resident, ResidentIdentity
from shared.kit import clock
from shared.kit.identity_number import check_digit
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.contract.registry import RESIDENTS, AsRole, a_number, a_resident, registered, said, written_down

OPEN = {"from": "2016-01-01", "to": None}
POOR = {"category": "registered_poor"}
RESIDENT_INSURANCE = {"scheme": "resident", "suspended": []}


async def test_a_registration_answers_id_etag_and_no_warning(poverty_office: Client) -> None:
    body = a_resident(phone="13800000000")
    answer = await poverty_office.create(RESIDENTS, body)
    assert answer.status_code == 201, answer.text
    read = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"{RESIDENTS}/{read['resident_id']}"
    assert read["warnings"] == []
    assert body.items() <= read.items()
    assert read["county_code"] == "450223"
    assert read["changed_at"].endswith("+08:00")


async def test_a_registration_is_said_sealed_and_written_down(contract: FastAPI, poverty_office: Client) -> None:
    body = a_resident(name="测试 阿依·古丽")
    resident_id = (await poverty_office.create(RESIDENTS, body)).json()["resident_id"]
    (event,) = await said(contract, "contract.resident_changed.v1", "resident_id", resident_id)
    keyring = contract.state.keyring
    assert event["revision"] == 1
    assert event["identities"] == [{"type": "resident_id", "digest": keyring.digest(body["identity"]["number"])}]
    assert event["name_digest"] == keyring.name_digest("测试阿依古丽")
    assert keyring.open(event["sealed_name"]) == "测试 阿依·古丽"
    assert event["insurance"] == [{"first_day": "2016-01-01", "last_day": None, **RESIDENT_INSURANCE}]
    assert body["identity"]["number"] not in str(event)
    assert "测试" not in str(event)
    (row,) = await written_down(contract, "resident", resident_id)
    assert (row.action, row.caller, row.county_code) == ("registered", "test-poverty_office", "450223")
    assert row.detail == {}


async def test_the_number_is_kept_sealed_with_its_digest_and_end(contract: FastAPI, bureau: Client) -> None:
    number = a_number()
    resident = await registered(bureau, number=number)
    async with contract.state.database.transaction(SERVICE) as session:
        kept = await session.scalar(
            select(ResidentIdentity).where(ResidentIdentity.digest == contract.state.keyring.digest(number))
        )
    assert str(kept.resident_id) == resident["resident_id"]
    assert number not in kept.sealed_number
    assert contract.state.keyring.open(kept.sealed_number) == number
    assert number[-4:] not in kept.sealed_last_four
    assert contract.state.keyring.open(kept.sealed_last_four) == number[-4:]


def with_check(first17: str) -> str:
    return first17 + check_digit(first17)


ON_CARDS = [with_check(f"450223{date(1945, 1, 1) + timedelta(days=n):%Y%m%d}000") for n in range(100)]
LOWER_CASE_X = next(number for number in ON_CARDS if number.endswith("X")).lower()
FULL_WIDTH = "".join(chr(ord(digit) + 0xFEE0) for digit in next(number for number in ON_CARDS if number.isdigit()))

# type, number as typed, number as kept
GOOD = {
    "luzhai_born_before_its_present_code": ("resident_id", a_number(), None),
    "luzhai_former_code": ("resident_id", a_number("452223"), None),
    "lower_case_x": ("resident_id", LOWER_CASE_X, None),
    "full_width": ("resident_id", FULL_WIDTH, None),
    "old_card_of_fifteen_digits": ("resident_id", "450223410303000", None),
    "hong_kong_residence_permit": ("residence_permit_hmt", with_check("81000019410404000"), None),
    "macau_residence_permit": ("residence_permit_hmt", with_check("82000019410404000"), None),
    "taiwan_residence_permit": ("residence_permit_hmt", with_check("83000019410404000"), None),
    "hong_kong_travel_permit": ("travel_permit_hm", "h00000011", "H00000011"),
    "macau_travel_permit_with_issue_count": ("travel_permit_hm", "M0000001101", "M0000001101"),
    "taiwan_travel_permit": ("travel_permit_tw", "00000011", "00000011"),
    "foreign_permanent_resident_2023": ("foreign_permanent_resident", with_check("91184019410505000"), None),
    "foreign_permanent_resident_before": ("foreign_permanent_resident", "usa110000000000", "USA110000000000"),
    "birth_certificate": ("birth_certificate", "z000000011", "Z000000011"),
    "birth_permit_keeps_fifteen_digits": ("birth_permit", "450223201800011", "450223201800011"),
}


def kept_as(typed: str) -> str:
    """What a resident's number is kept as."""
    plain = "".join(str(int(c)) if c.isdigit() else c for c in typed).upper()
    return plain if len(plain) == 18 else with_check(plain[:6] + "19" + plain[6:])


@pytest.mark.parametrize("case", GOOD)
async def test_every_type_of_document_is_taken_and_found_again(case: str, bureau: Client) -> None:
    kind, typed, kept = GOOD[case]
    kept = kept or kept_as(typed)
    answer = await bureau.create(
        RESIDENTS, a_resident(identity={"type": kind, "number": typed}, birth_date="1941-01-01")
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["identity"] == {"type": kind, "number": kept}
    found = await bureau.post(f"{RESIDENTS}/search", json={"identity_number": f" {typed}"})
    assert [item["resident_id"] for item in found.json()["items"]] == [answer.json()["resident_id"]]


def wrong_check(number: str) -> str:
    return number[:17] + ("1" if number[17] != "1" else "2")


BAD_NUMBERS = {
    "check_digit": ("resident_id", wrong_check(a_number()), "identity_check_digit"),
    "day_that_never_was": ("resident_id", with_check("45022320230229000"), "identity_birth_date"),
    "birth_to_come": ("resident_id", with_check("45022320990101000"), "identity_birth_date"),
    "birth_before_1900": ("resident_id", with_check("45022318991231000"), "identity_birth_date"),
    "no_such_province": ("resident_id", with_check("99999919750312000"), "identity_area"),
    "too_short": ("resident_id", "4502231975031200", "identity_malformed"),
    "letters": ("resident_id", "45022319750312ABCD", "identity_malformed"),
    "permit_of_no_such_area": ("residence_permit_hmt", a_number(), "identity_malformed"),
    "travel_permit": ("travel_permit_hm", "A00000001", "identity_malformed"),
    "taiwan": ("travel_permit_tw", "1", "identity_malformed"),
    "foreign": ("foreign_permanent_resident", "123456789", "identity_malformed"),
    "birth_certificate": ("birth_certificate", "12", "identity_malformed"),
    "birth_permit": ("birth_permit", "1", "identity_malformed"),
}


@pytest.mark.parametrize("case", BAD_NUMBERS)
async def test_a_wrong_number_is_refused_and_never_echoed(case: str, bureau: Client) -> None:
    kind, number, code = BAD_NUMBERS[case]
    answer = await bureau.create(
        RESIDENTS, a_resident(identity={"type": kind, "number": number}, birth_date="1975-03-12")
    )
    body = problem(answer, 422, code)
    assert body["errors"][0]["pointer"] == "/identity/number"
    assert len(number) < 4 or number not in answer.text


async def test_odd_numbers_are_taken_with_warnings(bureau: Client) -> None:
    elsewhere = a_resident(a_number("110101"), birth_date="1950-06-01")
    warnings = (await bureau.create(RESIDENTS, elsewhere)).json()["warnings"]
    assert [warning["code"] for warning in warnings] == ["identity_area_elsewhere", "identity_birth_date_differs"]
    assert all(warning["detail"] for warning in warnings)


async def test_the_sex_digit_warns_except_that_of_serial_000(bureau: Client) -> None:
    female = a_resident(sex="female")
    assert (await bureau.create(RESIDENTS, female)).json()["warnings"] == []
    number = with_check("45022319290101001")
    warnings = (await bureau.create(RESIDENTS, a_resident(number, sex="female"))).json()["warnings"]
    assert [warning["code"] for warning in warnings] == ["identity_sex_differs"]


async def test_the_second_registration_of_a_number_in_a_county_is_refused(bureau: Client, as_role: AsRole) -> None:
    number = a_number()
    first = await registered(bureau, number=number)
    again = await bureau.create(RESIDENTS, a_resident(number, name="测试别名"))
    assert problem(again, 409, "resident_already_registered")["resident_id"] == first["resident_id"]
    assert number not in again.text
    other = as_role("health_bureau", county_code="150824")
    answer = await other.create(RESIDENTS, a_resident(number, village_code="150824100001"))
    assert answer.status_code == 201, "another county has a register of its own"


@pytest.mark.parametrize("keys", ["one", "many"])
async def test_fifty_at_once_register_one_resident(keys: str, contract: FastAPI, poverty_office: Client) -> None:
    body = a_resident()
    posts = [poverty_office.create(RESIDENTS, body, key=f"{keys}-{0 if keys == 'one' else n}-x") for n in range(50)]
    answers = await asyncio.gather(*posts)
    fresh = [answer for answer in answers if answer.status_code == 201 and "idempotency-replayed" not in answer.headers]
    assert len(fresh) == 1
    if keys == "one":
        assert {answer.status_code for answer in answers} == {201}
        assert {answer.json()["resident_id"] for answer in answers} == {fresh[0].json()["resident_id"]}
        assert sum(answer.headers.get("idempotency-replayed") == "true" for answer in answers) == 49
    else:
        assert sorted({answer.status_code for answer in answers}) == [201, 409]
    async with contract.state.database.transaction(SERVICE) as session:
        count = await session.scalar(
            select(func.count()).select_from(Resident).where(Resident.household_no == body["household_no"])
        )
    assert count == 1
    assert len(await said(contract, "contract.resident_changed.v1", "resident_id", fresh[0].json()["resident_id"])) == 1


def overlapping(name: str, *periods: dict[str, Any]) -> dict[str, Any]:
    return {name: list(periods)}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "poverty_overlap": (
        overlapping("registered_poor", OPEN | POOR, {"from": "2018-01-01", "to": None, "category": "monitored"}),
        "periods_overlap",
        "/registered_poor",
    ),
    "one_shared_day": (
        overlapping(
            "registered_poor",
            {"from": "2017-12-31", "to": None, **POOR},
            {"from": "2016-01-01", "to": "2017-12-31", **POOR},
        ),
        "periods_overlap",
        "/registered_poor",
    ),
    "insurance_overlap": (
        overlapping("insurance", OPEN | RESIDENT_INSURANCE, OPEN | RESIDENT_INSURANCE | {"scheme": "none"}),
        "periods_overlap",
        "/insurance",
    ),
    "suspensions_overlap": (
        overlapping("insurance", OPEN | {"scheme": "resident", "suspended": [OPEN, OPEN]}),
        "periods_overlap",
        "/insurance/0/suspended",
    ),
    "suspension_outside": (
        overlapping("insurance", OPEN | {"scheme": "resident", "suspended": [{"from": "2015-12-31", "to": None}]}),
        "suspension_outside_period",
        "/insurance/0",
    ),
    "period_backwards": (
        overlapping("registered_poor", {"from": "2018-01-02", "to": "2018-01-01", **POOR}),
        "dates_out_of_order",
        "/registered_poor/0",
    ),
    "category": (overlapping("registered_poor", OPEN | {"category": "poor"}), "value_unknown", ""),
    "scheme": (overlapping("insurance", OPEN | {"scheme": "other"}), "value_unknown", ""),
    "sex": ({"sex": "unknown"}, "value_unknown", "/sex"),
    "type": ({"identity": {"type": "passport", "number": "X1"}}, "value_unknown", "/identity/type"),
    "birth_document": ({"birth_document": "letter"}, "value_unknown", "/birth_document"),
    "village_of_another_county": ({"village_code": "150824100001"}, "village_outside_county", "/village_code"),
    "village_code": ({"village_code": "450223100"}, "format_invalid", "/village_code"),
    "household_no_empty": ({"household_no": ""}, "format_invalid", "/household_no"),
    "household_no_signs": ({"household_no": "户一"}, "format_invalid", "/household_no"),
    "household_no_long": ({"household_no": "1" * 33}, "format_invalid", "/household_no"),
    "name": ({"name": "  "}, "text_too_short", "/name"),
    "date": ({"birth_date": "2018-02-30"}, "date_malformed", "/birth_date"),
    "full_width_date": ({"birth_date": "２０１８-０１-０１"}, "date_malformed", "/birth_date"),
    "born_tomorrow": (
        {"birth_date": (clock.today() + timedelta(days=1)).isoformat()},
        "date_in_future",
        "/birth_date",
    ),
    "born_before_1900": ({"birth_date": "1899-12-31"}, "birth_date_too_early", "/birth_date"),
    "flag": ({"household_registration": "yes"}, "field_invalid", "/household_registration"),
    "unknown_field": ({"surname": "测"}, "unknown_field", "/surname"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_record_that_breaks_a_rule_is_refused_with_its_code(case: str, bureau: Client) -> None:
    known, code, pointer = REFUSED[case]
    body = problem(await bureau.create(RESIDENTS, a_resident() | known), 422, code)
    assert body["errors"][0]["code"] == code
    assert body["errors"][0]["pointer"].startswith(pointer)


@pytest.mark.parametrize("field", ["identity", "name", "registered_poor", "insurance", "household_registration"])
async def test_a_missing_field_is_named(field: str, bureau: Client) -> None:
    body = a_resident()
    del body[field]
    assert problem(await bureau.create(RESIDENTS, body), 422, "field_missing")["errors"][0]["pointer"] == f"/{field}"


async def test_several_faults_are_all_named(bureau: Client) -> None:
    body = a_resident(village_code="150824100001", identity={"type": "resident_id", "number": wrong_check(a_number())})
    codes = [
        error["code"] for error in problem(await bureau.create(RESIDENTS, body), 422, "identity_check_digit")["errors"]
    ]
    assert codes == ["identity_check_digit", "village_outside_county"]


async def test_periods_may_begin_before_birth_and_touch(bureau: Client) -> None:
    periods = [
        {"from": "2000-01-01", "to": "2016-12-31", "category": "registered_poor"},
        {"from": "2017-01-01", "to": "2017-12-31", "category": "out_of_poverty_policy_kept"},
        {"from": "2018-01-01", "to": "2018-01-01", "category": "out_of_poverty"},
        {"from": "2018-01-02", "to": None, "category": "monitored"},
    ]
    insurance = [
        {
            "scheme": "employee",
            "from": "2016-01-01",
            "to": "2018-12-31",
            "suspended": [{"from": "2017-01-01", "to": "2017-01-31"}, {"from": "2018-06-01", "to": None}],
        },
        {"scheme": "none", "from": "2019-01-01", "to": None, "suspended": []},
    ]
    known = {"registered_poor": periods, "insurance": insurance, "birth_document": "birth_permit"}
    resident = await registered(bureau, number=a_number(birth=date(2017, 9, 1)), **known)
    assert {name: resident[name] for name in known} == known


async def test_born_today_may_be_registered(bureau: Client) -> None:
    known = {"identity": {"type": "birth_certificate", "number": "Z000000012"}, "birth_date": clock.today().isoformat()}
    assert (await registered(bureau, **known))["birth_date"] == clock.today().isoformat()


async def test_a_name_may_be_longer_folded_than_written(bureau: Client) -> None:
    resident = await registered(bureau, name="\ufdfa" * 200)
    found = await bureau.get(RESIDENTS, params={"name": "\ufdfa", "household_no": resident["household_no"]})
    assert [item["resident_id"] for item in found.json()["items"]] == [resident["resident_id"]]
