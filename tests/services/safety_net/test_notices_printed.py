"""The printed three-part notice: counted, checked by its code, signed, and never with a gap."""

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import httpx
import pypdfium2
import pytest
from sqlalchemy import update

from deploy.settings import Urls
from safety_net_service.notices.models import NoticePrint
from safety_net_service.settlements.models import Settlement
from shared.kit import clock
from shared.kit.database import Database
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.safety_net.world import World

PATH = "/safety-net/v1/notices"
PATIENT: dict[str, Any] = {"signed_by": "patient", "image_sha256": "ab" * 32}
PROXY: dict[str, Any] = {**PATIENT, "signed_by": "proxy", "signer_name": "测试乙", "relation": "child"}


def prints(settlement: Settlement) -> str:
    return f"{PATH}/{settlement.settlement_id}/prints"


async def printed(caller: Client, settlement: Settlement, reason: str | None = None, **more: str) -> httpx.Response:
    answer = await caller.create(prints(settlement), {"reason": reason}, **more)
    assert answer.status_code == 201, answer.text
    return answer


async def record_of(caller: Client, answer: httpx.Response) -> dict[str, Any]:
    read = await caller.get(answer.headers["Location"])
    assert read.status_code == 200, read.text
    found: dict[str, Any] = read.json()
    return found


