"""The quick reader of an event reads what its class reads, or leaves it."""

import json
from typing import Any

import msgspec
import pytest

from shared.events.safety_net import BillSettled
from shared.events.treatment import DischargeBilled
from shared.kit.events import Envelope, Event, Reader
from tests.kit.test_event_channel import Rang


def test_a_reader_takes_what_we_say_and_leaves_everything_else() -> None:
    reader = Reader(Rang)
    said = Envelope.around(Rang(number=5))
    heard = reader.read(said.to_bytes())
    assert (heard.event_id, heard.request_id, heard.data.number, heard.raw) == (said.event_id, "-", 5, b'{"number":5}')
    whole = json.loads(said.to_bytes())
    broken: list[Any] = [
        {**whole, "data": {"number": "5"}},
        {**whole, "data": {"number": 5, "colour": "red"}},
        {**whole, "data": {}},
        {**whole, "type": "bells.fell.v1"},
        {**whole, "id": "5"},
        {name: value for name, value in whole.items() if name != "data"},
        [],
    ]
    for each in broken:
        with pytest.raises(msgspec.MsgspecError):
            reader.read(json.dumps(each).encode())


@pytest.mark.parametrize("event", [DischargeBilled, BillSettled])
def test_a_sample_is_read_as_its_class_reads_it(event: type[Event], samples: dict[str, Any]) -> None:
    said = Envelope.around(event.model_validate(samples[event.subject]["data"]))
    heard = Reader(event).read(said.to_bytes())
    expected = event.model_validate(said.data)
    assert json.loads(msgspec.json.encode(heard.data)) == expected.model_dump(mode="json")
    for name, value in expected:
        if isinstance(value, str | int | bool | None):
            assert getattr(heard.data, name) == value
    assert json.loads(heard.raw) == said.data


def test_what_is_not_read_is_handed_on_as_it_was_said(samples: dict[str, Any]) -> None:
    said = Envelope.around(BillSettled.model_validate(samples[BillSettled.subject]["data"]))
    heard = Reader(BillSettled, unread=["settlement"]).read(said.to_bytes())
    assert bytes(heard.data.settlement) in said.to_bytes()
    assert json.loads(bytes(heard.data.settlement)) == said.data["settlement"]
    assert list(json.loads(bytes(heard.data.settlement))) == list(said.data["settlement"])
