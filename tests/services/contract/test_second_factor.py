"""The authenticator of staff (RFC 6238): enrolled, checked, each code once, forgotten by an administrator; sessions."""

import base64
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI

from contract_service.accounts.models import User
from contract_service.tokens.rules import totp
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.contract.registry import written_down
from tests.services.contract.staff import NEW_PASSWORD, REVOKE, TOKEN, TOTP, USERS, Hands, Person

Newcomer = Callable[..., Awaitable[Person]]
# RFC 6238, appendix B, for SHA-1; the last six of its eight digits.
VECTORS = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code_at(RFC_SECRET, seconds // 30) == code
    assert totp.matching_step(RFC_SECRET, code, seconds, None) == seconds // 30


def test_a_code_is_good_half_a_minute_around_its_time_and_never_after_a_later_one() -> None:
    step = 1111111111 // 30
    for at, good in ((step - 2, False), (step - 1, True), (step, True), (step + 1, True), (step + 2, False)):
        assert (totp.matching_step(RFC_SECRET, "050471", at * 30, None) is not None) == good
    assert totp.matching_step(RFC_SECRET, "050471", step * 30, step - 1) == step
    assert totp.matching_step(RFC_SECRET, "050471", step * 30, step) is None
    assert totp.matching_step(RFC_SECRET, "050471", step * 30, step + 1) is None


@pytest.mark.parametrize("text", ["", "5", "50471", "０５０４７１", "0504711", " 050471", "05047x"])
def test_other_text_is_no_code(text: str) -> None:
    assert totp.matching_step(RFC_SECRET, text, 1111111111, None) is None


async def test_without_an_authenticator_staff_get_no_token(newcomer: Newcomer) -> None:
    person = await newcomer()
    await person.change_password(NEW_PASSWORD)
    person.password = NEW_PASSWORD
    refused = problem(await person.sign_in(), 403, "totp_enrolment_required")
    assert refused["error"] == "totp_enrolment_required"
    problem(await person.sign_in(totp="000000"), 403, "totp_enrolment_required")
    given = (await person.ask(TOTP, username=person.username, password=person.password)).json()
    assert given["otpauth_uri"].startswith("otpauth://totp/three-batches:")
    assert given["secret"] in given["otpauth_uri"]
    problem(await person.sign_in(), 403, "totp_enrolment_required")
    person.secret = given["secret"]
    assert (await person.sign_in(totp=person.code())).status_code == 200


async def test_once_enrolled_there_is_no_way_in_without_a_code(contract: FastAPI, newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    assert problem(await person.sign_in(), 403, "totp_required")["error"] == "totp_required"
    problem(await person.ask(TOTP, username=person.username, password=person.password), 403, "totp_required")
    given = await person.ask(TOTP, username=person.username, password=person.password, totp=person.code())
    problem(given, 409, "totp_already_enrolled")
    problem(await person.change_password("another-good-word"), 403, "totp_required")
    person.hands.move(30)
    assert (await person.change_password("another-good-word", totp=person.code())).status_code == 200
    async with contract.state.database.transaction(SERVICE) as session:
        kept = await session.get(User, person.username)
    assert person.secret not in kept.sealed_totp


async def test_a_code_is_good_once(newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    code = person.code()
    assert (await person.sign_in(totp=code)).status_code == 200
    problem(await person.sign_in(totp=code), 401, "invalid_grant")
    person.hands.move(30)
    problem(await person.sign_in(totp=code), 401, "invalid_grant")
    assert (await person.sign_in(totp=person.code())).status_code == 200


async def test_wrong_codes_lock_as_wrong_passwords_do_and_look_like_them(contract: FastAPI, newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    wrong = "000000" if person.code() != "000000" else "111111"
    by_code = [problem(await person.sign_in(totp=wrong), 401, "invalid_grant") for _ in range(4)]
    by_password = problem(await person.sign_in("wrong-password", totp=wrong), 401, "invalid_grant")
    assert by_code[0] | {"request_id": ""} == by_password | {"request_id": ""}
    problem(await person.sign_in(totp=person.code()), 429, "sign_in_locked")
    rows = [row for row in await written_down(contract, "account", person.username) if row.action == "sign_in_refused"]
    assert [row.detail["why"] for row in rows] == ["code"] * 4 + ["password"]


async def test_a_right_password_without_a_code_forgives_no_failure(newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    wrong = "000000" if person.code() != "000000" else "111111"
    for _ in range(4):
        problem(await person.sign_in(totp=wrong), 401, "invalid_grant")
    problem(await person.sign_in(), 403, "totp_required")
    problem(await person.sign_in(totp=wrong), 401, "invalid_grant")
    problem(await person.sign_in(totp=person.code()), 429, "sign_in_locked")


async def test_a_lost_telephone_is_the_administrators_business(administrator: Client, newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    refresh = (await person.sign_in(totp=person.code())).json()["refresh_token"]
    reset = (await administrator.post(f"{USERS}/{person.username}/reset")).json()
    assert (reset["must_change_password"], reset["totp_confirmed_at"]) == (True, None)
    problem(await person.sign_in(totp=person.code()), 401, "invalid_grant")
    problem(await person.ask(TOKEN, grant_type="refresh_token", refresh_token=refresh), 400, "invalid_grant")
    person.password = reset["first_password"]
    problem(await person.sign_in(), 403, "password_change_required")
    former = person.secret
    await person.settle_in()
    assert person.secret != former


async def test_signing_out_ends_the_sign_in_and_no_other(contract: FastAPI, newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    here = (await person.sign_in(totp=person.code())).json()["refresh_token"]
    person.hands.move(30)
    there = (await person.sign_in(totp=person.code())).json()["refresh_token"]
    renewed = (await person.ask(TOKEN, grant_type="refresh_token", refresh_token=here)).json()["refresh_token"]
    assert (await person.ask(REVOKE, token=renewed)).json() == {"status": "signed_out"}
    problem(await person.ask(TOKEN, grant_type="refresh_token", refresh_token=renewed), 400, "invalid_grant")
    assert (await person.ask(TOKEN, grant_type="refresh_token", refresh_token=there)).status_code == 200
    assert (await person.ask(REVOKE, token="nobody-knows-it")).json() == {"status": "signed_out"}
    assert "signed_out" in [row.action for row in await written_down(contract, "account", person.username)]


async def test_a_new_password_ends_every_earlier_sign_in(newcomer: Newcomer) -> None:
    person = await (await newcomer()).settle_in()
    refresh = (await person.sign_in(totp=person.code())).json()["refresh_token"]
    person.hands.move(30)
    assert (await person.change_password("another-good-word", totp=person.code())).status_code == 200
    problem(await person.ask(TOKEN, grant_type="refresh_token", refresh_token=refresh), 400, "invalid_grant")


async def test_however_often_it_is_renewed_a_sign_in_lasts_a_working_day(newcomer: Newcomer, hands: Hands) -> None:
    person = await (await newcomer()).settle_in()
    token = (await person.sign_in(totp=person.code())).json()["refresh_token"]
    for _ in range(23):
        hands.move(1800)
        answer = await person.ask(TOKEN, grant_type="refresh_token", refresh_token=token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    hands.move(1801)
    problem(await person.ask(TOKEN, grant_type="refresh_token", refresh_token=token), 400, "invalid_grant")
