"""A batch of bills: NDJSON, one bill a line, each answered on a line of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bills.form import DischargeBill
from shared.kit.caller import Caller
from shared.kit.problems import Invalid, Problem, field_errors
from shared.kit.strict_json import BODY_LIMIT, BodyTooLarge, parse
from treatment_service.discharges.schemas import DischargeAnswer
from treatment_service.discharges.service import BREATH, answers
from treatment_service.errors import NotYourInstitution, TooManyLines
from treatment_service.intake.formats import bill as bills
from treatment_service.intake.service import Answer, Line, Outcome

MOST_LINES = 5000
READ_AT_ONCE = 500

_encoder = msgspec.json.Encoder()


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


async def read(raw: bytes, caller: Caller) -> list[Line]:
    """The bills on the lines, or why there is none, without keeping others waiting."""
    raw = raw.removesuffix(b"\n")
    if raw.count(b"\n") >= MOST_LINES:
        raise TooManyLines
    found: list[Line] = []
    for number, line in enumerate(raw.split(b"\n") if raw.strip() else [], 1):
        quick = bills.read(line) if len(line) <= BODY_LIMIT else None
        own = quick is not None and quick.bill.institution_code == caller.institution_code
        found.append(quick if own and quick is not None else _bill(line, caller))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return found


async def kept(outcomes: Sequence[Outcome]) -> tuple[list[dict[str, Any]], dict[str, Answer]]:
    """What is remembered of each line, status and bill or problem; and the bills whose answer is known already."""
    lines: list[dict[str, Any]] = []
    known = {}
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Problem):
            lines.append({"status": outcome.status, "problem": outcome.body()})
        else:
            discharge_id, fresh = str(outcome.discharge_id), isinstance(outcome, Answer) or outcome.fresh
            lines.append({"status": 201 if fresh else 200, "discharge_id": discharge_id})
            if isinstance(outcome, Answer):
                known[discharge_id] = outcome
        if number % READ_AT_ONCE == 0:
            await asyncio.sleep(0)
    return lines, known


async def answer(
    session: AsyncSession, caller: Caller, lines: Sequence[dict[str, Any]], known: Mapping[str, Answer]
) -> bytes:
    """The answer's lines: each bill as it stands now. ``known`` are those that were recorded a moment ago."""
    said = []
    for start in range(0, len(lines), READ_AT_ONCE):
        portion = lines[start : start + READ_AT_ONCE]
        ids = [line["discharge_id"] for line in portion if "discharge_id" in line and line["discharge_id"] not in known]
        stand = await answers(session, caller, [UUID(one) for one in ids]) if ids else {}
        for number, line in enumerate(portion, start + 1):
            first = {"line": number, "status": line["status"]}
            if "problem" in line:
                more = {name: value for name, value in line["problem"].items() if name != "status"}
            elif line["discharge_id"] in known:
                more = msgspec.structs.asdict(known[line["discharge_id"]])
            else:
                more = DischargeAnswer.model_validate(stand[UUID(line["discharge_id"])]).model_dump(mode="json")
            said.append(_encoder.encode(first | more))
            if number % BREATH == 0:
                await asyncio.sleep(0)
    return b"".join(one + b"\n" for one in said)
