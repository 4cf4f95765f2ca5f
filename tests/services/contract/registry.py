"""Fictitious residents and institutions for the registry's tests, and a look at what was written about them."""

import itertools
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from httpx import Response
from sqlalchemy import select

from contract_service.institutions.endpoints import EXAMPLE as INSTITUTION
from contract_service.residents.endpoints import EXAMPLE as RESIDENT
from shared.kit.database import AuditRow, OutboxRow
from shared.kit.identity_number import check_digit
from shared.kit.scope import SERVICE
from tests.clients import Client

RESIDENTS, INSTITUTIONS = "/contract/v1/residents", "/contract/v1/institutions"
AsRole = Callable[..., Client]

_days = itertools.count()


def a_number(area: str = "450223", birth: date | None = None) -> str:
    """A resident's number nobody else in these tests has; serial 000, which is never issued."""
    birth = birth or date(1930, 1, 1) + timedelta(days=next(_days))
    first17 = f"{area}{birth:%Y%m%d}000"
    return first17 + check_digit(first17)


def a_resident(number: str | None = None, **known: Any) -> dict[str, Any]:
    """A registered poor resident of Luzhai who agrees with his number."""
    number = number or a_number()
    facts = deepcopy(RESIDENT) | {
        "identity": {"type": "resident_id", "number": number},
        "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}",
        "household_no": f"H{uuid4().hex[:20]}",
    }
    return facts | known


def an_institution(code: str | None = None, **known: Any) -> dict[str, Any]:
    """A county hospital of Luzhai."""
    return deepcopy(INSTITUTION) | {"institution_code": code or f"T{uuid4().hex[:11].upper()}"} | known


async def registered(client: Client, **known: Any) -> dict[str, Any]:
    """A resident, registered."""
    answer = await client.create(RESIDENTS, a_resident(**known))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def patched(client: Client, path: str, patch: Any, match: str | None = '"1"') -> Response:
    """A merge patch."""
    headers = {"Content-Type": "application/merge-patch+json"}
    if match is not None:
        headers["If-Match"] = match
    return await client.patch(path, content=json.dumps(patch), headers=headers)


async def said(app: FastAPI, subject: str, key: str, value: str) -> list[dict[str, Any]]:
    """The data of the events said about one thing, in order."""
    async with app.state.database.transaction(SERVICE) as session:
        rows = await session.scalars(select(OutboxRow).where(OutboxRow.subject == subject).order_by(OutboxRow.seq))
        data = [json.loads(row.payload)["data"] for row in rows]
    return [item for item in data if item[key] == value]


async def written_down(app: FastAPI, object_type: str, object_id: str) -> Sequence[AuditRow]:
    """The audit rows about one thing, in order."""
    async with app.state.database.transaction(SERVICE) as session:
        query = select(AuditRow).where(AuditRow.object_type == object_type, AuditRow.object_id == object_id)
        rows: Sequence[AuditRow] = (await session.scalars(query.order_by(AuditRow.seq))).all()
        return rows
