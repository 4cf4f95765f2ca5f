"""The three-part notice that the patient signs at discharge (建档立卡贫困人口住院告知单, 三联单; A3-25(2)).

Its content can be read of every settlement that pays. It is printed where the hospital has advanced the money: each
printing is counted, bears a code by which a sheet is held against the record, and can be signed once.
"""

import asyncio
import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from safety_net_service.bills import service as bills
from safety_net_service.errors import AlreadySigned, CharacterNotPrintable, NotAdvanced, NotSettled
from safety_net_service.notices.formats import sheets
from safety_net_service.notices.models import NoticePrint, NoticeSignature
from safety_net_service.notices.repository import Notices
from safety_net_service.notices.rules import COLUMNS, SHEETS, TITLE, Paper, Step, agrees, as_printed, check_code
from safety_net_service.notices.schemas import (
    CheckedAmount,
    CheckRead,
    NoticeInstitution,
    PrintRead,
    SignatureBody,
    SignatureRead,
)
from safety_net_service.registry import service as registry
from safety_net_service.settlements import service as settlements
from safety_net_service.settlements.models import Settlement
from shared.events.treatment import BillFacts
from shared.kit import clock
from shared.kit.audit import record
from shared.kit.caller import Caller
from shared.kit.problems import FieldError, Invalid, NotFound
from shared.kit.sealing import Keyring
from shared.kit.typeset import GlyphMissing


async def notice(session: AsyncSession, caller: Caller, settlement_id: UUID, keyring: Keyring) -> dict[str, Any]:
    """The notice of a settlement that stands and pays; the patient's name is opened for it, and that is audited."""
    settlement = await settlements.read(session, caller, settlement_id)
    facts = await _facts(session, settlement)
    answer = settlement.answer
    quotes = {step["clause"]: step["quote"] for step in answer["steps"]}
    record(session, caller, "read", "notice", settlement_id)
    return {
        "title": TITLE,
        "settlement_id": settlement_id,
        "discharge_id": settlement.discharge_id,
        "bill_no": facts.bill_no,
        "patient_name": keyring.open(facts.sealed_name),
        "institution": {
            "institution_code": settlement.institution_code,
            "name": await registry.institution_name(session, settlement.institution_code),
        },
        "admission_no": facts.admission_no,
        "admitted_on": facts.admitted_on,
        "discharged_on": facts.discharged_on,
        "total": answer["amounts"]["total"],
        "amounts": [
            {"code": code, "title": title, "amount": answer["amounts"][code], "clause": clause}
            for code, title, clause in COLUMNS
        ],
        "patient_pays": answer["amounts"]["patient_pays"],
        "sheets": [
            {"number": number, "holder": holder, "title": title, "clause": clause}
            for number, holder, title, clause in SHEETS
        ],
        "procedure": settlement.procedure,
        "policy": answer["policy"],
        "clauses": [{"clause": clause, "quote": quote} for clause, quote in quotes.items()],
        "made_at": settlement.made_at,
    }


async def print_notice(
    session: AsyncSession, caller: Caller, settlement_id: UUID, reason: str | None, keyring: Keyring
) -> tuple[NoticePrint, bytes]:
    """Print a notice once more: the record of it, and its three pages. A reprint has its reason.

    A name the font can't print stops it (`CharacterNotPrintable`): nothing is counted, and nobody signs a gap.
    """
    _, settlement = await settlements.locked(session, caller, settlement_id)
    facts = await _facts(session, settlement)
    if settlement.procedure != "hospital_advance":
        raise NotAdvanced
    number = 1 + await Notices(session).last_number(settlement.county_code, settlement_id)
    if number > 1 and reason is None:
        raise Invalid([FieldError("/reason", "reason_missing", "该告知单已打印过，补打须填写事由。")])
    name = await registry.institution_name(session, settlement.institution_code)
    paper = _paper(settlement, facts, name, keyring.open(facts.sealed_name), number, reason if number > 1 else None)
    code = check_code(paper, keyring.sign)
    pages = await _pages(paper, code)
    printing = NoticePrint(
        county_code=settlement.county_code,
        settlement_id=settlement_id,
        number=number,
        check_code=code,
        paper=paper.without_name(),
        sealed_name=keyring.seal(paper.patient_name),
        reason=paper.reason,
        pdf_sha256=hashlib.sha256(pages).hexdigest(),
        printed_by=caller.subject,
        printed_at=paper.printed_at,
    )
    session.add(printing)
    await session.flush()
    record(session, caller, "printed", "notice", settlement_id, {"number": number})
    return printing, pages