@pytest.mark.clause("A3-25", "R-32")
async def test_a_printing_is_three_pages_and_a_record(world: World) -> None:
    settlement, hospital = await world.settle(supplementary_insurance="200.00"), world.caller("hospital")
    answer = await printed(hospital, settlement)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"
    document = pypdfium2.PdfDocument(answer.content)
    texts = ["".join(page.get_textpage().get_text_bounded().split()) for page in document]
    document.close()
    assert len(texts) == 3
    record = await record_of(hospital, answer)
    for text in texts:
        for said in ("测试甲", "商业补充保险200.00", "医疗兜底保障3000.00", "个人自付2000.00", record["check_code"]):
            assert said in text
    assert (record["number"], record["reprint"], record["reason"], record["signature"]) == (1, False, None, None)
    assert record["pdf_sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert await world.audited(settlement.settlement_id) == ["settled", "printed", "read"]


async def test_the_same_key_prints_the_same_and_another_is_a_reprint_with_a_reason(world: World) -> None:
    settlement, hospital, key = await world.settle(), world.caller("hospital"), str(uuid4())
    first = await printed(hospital, settlement, key=key)
    again = await printed(hospital, settlement, key=key)
    assert (again.content, again.headers["Location"]) == (first.content, first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true"
    problem(await hospital.create(prints(settlement), {"reason": None}), 422, "reason_missing")
    second = await printed(hospital, settlement, "患者联遗失")
    assert second.content != first.content
    record = await record_of(hospital, second)
    assert (record["number"], record["reprint"], record["reason"]) == (2, True, "患者联遗失")
    items = (await hospital.get(prints(settlement))).json()["items"]
    assert [each["number"] for each in items] == [1, 2]
    assert items[0]["check_code"] != items[1]["check_code"]
    problem(await hospital.create(prints(settlement), {"reason": "x"}, key=key), 422, "idempotency_key_reused")


async def test_two_clerks_at_once_print_two_numbers(world: World) -> None:
    settlement, hospital = await world.settle(), world.caller("hospital")
    answers = await asyncio.gather(*(hospital.create(prints(settlement), {"reason": f"窗口{n}"}) for n in range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    numbers = sorted(int(answer.headers["Location"].rsplit("/", 1)[1]) for answer in answers)
    assert numbers == [1, 2, 3, 4]


async def test_the_code_on_a_sheet_finds_what_a_genuine_one_says(world: World) -> None:
    settlement, hospital = await world.settle(), world.caller("hospital")
    record = await record_of(hospital, await printed(hospital, settlement))
    code = record["check_code"]
    for typed in (code, code.lower(), code.replace("-", "").replace("0", "o").replace("1", "l")):
        answer = await world.caller("finance").get(f"{PATH}/checks/{typed}")
        assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["agrees"], body["stands"], body["last_number"]) == (True, True, 1)
    assert (body["patient_name"], body["bill_no"], body["total"]) == ("测试甲", "T-1", "20000.00")
    amounts = {each["code"]: each["amount"] for each in body["amounts"]}
    assert (amounts["safety_net"], amounts["personal"], body["patient_pays"]) == ("3200.00", "2000.00", "2000.00")
    other = ("0" if code[0] != "0" else "1") + code[1:]
    problem(await hospital.get(f"{PATH}/checks/{other}"), 404, "not_found")
    problem(await world.caller("finance", county_code="450204").get(f"{PATH}/checks/{code}"), 404, "not_found")
    stranger = world.caller("hospital", institution_code="H45022300999")
    problem(await stranger.get(f"{PATH}/checks/{code}"), 404, "not_found")
    assert (await world.audited(settlement.settlement_id))[-2:] == ["read", "checked"]


async def test_a_record_that_was_changed_no_longer_agrees(world: World, safety_net_urls: Urls) -> None:
    settlement, hospital = await world.settle(), world.caller("hospital")
    record = await record_of(hospital, await printed(hospital, settlement))
    owner = Database(safety_net_urls.owner_url)
    async with owner.transaction(SERVICE) as session:
        mine = update(NoticePrint).where(NoticePrint.settlement_id == settlement.settlement_id)
        forged = {**(await session.get_one(NoticePrint, ("450223", settlement.settlement_id, 1))).paper}
        forged["amounts"] = {**forged["amounts"], "safety_net": "9200.00"}
        await session.execute(mine.values(paper=forged))
    await owner.close()
    body = (await hospital.get(f"{PATH}/checks/{record['check_code']}")).json()
    assert body["agrees"] is False


async def test_a_sheet_of_a_corrected_bill_stands_no_more(world: World) -> None:
    settlement, hospital = await world.settle(), world.caller("hospital")
    answer = await printed(hospital, settlement)
    record = await record_of(hospital, answer)
    await world.hear(world.a_correction(medical_assistance="3100.00"))
    body = (await hospital.get(f"{PATH}/checks/{record['check_code']}")).json()
    assert (body["agrees"], body["stands"]) == (True, False)
    problem(await hospital.create(prints(settlement), {"reason": "再打"}), 409, "not_settled")
    problem(await hospital.create(f"{answer.headers['Location']}/signature", PATIENT), 409, "not_settled")
    anew = await world.live()
    assert (await record_of(hospital, await printed(hospital, anew)))["number"] == 1


async def test_only_where_the_hospital_advanced_is_there_a_sheet_to_sign(world: World) -> None:
    settlement = await world.settle(pay_later_agreement_no=None)
    assert settlement.procedure == "joint_review"
    problem(await world.caller("hospital").create(prints(settlement), {"reason": None}), 409, "not_hospital_advance")


async def test_a_name_the_font_lacks_is_refused_and_nothing_is_counted(world: World) -> None:
    name = "测\U00020bb7"
    keys = world.state.keyring
    await world.hear(world.an_institution(), world.a_resident(name_digest=keys.name_digest(name)))
    await world.hear(world.a_bill(name_digest=keys.name_digest(name), sealed_name=keys.seal(name)))
    settlement, hospital = await world.live(), world.caller("hospital")
    body = problem(await hospital.create(prints(settlement), {"reason": None}), 409, "character_not_printable")
    assert body["characters"] == ["U+20BB7"]
    assert (await hospital.get(prints(settlement))).json() == {"items": []}
    assert "printed" not in await world.audited(settlement.settlement_id)


@pytest.mark.clause("A3-25")
async def test_the_patient_signs_a_printing_once(world: World) -> None:
    settlement, hospital, key = await world.settle(), world.caller("hospital"), str(uuid4())
    path = f"{(await printed(hospital, settlement)).headers['Location']}/signature"
    answer = await hospital.create(path, PATIENT, key=key)
    assert answer.status_code == 201, answer.text
    signature = answer.json()["signature"]
    assert (signature["signed_by"], signature["signer_name"], signature["relation"]) == ("patient", "测试甲", None)
    assert (signature["image_sha256"], signature["recorded_by"]) == ("ab" * 32, "test-hospital")
    again = await hospital.create(path, PATIENT, key=key)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (answer.json(), "true")
    problem(await hospital.create(path, PATIENT), 409, "already_signed")
    assert await world.audited(settlement.settlement_id) == ["settled", "printed", "signed", "read"]
    # Another printing is signed anew.
    other = f"{(await printed(hospital, settlement, '签字影像不清')).headers['Location']}/signature"
    # To the minute, as the paper shows it.
    at = clock.rfc3339(clock.now().replace(second=0, microsecond=0))
    assert (await hospital.create(other, {**PROXY, "signed_at": at})).status_code == 201
    items = (await world.caller("safety_net_office").get(prints(settlement))).json()["items"]
    assert [each["signature"]["signer_name"] for each in items] == ["测试甲", "测试乙"]
    assert [each["signature"]["relation"] for each in items] == [None, "child"]
    assert items[1]["signature"]["signed_at"] == at


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"signer_name": "测试乙"}, "proxy_named_wrongly"),
        ({"signed_by": "proxy"}, "proxy_named_wrongly"),
        ({**PROXY, "relation": None}, "proxy_named_wrongly"),
        ({**PROXY, "relation": "friend"}, "value_unknown"),
        ({"image_sha256": "AB" * 32}, "format_invalid"),
        ({"signed_at": "2018-08-11T09:30:00+08:00"}, "signed_before_printing"),
        ({"signed_at": "9000-08-11T09:30:00+08:00"}, "moment_in_future"),
        ({"signed_at": "2018-08-11T09:30:00"}, "moment_malformed"),
        ({"signed_at": "2018-02-30T09:30:00Z"}, "moment_malformed"),
        ({"signed_at": 1533951000}, "moment_malformed"),
    ],
)
async def test_a_signature_that_cannot_be_is_refused(world: World, change: dict[str, Any], code: str) -> None:
    settlement, hospital = await world.settle(), world.caller("hospital")
    path = f"{(await printed(hospital, settlement)).headers['Location']}/signature"
    problem(await hospital.create(path, {**PATIENT, **change}), 422, code)


async def test_another_hospital_prints_and_signs_nothing(world: World) -> None:
    settlement, hospital = await world.settle(), world.caller("hospital")
    stranger = world.caller("hospital", institution_code="H45022300999")
    problem(await stranger.create(prints(settlement), {"reason": None}), 404, "not_found")
    path = (await printed(hospital, settlement)).headers["Location"]
    problem(await stranger.create(f"{path}/signature", PATIENT), 404, "not_found")
    problem(await stranger.get(path), 404, "not_found")
    problem(await stranger.get(prints(settlement)), 404, "not_found")
    problem(await hospital.get(f"{prints(settlement)}/2"), 404, "not_found")
    problem(await hospital.create(f"{prints(settlement)}/2/signature", PATIENT), 404, "not_found")
