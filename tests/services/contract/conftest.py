"""contract-service running in the test process, with one township centre registered and accounts brought along."""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI

from contract_service.main import app
from deploy.settings import Urls
from shared.kit import clock
from tests.clients import Client, Issuer, client_of
from tests.conftest import Starter
from tests.services.contract.registry import INSTITUTIONS, AsRole, an_institution
from tests.services.contract.staff import Hands, Person, hired

CENTRE = "H45022300100"
TOWNSHIP = "450223100"


@pytest.fixture(scope="session")
def accounts() -> dict[str, Any]:
    """The accounts the deployment brings along."""
    return {
        "clients": [
            {
                "client_id": "county_hospital",
                "client_secret": secrets.token_urlsafe(32),
                "institution_code": "H45022300001",
                "county_code": "450223",
                "roles": ["hospital"],
            }
        ],
        "users": [
            {
                "username": "township_centre",
                "password": secrets.token_urlsafe(18),
                "roles": ["township_centre"],
                "county_code": "450223",
                "institution_code": CENTRE,
                "township_code": TOWNSHIP,
                "name": "测试卫生院人员",
                "demo": True,
            }
        ],
    }


@pytest.fixture(scope="session")
async def contract_urls(starter: Starter) -> Urls:
    """The service's database."""
    return await starter.database("contract")


@pytest.fixture(scope="session")
async def contract(
    starter: Starter, issuer: Issuer, contract_urls: Urls, accounts: dict[str, Any]
) -> AsyncIterator[FastAPI]:
    """The service; it signs with the key that the test's issuer publishes."""
    pem = issuer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    more = {
        "CONTRACT_SIGNING_KEYS": json.dumps({"current": "test", "keys": {"test": pem}}),
        "CONTRACT_BOOTSTRAP_ACCOUNTS": json.dumps(accounts),
        # Fewer than outside, so that a test of lock-outs need not fail so often.
        "CONTRACT_ACCOUNT_FREE_FAILURES": "5",
        "CONTRACT_CLIENT_FREE_FAILURES": "5",
    }
    async with starter.running(app, "contract", contract_urls, **more) as running:
        async with client_of(running, issuer.token("health_bureau")) as bureau:
            centre = an_institution(CENTRE, kind="township_centre", township_code=TOWNSHIP)
            assert (await bureau.create(INSTITUTIONS, centre)).status_code == 201
        yield running


@pytest.fixture(scope="session")
def as_role(contract: FastAPI, issuer: Issuer) -> AsRole:
    """``as_role("hospital", institution_code=…)``: a client of the service that speaks as one."""

    def client(*roles: str, **claims: Any) -> Client:
        return client_of(contract, issuer.token(*roles, **claims) if roles else None)

    return client


@pytest.fixture(scope="session")
def bureau(as_role: AsRole) -> Client:
    """The county's health bureau."""
    return as_role("health_bureau")


@pytest.fixture(scope="session")
def poverty_office(as_role: AsRole) -> Client:
    """The county's poverty office."""
    return as_role("poverty_office")


@pytest.fixture(scope="session")
def administrator(as_role: AsRole) -> Client:
    """The county's administrator."""
    return as_role("administrator", subject="chief")


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The service's clock, to be moved instead of waiting."""
    hands = Hands()
    monkeypatch.setattr(clock, "now", hands.now)
    return hands


@pytest.fixture
def newcomer(administrator: Client, as_role: AsRole, hands: Hands) -> Callable[..., Awaitable[Person]]:
    """``await newcomer(roles=[…])``: a member of staff on his first day, his first password in his hand."""

    async def hire(**known: Any) -> Person:
        made = await hired(administrator, **known)
        return Person(as_role(), hands, made["username"], made["first_password"])

    return hire
