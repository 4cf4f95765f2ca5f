"""The accounts a deployment brings along: kept up to date at each start, cheaply, and told to the registry."""

import json
import secrets
from copy import deepcopy
from typing import Any

import pytest
from fastapi import FastAPI

from contract_service.accounts import rules
from contract_service.accounts.models import Client as ClientRow
from contract_service.accounts.models import User
from contract_service.main import _at_start
from shared.kit.scope import SERVICE
from tests.clients import Client
from tests.services.contract.registry import INSTITUTIONS, AsRole, an_institution, said, written_down

TOKEN = "/oauth/token"


async def started_again(contract: FastAPI, accounts: dict[str, Any]) -> None:
    """What a start does with these accounts."""
    before = contract.state.settings
    contract.state.settings = before.model_copy(update={"bootstrap_accounts": json.dumps(accounts)})
    try:
        await _at_start(contract)
    finally:
        contract.state.settings = before


async def test_a_second_start_hashes_nothing_anew(
    contract: FastAPI, accounts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kept() -> tuple[str, str]:
        async with contract.state.database.transaction(SERVICE) as session:
            user = await session.get(User, "township_centre")
            client = await session.get(ClientRow, "county_hospital")
            return user.password_hash, client.secret_digest

    before = await kept()
    monkeypatch.setattr(rules, "HASHER", None)
    await started_again(contract, accounts)
    assert await kept() == before
    assert before[0].startswith("$argon2id$")
    assert accounts["users"][0]["password"] not in str(before)


async def test_changed_accounts_are_kept_as_they_read_now(
    contract: FastAPI, accounts: dict[str, Any], as_role: AsRole
) -> None:
    changed = deepcopy(accounts)
    changed["users"].append({**changed["users"][0], "username": "moved", "roles": ["hrss"]})
    await started_again(contract, changed)
    former = changed["users"][1]["password"]
    changed["users"][1] |= {"password": secrets.token_urlsafe(18), "roles": ["civil_affairs"]}
    await started_again(contract, changed)
    form = {"grant_type": "password", "username": "moved"}
    anyone = as_role()
    assert (await anyone.post(TOKEN, data=form | {"password": former})).status_code == 401
    answer = await anyone.post(TOKEN, data=form | {"password": changed["users"][1]["password"]})
    assert answer.json()["scope"] == "civil_affairs"


async def test_a_client_that_comes_after_its_institution_is_said(
    contract: FastAPI, accounts: dict[str, Any], bureau: Client
) -> None:
    body = an_institution()
    code = body["institution_code"]
    assert (await bureau.create(INSTITUTIONS, body)).json()["has_client"] is False
    late = deepcopy(accounts)
    client_id = f"client-of-{code}"
    late["clients"].append({**late["clients"][0], "client_id": client_id, "institution_code": code})
    for _ in range(2):
        await started_again(contract, late)
    events = await said(contract, "contract.institution_changed.v1", "institution_code", code)
    assert [(event["revision"], event["has_client"]) for event in events] == [(1, False), (2, True)]
    assert (await bureau.get(f"{INSTITUTIONS}/{code}")).headers["etag"] == '"2"'
    (latest, _) = (await bureau.get(f"{INSTITUTIONS}/{code}/history")).json()["items"]
    assert latest["changed_by"] == "system"
    assert (await written_down(contract, "institution", code))[-1].action == "client_appeared"


async def test_an_institution_that_comes_after_its_client_has_one(contract: FastAPI, bureau: Client) -> None:
    body = an_institution("H45022300001")
    assert (await bureau.create(INSTITUTIONS, body)).json()["has_client"] is True
    (event,) = await said(contract, "contract.institution_changed.v1", "institution_code", "H45022300001")
    assert event["has_client"] is True


@pytest.mark.parametrize(
    "broken",
    [
        {"users": [{"username": "x", "password": "short", "roles": ["hrss"], "county_code": "450223"}]},
        {"users": [{"username": "x", "password": "long-secret", "roles": ["boss"], "county_code": "450223"}]},
        {"clients": [{"client_id": "x", "client_secret": "short", "roles": ["hospital"], "county_code": "450223"}]},
    ],
)
async def test_accounts_that_cant_be_read_stop_the_start_without_naming_a_secret(
    contract: FastAPI, broken: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"can't be read: (users|clients)\.0") as refused:
        await started_again(contract, broken)
    assert "short" not in str(refused.value)
    assert "long-secret" not in str(refused.value)
