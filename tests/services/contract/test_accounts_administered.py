"""What an administrator does: accounts made, read, locked, unlocked and reset, of his own county and nobody's else."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from contract_service.accounts import rules
from contract_service.accounts.models import Client as ClientRow
from contract_service.accounts.models import User
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.contract.registry import INSTITUTIONS, AsRole, an_institution, said, written_down
from tests.services.contract.staff import CLIENTS, NEW_PASSWORD, TOKEN, USERS, Person, a_user, hired

Newcomer = Callable[..., Awaitable[Person]]


async def an_own_institution(bureau: Client) -> str:
    body = an_institution()
    assert (await bureau.create(INSTITUTIONS, body)).status_code == 201
    return str(body["institution_code"])


async def test_a_new_account_has_a_first_password_shown_once(contract: FastAPI, administrator: Client) -> None:
    body, key = a_user(department="兜底办"), str(uuid4())
    answer = await administrator.create(USERS, body, key=key)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"{USERS}/{body['username']}"
    assert len(made["first_password"]) == 19
    assert (made["county_code"], made["created_by"], made["department"]) == ("450223", "chief", "兜底办")
    assert (made["active"], made["demo"], made["must_change_password"]) == (True, False, True)
    again = await administrator.create(USERS, body, key=key)
    assert (again.status_code, again.json()["first_password"]) == (201, None)
    assert again.headers["idempotency-replayed"] == "true"
    read = (await administrator.get(f"{USERS}/{body['username']}")).json()
    assert "first_password" not in read
    assert "password_hash" not in read
    async with contract.state.database.transaction(SERVICE) as session:
        kept = await session.get(User, body["username"])
    assert kept.password_hash.startswith("$argon2id$")
    rows = await written_down(contract, "account", body["username"])
    assert [(row.action, row.caller) for row in rows] == [("account_made", "chief")]
    assert made["first_password"] not in str(rows[0].detail)


async def test_a_first_password_opens_nothing_but_the_way_to_a_second(newcomer: Newcomer) -> None:
    person = await newcomer()
    refused = problem(await person.sign_in(), 403, "password_change_required")
    assert refused["error"] == "password_change_required"
    problem(
        await person.ask("/oauth/totp", username=person.username, password=person.password),
        403,
        "password_change_required",
    )
    assert (await person.change_password(NEW_PASSWORD)).json() == {"status": "password_changed"}
    problem(await person.sign_in(), 401, "invalid_grant")
    problem(await person.sign_in(NEW_PASSWORD), 403, "totp_enrolment_required")


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("short-1", "password_too_short"),
        ("x" * 200, "password_too_long"),
        ("aaaaaaaaaaaa", "password_common"),
        ("ababababab", "password_common"),
        ("Woaini 1314520", "password_common"),
        ("QWERTYUIOP", "password_common"),
        ("{username}-2018", "password_like_username"),
        ("2018-{backwards}", "password_like_username"),
        ("{password}", "password_unchanged"),
    ],
)
async def test_a_new_password_must_be_a_good_one(newcomer: Newcomer, new: str, code: str) -> None:
    person = await newcomer()
    new = new.format(username=person.username.upper(), backwards=person.username[::-1], password=person.password)
    refused = problem(await person.change_password(new), 422, code)
    assert refused["errors"][0]["pointer"] == "/new_password"
    problem(await person.sign_in(), 403, "password_change_required")


def test_passwords_people_can_remember_are_good_enough() -> None:
    for password in ("correct horse battery", "红河水向东流二零一八", "lamb-wool-9-rivers"):
        assert rules.password_faults(password, "wang.wei", "/x") == []


async def test_a_password_is_changed_only_by_who_knows_it(newcomer: Newcomer) -> None:
    person = await newcomer()
    person.password = "not-the-password"
    problem(await person.change_password(NEW_PASSWORD), 401, "invalid_grant")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"roles": ["king"]}, "value_unknown"),
        ({"roles": []}, "list_too_short"),
        ({"roles": ["hospital"]}, "binding_missing"),
        ({"roles": ["township_government"]}, "binding_missing"),
        ({"roles": ["village_committee"]}, "binding_missing"),
        ({"roles": ["department_head"]}, "binding_missing"),
        ({"roles": ["administrator", "hrss"]}, "role_must_stand_alone"),
        ({"roles": ["auditor", "finance"]}, "role_must_stand_alone"),
        ({"roles": ["township_government"], "township_code": "150824100"}, "township_outside_county"),
        ({"roles": ["hospital"], "institution_code": "NOWHERE"}, "institution_unknown"),
        ({"username": "Wang"}, "format_invalid"),
        ({"username": "a b c"}, "format_invalid"),
        ({"county_code": "150824"}, "unknown_field"),
        ({"first_password": "chosen-by-me"}, "unknown_field"),
    ],
)
async def test_an_account_that_makes_no_sense_is_refused(
    administrator: Client, wanted: dict[str, Any], code: str
) -> None:
    problem(await administrator.create(USERS, a_user(**wanted)), 422, code)


async def test_a_name_is_one_accounts_be_it_a_machines_or_a_persons(administrator: Client, bureau: Client) -> None:
    user = await hired(administrator)
    own = await an_own_institution(bureau)
    problem(await administrator.create(USERS, a_user(username=user["username"])), 409, "account_already_exists")
    for name in (user["username"], "system", "unknown"):
        client = {"client_id": name, "institution_code": own}
        problem(await administrator.create(CLIENTS, client), 409, "account_already_exists")
    problem(await administrator.create(USERS, a_user(username="county_hospital")), 409, "account_already_exists")


async def test_another_countys_administrator_sees_none_of_it(administrator: Client, as_role: AsRole) -> None:
    user = (await hired(administrator))["username"]
    other = as_role("administrator", county_code="150824")
    for method, path in [("GET", ""), ("POST", "/lock"), ("POST", "/unlock"), ("POST", "/reset")]:
        problem(await other.request(method, f"{USERS}/{user}{path}"), 404, "not_found")
    for path in ("", "/keys"):
        problem(await other.get(f"{CLIENTS}/county_hospital{path}"), 404, "not_found")
    for path in ("lock", "unlock", "reset"):
        problem(await other.post(f"{CLIENTS}/county_hospital/{path}"), 404, "not_found")
    assert (await other.get(USERS)).json()["items"] == []
    assert (await other.get(CLIENTS)).json()["items"] == []


async def test_lists_are_paged_newest_first(administrator: Client) -> None:
    names = [(await hired(administrator))["username"] for _ in range(3)]
    first = (await administrator.get(USERS, params={"limit": 2})).json()
    second = (await administrator.get(USERS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    seen = [item["username"] for item in first["items"] + second["items"]]
    assert seen[:3] == names[::-1]
    clients = (await administrator.get(CLIENTS, params={"limit": 200})).json()["items"]
    assert "county_hospital" in {item["client_id"] for item in clients}


async def test_a_locked_account_is_out_at_once_and_comes_back_when_unlocked(
    contract: FastAPI, administrator: Client, newcomer: Newcomer
) -> None:
    person = await (await newcomer()).settle_in()
    refresh = (await person.sign_in(totp=person.code())).json()["refresh_token"]
    assert (await administrator.post(f"{USERS}/{person.username}/lock")).json()["active"] is False
    person.hands.move(30)
    problem(await person.sign_in(totp=person.code()), 401, "invalid_grant")
    problem(await person.ask(TOKEN, grant_type="refresh_token", refresh_token=refresh), 400, "invalid_grant")
    assert (await administrator.post(f"{USERS}/{person.username}/unlock")).json()["active"] is True
    problem(await person.ask(TOKEN, grant_type="refresh_token", refresh_token=refresh), 400, "invalid_grant")
    person.hands.move(30)
    assert (await person.sign_in(totp=person.code())).status_code == 200
    actions = [row.action for row in await written_down(contract, "account", person.username)]
    assert actions[-4:] == ["account_locked", "sign_in_refused", "account_unlocked", "signed_in"]


async def test_nobody_locks_or_resets_himself(as_role: AsRole, administrator: Client) -> None:
    user = (await hired(administrator, roles=["administrator"]))["username"]
    himself = as_role("administrator", subject=user)
    for path in ("lock", "reset"):
        problem(await himself.post(f"{USERS}/{user}/{path}"), 403, "own_account")


async def test_a_demo_account_is_as_it_was_written(
    as_role: AsRole, administrator: Client, accounts: dict[str, Any]
) -> None:
    known = accounts["users"][0]
    problem(await administrator.post(f"{USERS}/{known['username']}/reset"), 409, "account_of_deployment")
    form = {"username": known["username"], "password": known["password"]}
    anyone = as_role()
    problem(
        await anyone.post("/oauth/password", data={**form, "new_password": NEW_PASSWORD}), 403, "demo_account_fixed"
    )
    problem(await anyone.post("/oauth/totp", data=form), 403, "demo_account_fixed")
    assert (await anyone.post(TOKEN, data={"grant_type": "password", **form})).status_code == 200


async def test_a_new_client_gets_a_secret_and_its_institution_is_said_to_have_one(
    contract: FastAPI, administrator: Client, bureau: Client, as_role: AsRole
) -> None:
    own, key = await an_own_institution(bureau), str(uuid4())
    body = {"client_id": f"his.{own.lower()}", "institution_code": own}
    answer = await administrator.create(CLIENTS, body, key=key)
    made = answer.json()
    assert answer.status_code == 201
    assert made["has_secret"] is True
    assert (await administrator.create(CLIENTS, body, key=key)).json()["client_secret"] is None
    form = {"grant_type": "client_credentials", "client_id": made["client_id"], "client_secret": made["client_secret"]}
    anyone = as_role()
    assert (await anyone.post(TOKEN, data=form)).json()["scope"] == "hospital"
    events = await said(contract, "contract.institution_changed.v1", "institution_code", own)
    assert [event["has_client"] for event in events] == [False, True]
    renewed = (await administrator.post(f"{CLIENTS}/{made['client_id']}/reset")).json()["client_secret"]
    problem(await anyone.post(TOKEN, data=form), 401, "invalid_client")
    assert (await anyone.post(TOKEN, data=form | {"client_secret": renewed})).status_code == 200
    await administrator.post(f"{CLIENTS}/{made['client_id']}/lock")
    problem(await anyone.post(TOKEN, data=form | {"client_secret": renewed}), 401, "invalid_client")
    await administrator.post(f"{CLIENTS}/{made['client_id']}/unlock")
    assert (await anyone.post(TOKEN, data=form | {"client_secret": renewed})).status_code == 200
    async with contract.state.database.transaction(SERVICE) as session:
        kept = await session.get(ClientRow, made["client_id"])
    assert renewed not in str(vars(kept))


async def test_a_client_is_of_an_institution_this_county_registered(administrator: Client, as_role: AsRole) -> None:
    other = as_role("health_bureau", county_code="150824")
    theirs = an_institution(county_code="150824")
    assert (await other.create(INSTITUTIONS, theirs)).status_code == 201
    for code in (theirs["institution_code"], "NOWHERE"):
        body = {"client_id": f"c{uuid4().hex[:8]}", "institution_code": code}
        problem(await administrator.create(CLIENTS, body), 422, "institution_unknown")


async def test_no_first_password_reaches_the_log(
    administrator: Client, newcomer: Newcomer, capsys: pytest.CaptureFixture[str]
) -> None:
    person = await newcomer()
    first = person.password
    await person.settle_in()
    renewed = (await administrator.post(f"{USERS}/{person.username}/reset")).json()["first_password"]
    logged = capsys.readouterr().err
    assert logged.count("/oauth/token") >= 1
    for secret in (first, NEW_PASSWORD, person.secret, renewed):
        assert secret not in logged
