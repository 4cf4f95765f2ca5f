"""treatment-service running in the test process, with three institutions and two residents it has heard of."""

from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from deploy.settings import Urls
from shared.bills.form import EXAMPLE
from shared.events.contract import IdentityDigest, InstitutionChanged, Period, ResidentChanged
from shared.kit.idempotency import kept_key
from shared.kit.scope import SERVICE
from tests.clients import Client, Issuer, client_of
from tests.conftest import Starter
from treatment_service.main import app
from treatment_service.registry.consumers import hear_institution, hear_resident

COUNTY_HOSPITAL = "H45022300001"
TCM_HOSPITAL = "H45022300002"
CITY_HOSPITAL = "H45020000001"
FAR_HOSPITAL = "H44010000009"


def an_institution(code: str, *, county_code: str = "450223", has_client: bool = True) -> InstitutionChanged:
    return InstitutionChanged(
        institution_code=code,
        revision=1,
        name=f"测试医院{code[-1]}",
        kind="county_hospital" if county_code == "450223" else "city_hospital",
        level=2,
        county_code=county_code,
        township_code=None,
        insurance_designated=[Period(first_day=date(2016, 1, 1), last_day=None)],
        has_client=has_client,
    )


def a_resident(state: Any, number: str, *, county_code: str = "450223", revision: int = 1) -> ResidentChanged:
    return ResidentChanged(
        resident_id=uuid4(),
        revision=revision,
        county_code=county_code,
        village_code=f"{county_code}100001",
        household_no="1",
        identities=[IdentityDigest(type="resident_id", digest=state.keyring.digest(number))],
        name_digest=state.keyring.name_digest("测试甲"),
        sealed_name=state.keyring.seal("测试甲"),
        sex="male",
        birth_date=date(1975, 3, 12),
        registered_poor=[],
        insurance=[],
        household_registration=True,
        birth_document=None,
    )


@pytest.fixture(scope="session")
async def urls(starter: Starter) -> Urls:
    return await starter.database("treatment")


@pytest.fixture(scope="session")
async def treatment(starter: Starter, urls: Urls) -> AsyncIterator[FastAPI]:
    async with starter.running(app, "treatment", urls, TREATMENT_RUN_WORKER="false"):
        async with app.state.database.transaction(SERVICE) as session:
            for code in (COUNTY_HOSPITAL, TCM_HOSPITAL):
                await hear_institution(session, an_institution(code))
            await hear_institution(session, an_institution(CITY_HOSPITAL, county_code="450200"))
            await hear_institution(session, an_institution(FAR_HOSPITAL, county_code="440100", has_client=False))
            await hear_resident(session, a_resident(app.state, "450223197503120006"))
        yield app


@pytest.fixture(scope="session")
def hospital(treatment: FastAPI, issuer: Issuer) -> Client:
    return client_of(treatment, issuer.token("hospital", subject="county", institution_code=COUNTY_HOSPITAL))


@pytest.fixture(scope="session")
def other_hospital(treatment: FastAPI, issuer: Issuer) -> Client:
    return client_of(treatment, issuer.token("hospital", subject="tcm", institution_code=TCM_HOSPITAL))


@pytest.fixture(scope="session")
def hrss(treatment: FastAPI, issuer: Issuer) -> Client:
    return client_of(treatment, issuer.token("hrss", subject="hrss"))


def a_bill(**changes: Any) -> dict[str, Any]:
    """The contract's example bill under a number of its own; ``charges__total="1.00"`` reaches inside."""
    bill: dict[str, Any] = {**deepcopy(EXAMPLE), "bill_no": f"T-{uuid4()}"}
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = bill
        for folder in folders:
            place = place[folder]
        place[name] = value
    return bill


def an_id(answer: Any) -> UUID:
    return UUID(answer.json()["discharge_id"])


def as_kept(key: str) -> str:
    """An idempotency key as the running service keeps it."""
    return kept_key(app.state.keyring, key)
