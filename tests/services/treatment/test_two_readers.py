"""The quick reader of bills takes nothing that the careful one would not, and reads the same out of what it takes."""

import json
from collections import Counter
from random import Random
from typing import Any
from uuid import uuid4

import pydantic
import pytest

from shared.bills.form import EXAMPLE, DischargeBill
from shared.bills.rules import impossible
from shared.events.treatment import DischargeBilled
from shared.kit import clock
from shared.kit.events import MOST_BYTES, Envelope
from shared.kit.idempotency import content_text
from shared.kit.problems import Problem
from shared.kit.sealing import Keyring
from shared.kit.strict_json import parse
from tests.clients import Issuer
from tests.services.treatment.bill_texts import BROKEN, sound, text
from treatment_service.discharges.service import Sealed
from treatment_service.intake import service
from treatment_service.intake.formats import bill as bills

SEED = 20_181_231
ROUNDS = 12_000


def careful(raw: bytes) -> DischargeBill | None:
    """What the framework's route reads."""
    try:
        return DischargeBill.model_validate(parse(raw))
    except (Problem, pydantic.ValidationError):
        return None


def same(raw: bytes) -> bool:
    """Whether the quick reader takes a text; what it reads is then what the careful one reads."""
    read = bills.read(raw)
    if read is None:
        return False
    bill = careful(raw)
    assert bill is not None, raw
    assert bills.whole(read) == bill, raw
    assert read.canonical == content_text(parse(raw)), raw
    assert json.loads(bills.content(read.bill)) == bill.model_dump(mode="json", exclude={"patient"}), raw
    assert read.charged == list(bill.charges.model_dump().values()), raw
    assert read.reimbursed == list(bill.reimbursements.model_dump().values()), raw
    for today in (clock.today(), bill.stay.discharged_on):
        clear = service.clear(read, bill.institution_code, today)
        assert clear == (bill.version == 1 and not impossible(bill, today)), raw
    assert not service.clear(read, "H0", clock.today())
    return True


def test_what_the_quick_reader_takes_the_careful_one_takes_and_reads_alike() -> None:
    draw, taken = Random(SEED), Counter[str]()
    for _ in range(ROUNDS):
        broken = draw.choice(BROKEN)
        taken[broken.__name__] += same(broken(sound(draw), draw))
    # Each way of breaking a bill leaves some of them sound, but for the two that never may.
    assert set(taken) == {broken.__name__ for broken in BROKEN}
    assert taken["another_leaf"] > 100, taken
    assert taken["another_amount"] > 500, taken
    assert taken["a_key_twice"] < 300, taken


def test_the_quick_reader_takes_what_hospitals_send() -> None:
    draw = Random(SEED)
    for _ in range(2000):
        raw = text(sound(draw), draw)
        assert same(raw), raw


@pytest.mark.parametrize("layout", [{}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}])
def test_the_documents_example_is_taken_however_it_is_laid_out(layout: dict[str, Any]) -> None:
    assert same(json.dumps(EXAMPLE, **layout).encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version": 1', '"version": 1, "version": 1'),
        ('"version": 1', '"version" :1,"version": 1'),
        ('"version": 1', '"version"\n:1,"version": 1'),
        ('"version": 1', '"\\u0076ersion":1,"version": 1'),
        ('"version": 1', '"version": 1.0'),
        ('"version": 1', '"version": 1e0'),
        ('"version": 1', '"version": true'),
        ('"20000.00"', '"20000.00\\n"'),
        ('"20000.00"', '"20000.00\\n1.00"'),
        ('"20000.00"', "20000.00"),
        ('"ZY20180811-0001"', '"ZY20180811-0001\\n"'),
        ('"ZY20180811-0001"', '"ZY20180811 0001"'),
        ('"测试甲"', '"测试甲\\u0000"'),
        ('"测试甲"', '"\\u3000"'),
        ('"测试甲"', '"\x7f"'),
        ("false", "0"),
        ("null", '"null"'),
        ("}}", '}, "x": NaN}'),
    ],
)
def test_what_could_change_an_amount_is_left_to_the_careful_reader(old: str, new: str) -> None:
    whole = json.dumps(EXAMPLE, ensure_ascii=False)
    assert old in whole
    assert bills.read(whole.replace(old, new, 1).encode()) is None


@pytest.fixture(scope="module")
def keyring(issuer: Issuer) -> Keyring:
    return Keyring(issuer.data_keys)


def test_the_event_says_what_the_careful_path_would_say(keyring: Keyring) -> None:
    draw = Random(SEED)
    for _ in range(500):
        raw = text(sound(draw), draw)
        read, bill = bills.read(raw), careful(raw)
        assert read is not None
        assert bill is not None
        draft = service.Draft.of(read, keyring)
        envelope = Envelope.from_bytes(draft.payload)
        usual = Envelope.around(DischargeBilled(**Sealed.of(bill, keyring).facts(draft.discharge_id)))
        assert (envelope.event_id, envelope.subject) == (draft.event_id, usual.subject)
        assert set(json.loads(draft.payload)) == set(json.loads(usual.to_bytes()))
        assert list(envelope.data) == list(usual.data)
        assert keyring.open(envelope.data["sealed_name"]) == bill.patient.name
        for each in (envelope.data, usual.data):
            del each["sealed_name"], each["recorded_at"]
        assert envelope.data == usual.data
        said = json.loads(draft.payload)["data"]
        assert DischargeBilled.model_validate(said).model_dump(mode="json") == said


def test_the_largest_bill_there_can_be_fits_the_event_channel(keyring: Keyring) -> None:
    draw, code = Random(SEED), "x" * 64
    bill = sound(draw)
    bill["bill_no"], bill["patient"] = code, {"identity_number": code, "name": "𠮷" * 200}
    bill["stay"] |= {"admission_no": code, "pay_later_agreement_no": code}
    bill["diagnoses"] = [{"code": "𠮷" * 40, "name": "𠮷" * 200, "principal": True}] * 50
    bill["circumstances"]["referral"] = {"kind": "emergency_filing", "number": code, "accepted_by_insurer": True}
    raw = json.dumps(bill).encode()
    assert same(raw)
    read, one_more = bills.read(raw), {**bill, "diagnoses": [*bill["diagnoses"], bill["diagnoses"][0]]}
    assert read is not None
    assert len(service.Draft.of(read, keyring).payload) < MOST_BYTES / 10
    assert bills.read(json.dumps(one_more).encode()) is None


def test_a_newborn_without_a_number_is_sealed_without_one(keyring: Keyring) -> None:
    read = bills.read(json.dumps({**EXAMPLE, "patient": {"identity_number": None, "name": str(uuid4())}}).encode())
    assert read is not None
    draft = service.Draft.of(read, keyring)
    assert (draft.identity_digest, draft.sealed_identity) == (None, None)
