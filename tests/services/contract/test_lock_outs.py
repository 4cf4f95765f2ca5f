"""Lock-outs stand in the database: by name and by address, longer each time, the same for names that don't exist."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from contract_service.accounts.models import Failures
from contract_service.accounts.rules import Patience
from contract_service.accounts.service import forget_failures
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.contract.registry import AsRole, written_down
from tests.services.contract.staff import NEW_PASSWORD, TOKEN, USERS, Hands, Person

Newcomer = Callable[..., Awaitable[Person]]


async def fail(person: Person, times: int = 5) -> None:
    for _ in range(times):
        problem(await person.sign_in("wrong-password"), 401, "invalid_grant")


def test_each_lock_is_twice_as_long_up_to_the_longest() -> None:
    patience = Patience(free=5, first_seconds=30, longest_seconds=900)
    assert [patience.seconds(n) for n in (1, 4, 5, 6, 7, 9, 10, 11, 5000)] == [0, 0, 30, 60, 120, 480, 900, 900, 900]


async def test_five_failures_lock_a_name_and_time_opens_it(newcomer: Newcomer, hands: Hands) -> None:
    person = await newcomer()
    await fail(person)
    refused = await person.sign_in()
    problem(refused, 429, "sign_in_locked")
    assert 29 <= int(refused.headers["retry-after"]) <= 31
    problem(await person.change_password(NEW_PASSWORD), 429, "sign_in_locked")
    hands.move(31)
    await fail(person, 1)
    refused = await person.sign_in()
    assert 58 <= int(refused.headers["retry-after"]) <= 61, "twice as long the second time"
    hands.move(61)
    problem(await person.sign_in(), 403, "password_change_required")
    await fail(person, 4)
    problem(await person.sign_in(), 403, "password_change_required")


async def test_from_elsewhere_the_name_is_locked_too(newcomer: Newcomer) -> None:
    person = await newcomer()
    await fail(person)
    person.address = "192.0.2.7"
    problem(await person.sign_in(), 429, "sign_in_locked")


async def test_an_administrator_opens_a_locked_name(newcomer: Newcomer, administrator: Client) -> None:
    person = await newcomer()
    await fail(person)
    await administrator.post(f"{USERS}/{person.username}/unlock")
    problem(await person.sign_in(), 403, "password_change_required")


async def test_old_failures_no_longer_count(contract: FastAPI, newcomer: Newcomer, hands: Hands) -> None:
    person = await newcomer()
    await fail(person, 4)
    hands.move(3601)
    await fail(person, 4)
    problem(await person.sign_in(), 403, "password_change_required")
    await fail(person, 1)
    hands.move(3601)
    await forget_failures(contract.state.database)
    async with contract.state.database.transaction(SERVICE) as session:
        assert (await session.scalars(select(Failures))).all() == []


async def test_a_name_that_does_not_exist_is_treated_alike(contract: FastAPI, newcomer: Newcomer) -> None:
    person = await newcomer()
    nobody = Person(person.anyone, person.hands, f"nobody-{uuid4().hex[:6]}", "x")
    for one in (person, nobody):
        answers = [problem(await one.sign_in("wrong-password"), 401, "invalid_grant") for _ in range(5)]
        locked = await one.sign_in("wrong-password")
        answers.append(problem(locked, 429, "sign_in_locked"))
        assert 29 <= int(locked.headers["retry-after"]) <= 31
        one.answers = [answer | {"request_id": ""} for answer in answers]  # type: ignore[attr-defined]
    assert person.answers == nobody.answers  # type: ignore[attr-defined]
    async with contract.state.database.transaction(SERVICE) as session:
        kept = [row.place for row in await session.scalars(select(Failures))]
    assert not any(nobody.username in place for place in kept), "what was typed may be a password in the wrong field"
    rows = await written_down(contract, "account", "unknown")
    assert rows[-1].address == nobody.address


async def test_refusals_and_locks_are_written_down(contract: FastAPI, newcomer: Newcomer) -> None:
    person = await newcomer()
    await fail(person)
    rows = [row for row in await written_down(contract, "account", person.username) if row.action == "sign_in_refused"]
    assert [row.detail for row in rows] == [{"why": "password", "locked_seconds": 0}] * 4 + [
        {"why": "password", "locked_seconds": 30}
    ]
    assert {(row.address, row.county_code, row.roles) for row in rows} == {(person.address, "450223", "")}


async def test_one_address_that_tries_many_names_is_locked(
    contract: FastAPI, newcomer: Newcomer, as_role: AsRole, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = contract.state.doorkeeper.settings
    monkeypatch.setattr(settings, "address_free_failures", 8)
    person = await newcomer()
    stranger = Person(as_role(), hands, "x", "x")
    stranger.address = "2001:db8:5::1"
    for number in range(8):
        stranger.username = f"guess-{number}-{uuid4().hex[:6]}"
        stranger.address = f"2001:db8:5:0:{number}::1"
        problem(await stranger.sign_in(), 401, "invalid_grant")
    stranger.username, stranger.password = person.username, person.password
    problem(await stranger.sign_in(), 429, "sign_in_locked")
    problem(await person.sign_in(), 403, "password_change_required")


async def test_a_flood_of_guesses_meets_the_lock_it_causes(newcomer: Newcomer) -> None:
    person = await newcomer()
    answers = await asyncio.gather(*(person.sign_in(f"guess-number-{number}") for number in range(40)))
    judged = [answer for answer in answers if answer.status_code == 401]
    assert len(judged) <= 6, "five, and one that was under way beside the fifth"
    assert all(answer.status_code == 429 for answer in answers if answer not in judged)


async def test_many_sign_ins_at_once_with_the_right_password_lock_nobody(
    as_role: AsRole, accounts: dict[str, Any], hands: Hands
) -> None:
    known = accounts["users"][0]
    person = Person(as_role(), hands, known["username"], known["password"])
    answers = await asyncio.gather(*(person.sign_in() for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_stranger_who_knows_its_name_cant_stop_a_hospitals_system(
    as_role: AsRole, accounts: dict[str, Any], administrator: Client
) -> None:
    known = accounts["clients"][0]
    anyone = as_role()

    async def asked(address: str, secret: str) -> Any:
        form = {"grant_type": "client_credentials", "client_id": known["client_id"], "client_secret": secret}
        return await anyone.post(TOKEN, data=form, headers={"X-Forwarded-For": address})

    for _ in range(5):
        problem(await asked("198.51.100.9", "wrong"), 401, "invalid_client")
    problem(await asked("198.51.100.9", known["client_secret"]), 429, "sign_in_locked")
    assert (await asked("198.51.100.10", known["client_secret"])).status_code == 200
    for _ in range(5):
        problem(await asked("198.51.100.11", "wrong"), 401, "invalid_client")
    problem(await asked("198.51.100.11", known["client_secret"]), 429, "sign_in_locked")
    assert (await administrator.post(f"/contract/v1/accounts/clients/{known['client_id']}/unlock")).status_code == 200
    assert (await asked("198.51.100.11", known["client_secret"])).status_code == 200
