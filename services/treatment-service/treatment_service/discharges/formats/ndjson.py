"""A batch of bills: NDJSON, one bill a line, each answered on a line of its own."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.kit.caller import Caller
from shared.kit.problems import Invalid, Problem, field_errors
from shared.kit.sealing import Keyring
from shared.kit.strict_json import BODY_LIMIT, BodyTooLarge, parse
from treatment_service.discharges import service
from treatment_service.discharges.schemas import DischargeAnswer, DischargeBill
from treatment_service.errors import NotYourInstitution, TooManyLines

MOST_LINES = 5000


def _bill(line: bytes, caller: Caller) -> DischargeBill | Problem:
    """The bill on a line, or why there is none."""
    try:
        if len(line) > BODY_LIMIT:
            raise BodyTooLarge
        sent = parse(line)
        code = sent.get("institution_code") if isinstance(sent, dict) else None
        if caller.has("hospital") and isinstance(code, str) and code != caller.institution_code:
            raise NotYourInstitution
        return DischargeBill.model_validate(sent)
    except ValidationError as error:
        return Invalid(field_errors(error.errors()))
    except Problem as problem:
        return problem


async def read(raw: bytes, caller: Caller) -> list[DischargeBill | Problem]:
    """The bills on the lines, or why there is none, without keeping others waiting."""
    raw = raw.removesuffix(b"\n")
    if raw.count(b"\n") >= MOST_LINES:
        raise TooManyLines
    found = []
    for number, line in enumerate(raw.split(b"\n") if raw.strip() else [], 1):
        found.append(_bill(line, caller))
        if number % service.BREATH == 0:
            await asyncio.sleep(0)
    return found


async def record(
    session: AsyncSession, caller: Caller, keyring: Keyring, read: list[DischargeBill | Problem]
) -> list[dict[str, Any]]:
    """Record every line; for each, in order, its status and bill or problem. All of it commits together."""
    bills = [bill for bill in read if isinstance(bill, DischargeBill)]
    recorded = iter(await service.record_bills(session, caller, keyring, bills))
    outcomes: list[dict[str, Any]] = []
    for bill in read:
        outcome = next(recorded) if isinstance(bill, DischargeBill) else bill
        if isinstance(outcome, Problem):
            outcomes.append({"status": outcome.status, "problem": outcome.body()})
        else:
            outcomes.append({"status": 201 if outcome.fresh else 200, "discharge_id": str(outcome.discharge_id)})
    return outcomes


async def answer(session: AsyncSession, caller: Caller, outcomes: list[dict[str, Any]]) -> bytes:
    """The answer's lines: each bill as it stands now."""
    ids = [UUID(outcome["discharge_id"]) for outcome in outcomes if "discharge_id" in outcome]
    bills = await service.answers(session, caller, ids)
    said = []
    for number, outcome in enumerate(outcomes, 1):
        line: dict[str, Any] = {"line": number, "status": outcome["status"]}
        if "problem" in outcome:
            line |= {name: value for name, value in outcome["problem"].items() if name != "status"}
        else:
            bill = DischargeAnswer.model_validate(bills[UUID(outcome["discharge_id"])])
            line |= bill.model_dump(mode="json")
        said.append(msgspec.json.encode(line))
    return b"".join(one + b"\n" for one in said)