async def printed(
    session: AsyncSession, caller: Caller, settlement_id: UUID, number: int, keyring: Keyring
) -> tuple[NoticePrint, bytes]:
    """What was printed under this number, the same pages again: the answer to a request that came twice."""
    printing = await _printing(session, settlement_id, number)
    paper = _kept(printing, keyring)
    record(session, caller, "read", "notice", settlement_id, {"number": number})
    return printing, await _pages(paper, printing.check_code)


async def sign(
    session: AsyncSession, caller: Caller, settlement_id: UUID, number: int, body: SignatureBody, keyring: Keyring
) -> PrintRead:
    """Keep who signed a printing and when, with the hash of the signed sheet's image."""
    _, settlement = await settlements.locked(session, caller, settlement_id)
    printing = await _printing(session, settlement_id, number)
    await _facts(session, settlement)
    known, now = await Notices(session).signatures(settlement.county_code, settlement_id), clock.now()
    if number in known:
        raise AlreadySigned
    if errors := _contradictions(body, printing, now):
        raise Invalid(errors)
    signature = NoticeSignature(
        county_code=settlement.county_code,
        settlement_id=settlement_id,
        number=number,
        signed_by=body.signed_by,
        sealed_signer=keyring.seal(body.signer_name) if body.signer_name is not None else None,
        relation=body.relation,
        signed_at=body.signed_at or now,
        image_sha256=body.image_sha256,
        recorded_by=caller.subject,
        recorded_at=now,
    )
    session.add(signature)
    await session.flush()
    detail = {"number": number, "signed_by": body.signed_by, "image_sha256": body.image_sha256}
    record(session, caller, "signed", "notice", settlement_id, detail)
    return shown(printing, signature, keyring)


async def printing_of(
    session: AsyncSession, caller: Caller, settlement_id: UUID, number: int, keyring: Keyring
) -> PrintRead:
    """One printing with its signature."""
    await settlements.read(session, caller, settlement_id)
    printing = await _printing(session, settlement_id, number)
    signatures = await Notices(session).signatures(printing.county_code, settlement_id)
    return shown(printing, signatures.get(number), keyring)


async def printings_of(session: AsyncSession, caller: Caller, settlement_id: UUID, keyring: Keyring) -> list[PrintRead]:
    """Every printing of a settlement's notice, in order, with the signatures."""
    settlement = await settlements.read(session, caller, settlement_id)
    notices = Notices(session)
    signatures = await notices.signatures(settlement.county_code, settlement_id)
    rows = await notices.printings(settlement.county_code, settlement_id)
    return [shown(row, signatures.get(row.number), keyring) for row in rows]


async def check(session: AsyncSession, caller: Caller, typed: str, keyring: Keyring) -> CheckRead:
    """Hold a sheet against the record by the code on it: what a genuine one says, and whether that still counts."""
    code, notices = as_printed(typed), Notices(session)
    printing = await notices.by_code(code)
    if printing is None:
        raise NotFound
    settlement = await settlements.read(session, caller, printing.settlement_id)
    signatures = await notices.signatures(printing.county_code, printing.settlement_id)
    paper = _kept(printing, keyring)
    record(session, caller, "checked", "notice", printing.settlement_id, {"number": printing.number})
    return CheckRead(
        printing=shown(printing, signatures.get(printing.number), keyring),
        agrees=check_code(paper, keyring.sign) == code and agrees(paper, settlement.answer["amounts"]),
        stands=settlement.state == "settled",
        last_number=await notices.last_number(printing.county_code, printing.settlement_id),
        patient_name=paper.patient_name,
        institution=NoticeInstitution(institution_code=paper.institution_code, name=paper.institution_name),
        bill_no=paper.bill_no,
        admission_no=paper.admission_no,
        admitted_on=paper.admitted_on,
        discharged_on=paper.discharged_on,
        total=paper.total,
        amounts=[CheckedAmount(code=key, title=title, amount=paper.amounts[key]) for key, title, _ in COLUMNS],
        patient_pays=paper.patient_pays,
    )


