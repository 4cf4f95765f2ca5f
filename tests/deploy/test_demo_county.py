"""The demo county as data: valid, invented, and with a resident for each exclusion."""

import itertools
import json
from collections import Counter
from datetime import date

from deploy.demo.accounts import CLIENTS, USERS
from deploy.demo.bills import BILLS, NOT_REGISTERED
from deploy.demo.county import COUNTY, INSTITUTIONS, TOWNSHIPS
from deploy.demo.load import AMOUNTS, deciding_clause, settlement_table
from deploy.demo.people import CAST, Person, residents
from shared.kit import identity_number
from shared.kit.caller import ROLES
from shared.kit.money import fen

PEOPLE = residents()


def test_there_are_enough_residents_and_nobody_real() -> None:
    assert len(PEOPLE) >= 300
    assert all(person.name.startswith("测试") for person in PEOPLE)
    numbers = Counter(person.number for person in PEOPLE)
    assert max(numbers.values()) == 1
    for person in PEOPLE:
        assert identity_number.checked(person.identity_type, person.number, date(2018, 12, 31)) == person.number
        if person.identity_type in ("resident_id", "residence_permit_hmt"):
            assert person.number[14:17] == "000"
            assert identity_number.birth_date(person.number) == person.born


def test_every_demo_county_is_the_same() -> None:
    assert [person.body() for person in residents()] == [person.body() for person in PEOPLE]


def test_people_live_in_households_of_the_nine_townships() -> None:
    assert len(TOWNSHIPS) == 9
    assert {person.village[:9] for person in PEOPLE} == {township.code for township in TOWNSHIPS}
    assert {len(person.village) for person in PEOPLE} == {12}
    households: dict[str, list[Person]] = {}
    for person in PEOPLE:
        households.setdefault(person.household, []).append(person)
    for members in households.values():
        assert [person.relation for person in members].count("head") == 1
        assert len({person.village for person in members}) == 1
    assert max(len(members) for members in households.values()) > 3


def test_periods_of_one_list_do_not_overlap() -> None:
    for periods in [periods for person in PEOPLE for periods in (person.poverty, person.insurance)]:
        ends = [(each["from"], each["to"] or "9999-12-31") for each in periods]
        assert all(first <= last for first, last in ends)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))


def test_histories_of_every_kind_are_there() -> None:
    categories = {period["category"] for person in PEOPLE for period in person.poverty}
    assert categories == {"registered_poor", "out_of_poverty_policy_kept", "out_of_poverty", "monitored"}
    assert any(not person.poverty for person in PEOPLE)
    schemes = {period["scheme"] for person in PEOPLE for period in person.insurance}
    assert schemes == {"resident", "employee", "none"}
    assert any(period["suspended"] for person in PEOPLE for period in person.insurance)
    assert {person.identity_type for person in PEOPLE} == set(identity_number.TYPES)
    assert {person.birth_document for person in PEOPLE} == {None, "birth_certificate", "birth_permit"}
    assert {person.registered for person in PEOPLE} == {True, False}


def test_the_institutions_are_those_of_the_county_and_those_around_it() -> None:
    kinds = Counter(institution["kind"] for institution in INSTITUTIONS.values())
    assert kinds["township_centre"] == 9
    assert kinds["county_hospital"] == kinds["county_tcm_hospital"] == 1
    assert kinds["city_hospital"] == kinds["regional_hospital"] == 1
    assert [i["name"] for i in INSTITUTIONS.values() if not i["insurance_designated"]] == ["鹿寨县演示民营医院"]
    codes = [institution["institution_code"] for institution in INSTITUTIONS.values()]
    assert len(set(codes)) == len(codes) == 14
    assert all(len(code) == 12 for code in codes)


def test_there_is_an_account_for_each_institution_and_each_role() -> None:
    assert list(CLIENTS) == list(INSTITUTIONS)
    assert {role for user in USERS.values() for role in user["roles"]} == set(ROLES)
    assert sum(user["roles"] == ["safety_net_office"] for user in USERS.values()) == 2
    assert all(user["county_code"] == COUNTY for user in USERS.values())


def test_the_bills_cover_the_worked_cases() -> None:
    cases = [bill.case for bill in BILLS]
    assert len(set(cases)) == len(cases)
    assert {f"C-{number:02d}" for number in range(1, 18)} <= set(cases)
    for bill in BILLS:
        body = bill.body()
        json.dumps(body)
        charges = {name: fen(amount) for name, amount in body["charges"].items()}
        assert charges["catalogue_drugs"] <= charges["drugs"] <= charges["total"]
        assert max(charges["in_scope"], charges["non_medical"]) <= charges["total"]
        assert sum(fen(amount) for amount in body["reimbursements"].values()) <= charges["total"]
        assert body["stay"]["admitted_on"] <= body["stay"]["discharged_on"]
        assert bill.patient in CAST or bill.case in (*NOT_REGISTERED, "X-12")


def test_the_table_names_the_deciding_clause() -> None:
    passed = {
        "amounts": dict.fromkeys(AMOUNTS, "0.00") | {"total": "20000.00", "safety_net": "3200.00"},
        "decision": "pass",
        "reasons": [],
        "procedure": "hospital_advance",
        "steps": [{"step": "target", "clause": "A3-20"}, {"step": "safety_net", "clause": "A3-23"}],
    }
    reason = {"code": "excluded_cause", "clause": "A3-07"}
    rejected = {**passed, "decision": "reject", "reasons": [reason], "procedure": None}
    assert deciding_clause(passed) == "A3-23"
    assert deciding_clause(rejected) == "A3-07"
    lines = settlement_table({"C-01": passed, "C-16": rejected}).splitlines()
    assert "hospital_advance" in lines[2]
    assert "3200.00" in lines[2]
    assert "excluded_cause" in next(line for line in lines if line.startswith("C-16"))
    assert "waiting" in next(line for line in lines if line.startswith("C-02"))
