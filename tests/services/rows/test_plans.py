"""What row-level security costs: a page is still read by its index, and policies call no function for every row."""

import json
from typing import Any

import asyncpg
import pytest

from shared.kit.scope import SERVICE, SET, Scope
from tests.conftest import Starter

COUNT = 20_000
FILL = {
    "contract": (
        "insert into residents (county_code, resident_id, name, plain_name, sex, birth_date, household_no,"
        " relation_to_head, village_code, registered_poor, insurance, household_registration, severe_mental_disorder,"
        " revision, changed_at) select '450223', gen_random_uuid(), 'x', '甲' || i, 'male', '1980-01-01', 'H' || i / 4,"
        " 'head', '450223' || (100 + i % 9) || '001', '[]', '[]', true, false, 1, now() from generate_series(1, $1) i",
        "insert into audit (county_code, caller, roles, action, object_type, object_id, detail, request_id, address,"
        " xid) select '450223', 'x', '', 'read', 'resident', i::text, '{}', '', '', i from generate_series(1, $1) i",
    ),
    "treatment": (
        "insert into discharges (discharge_id, institution_code, bill_no, version, state, county_code,"
        " recorded_county_code, recorded_by_window, admission_no, admitted_on, discharged_on, total_fen)"
        " select gen_random_uuid(), 'H' || i % 20, i::text, 1, 'settled', '450223', '450223', false, 'A' || i,"
        " '2018-08-01', '2018-08-11', 1 from generate_series(1, $1) i",
        "insert into bill_versions (institution_code, bill_no, version, discharge_id, kind, content, sealed_name,"
        " recorded_by) select institution_code, bill_no, 1, discharge_id, 'bill', '{}', 'x', 'x' from discharges"
        " where seq <= $1",
    ),
    "safety_net": (
        "insert into bills (discharge_id, version, voided, settlement_revision)"
        " select gen_random_uuid(), 1, false, 1 from generate_series(1, $1)",
        "insert into settlements (county_code, settlement_id, discharge_id, bill_version, state, decision, reasons,"
        " policy_pack, packs, township_code, institution_code, admitted_on, discharged_on, total_fen, base_fen,"
        " basic_insurance_fen, critical_illness_fen, supplementary_insurance_fen, medical_assistance_fen,"
        " government_topup_fen, other_fen, reimbursed_fen, safety_net_fen, hospital_share_fen, personal_fen,"
        " patient_pays_fen, inputs, answer) select '450223', gen_random_uuid(), discharge_id, 1, 'settled', 'pass',"
        " '[]', 'settlement', '[]', '450223' || (100 + i % 9), 'H' || i % 20, '2018-08-01', '2018-08-11', 0, 0, 0, 0,"
        " 0, 0, 0, 0, 0, 0, 0, 0, 0, '{}', '{}' from (select discharge_id, row_number() over () i from bills) b"
        " where i <= $1",
    ),
}
OFFICE = Scope(county="450223", subject="x")
HOSPITAL = Scope(institution="H7", subject="x")
TOWNSHIP = Scope(township="450223103", subject="x")
PAGE = "order by seq desc limit 51"
# What the routes ask, with the handlers' own filters.
ASKED: list[tuple[str, str, Scope, str]] = [
    ("contract", "residents", OFFICE, f"county_code = '450223' {PAGE}"),
    ("contract", "residents", OFFICE, f"county_code = '450223' and plain_name ^@ '甲1234' {PAGE}"),
    ("contract", "residents", OFFICE, f"county_code = '450223' and household_no = 'H77' {PAGE}"),
    ("contract", "residents", TOWNSHIP, f"county_code = '450223' and village_code ^@ '450223103' {PAGE}"),
    ("contract", "residents", HOSPITAL, f"county_code = '450223' and village_code ^@ '450223103' {PAGE}"),
    ("contract", "audit", OFFICE, f"county_code in ('450223', '') {PAGE}"),
    ("contract", "audit", SERVICE, "(xid, seq) > (19900, 1) and seq > 0 and xid < 99999 order by xid, seq limit 1000"),
    ("treatment", "discharges", OFFICE, f"(county_code = '450223' or recorded_county_code = '450223') {PAGE}"),
    ("treatment", "discharges", HOSPITAL, f"institution_code = 'H7' {PAGE}"),
    ("treatment", "bill_versions", HOSPITAL, "institution_code = 'H7' and (bill_no, version) in (('7', 1), ('8', 1))"),
    ("safety_net", "settlements", OFFICE, f"county_code = '450223' {PAGE}"),
    ("safety_net", "settlements", HOSPITAL, f"institution_code = 'H7' {PAGE}"),
    ("safety_net", "settlements", TOWNSHIP, f"county_code = '450223' and township_code = '450223103' {PAGE}"),
]  # fmt: skip


@pytest.fixture(scope="module")
async def large(starter: Starter) -> dict[str, str]:
    """The address of a large database of each service, as its own role."""
    found = {}
    for service, statements in FILL.items():
        urls = await starter.database(service)
        owner = await asyncpg.connect(urls.owner_url)
        for statement in statements:
            await owner.execute(statement, COUNT)
        await owner.execute("analyze")
        await owner.close()
        found[service] = urls.service_url
    return found


def scans(plan: dict[str, Any]) -> list[str]:
    """The tables a plan reads from one end to the other."""
    mine = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" and plan["Actual Loops"] else []
    return mine + [table for part in plan.get("Plans", []) for table in scans(part)]


@pytest.mark.parametrize(("service", "table", "scope", "asked"), ASKED)
async def test_a_page_is_read_by_its_index(
    large: dict[str, str], service: str, table: str, scope: Scope, asked: str
) -> None:
    connection = await asyncpg.connect(large[service])
    await connection.set_type_codec("json", schema="pg_catalog", encoder=str, decoder=json.loads)
    async with connection.transaction():
        await connection.execute(SET, *scope.values)
        (answer,) = await connection.fetchval(f"explain (analyze, format json) select * from {table} where {asked}")
    await connection.close()
    assert table not in scans(answer["Plan"]), answer["Plan"]