def shown(printing: NoticePrint, signature: NoticeSignature | None, keyring: Keyring) -> PrintRead:
    """A printing as it is read."""
    return PrintRead(
        settlement_id=printing.settlement_id,
        number=printing.number,
        reprint=printing.number > 1,
        reason=printing.reason,
        check_code=printing.check_code,
        pdf_sha256=printing.pdf_sha256,
        printed_by=printing.printed_by,
        printed_at=printing.printed_at,
        signature=None
        if signature is None
        else SignatureRead(
            signed_by=signature.signed_by,
            signer_name=keyring.open(signature.sealed_signer or printing.sealed_name),
            relation=signature.relation,
            signed_at=signature.signed_at,
            image_sha256=signature.image_sha256,
            recorded_by=signature.recorded_by,
            recorded_at=signature.recorded_at,
        ),
    )


async def _facts(session: AsyncSession, settlement: Settlement) -> BillFacts:
    """The bill behind a settlement that stands and pays; `NotSettled` for any other."""
    facts = await bills.facts_of(session, settlement.discharge_id)
    if settlement.state != "settled" or facts is None or facts.version != settlement.bill_version:
        raise NotSettled
    return facts


async def _printing(session: AsyncSession, settlement_id: UUID, number: int) -> NoticePrint:
    found = await Notices(session).printing(settlement_id, number)
    if found is None:
        raise NotFound
    return found


async def _pages(paper: Paper, code: str) -> bytes:
    try:
        return await asyncio.to_thread(sheets.pdf, paper, code)
    except GlyphMissing as error:
        raise CharacterNotPrintable(characters=error.characters) from None


def _kept(printing: NoticePrint, keyring: Keyring) -> Paper:
    return Paper.of(printing.paper, keyring.open(printing.sealed_name))


def _paper(
    settlement: Settlement, facts: BillFacts, institution: str, patient: str, number: int, reason: str | None
) -> Paper:
    amounts: dict[str, str] = settlement.answer["amounts"]
    return Paper(
        settlement_id=str(settlement.settlement_id),
        number=number,
        reason=reason,
        institution_code=settlement.institution_code,
        institution_name=institution,
        patient_name=patient,
        bill_no=facts.bill_no,
        admission_no=facts.admission_no,
        admitted_on=facts.admitted_on,
        discharged_on=facts.discharged_on,
        total=amounts["total"],
        amounts={code: amounts[code] for code, _, _ in COLUMNS},
        patient_pays=amounts["patient_pays"],
        policy_version=settlement.policy_version or "",
        steps=[Step(step["clause"], step["says"], step["quote"]) for step in settlement.answer["steps"]],
        printed_at=clock.now(),
    )


def _contradictions(body: SignatureBody, printing: NoticePrint, now: datetime) -> list[FieldError]:
    errors = []
    for field in ("signer_name", "relation"):
        given = getattr(body, field) is not None
        if given != (body.signed_by == "proxy"):
            says = "患者本人签字时不填代办人。" if given else "代办人签字须填写其姓名和与患者关系。"
            errors.append(FieldError(f"/{field}", "proxy_named_wrongly", says))
    # The paper shows minutes.
    if body.signed_at is not None and body.signed_at < printing.printed_at.replace(second=0, microsecond=0):
        errors.append(FieldError("/signed_at", "signed_before_printing", "签字时间早于该告知单的打印时间。"))
    if body.signed_at is not None and body.signed_at > now:
        errors.append(FieldError("/signed_at", "moment_in_future", "签字时间不能晚于现在。"))
    return errors
