"""What was once said can still be read, and the description of the events is what the classes say."""

import json
from typing import Any
from uuid import UUID

import pytest
import yaml

from shared.kit.events import Envelope, Event
from tests.events.asyncapi import PAGE, SAMPLES, document, events, page
from tests.events.chinese import EVENTS, FIELDS, SERVICES
from tests.events.chinese import SCHEMAS as NAMED

EVENT_BY_SUBJECT = {event.subject: event for event in events()}
SAMPLE_FILES = sorted(SAMPLES.glob("*.json"))
each_sample = pytest.mark.parametrize("path", SAMPLE_FILES, ids=[path.stem for path in SAMPLE_FILES])
each_event = pytest.mark.parametrize("event", events(), ids=list(EVENT_BY_SUBJECT))


def read(path: Any) -> dict[str, Any]:
    """A sample's envelope."""
    envelope: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return envelope


def test_each_event_has_a_sample() -> None:
    assert {path.stem.split("+")[0] for path in SAMPLE_FILES} == EVENT_BY_SUBJECT.keys()


@each_sample
def test_a_sample_can_still_be_read(path: Any) -> None:
    raw = read(path)
    envelope = Envelope.from_bytes(path.read_bytes())
    assert envelope.subject == raw["type"]
    assert path.stem.split("+")[0] == raw["type"], "a further sample of a subject is named <subject>+<what>.json"
    event = EVENT_BY_SUBJECT[envelope.subject].model_validate(envelope.data)
    # Nothing of what was said is lost or changed by reading it (a moment may be written in two ways).
    assert (
        json.loads(event.model_dump_json()).items()
        >= {name: value for name, value in raw["data"].items() if name != "recorded_at"}.items()
    )


@each_sample
def test_a_sample_is_a_whole_cloudevent(path: Any) -> None:
    raw = read(path)
    assert raw.keys() == {"specversion", "id", "source", "type", "time", "datacontenttype", "requestid", "data"}
    assert (raw["specversion"], raw["datacontenttype"]) == ("1.0", "application/json")
    assert raw["source"] == "/" + raw["type"].split(".")[0]
    assert str(UUID(raw["id"])) == raw["id"]
    assert raw["time"].endswith("+08:00")
    written = json.loads(Envelope.from_bytes(path.read_bytes()).to_bytes())
    assert written == raw, "said again, it is the same"


@each_sample
def test_a_newer_speaker_may_say_more(path: Any) -> None:
    raw = read(path)
    known = EVENT_BY_SUBJECT[raw["type"]].model_validate(raw["data"])
    more = _with_more(raw["data"])
    assert EVENT_BY_SUBJECT[raw["type"]].model_validate(more).model_dump(exclude={"settlement"}) == known.model_dump(
        exclude={"settlement"}
    )
    raw |= {"data": more, "partitionkey": "an extension attribute of later"}
    assert Envelope.from_bytes(json.dumps(raw).encode()).subject == raw["type"]


def _with_more(part: Any) -> Any:
    if isinstance(part, dict):
        return {**{name: _with_more(value) for name, value in part.items()}, "field_of_later": {"deep": [1]}}
    if isinstance(part, list):
        return [_with_more(item) for item in part]
    return part


@each_sample
def test_a_sample_names_no_person(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert "identity_number" not in text
    assert not any(word in text for word in ("测试", "450223197503120006"))


@each_event
def test_a_sample_shows_every_field(event: type[Event]) -> None:
    shown = [read(path)["data"] for path in SAMPLE_FILES if path.stem.split("+")[0] == event.subject]
    assert set(event.model_fields) <= {name for data in shown for name in data}


@each_event
def test_an_event_is_heard_by_services_that_exist(event: type[Event]) -> None:
    assert event.heard_by
    assert set(event.heard_by) <= SERVICES.keys()
    assert event.subject.split(".")[0] not in event.heard_by, "a service does not hear itself"


def test_the_page_is_what_the_classes_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.events.asyncapi"


def test_the_page_is_asyncapi() -> None:
    written = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
    assert written == document()
    assert written["asyncapi"] == "3.0.0"
    assert {channel["address"] for channel in written["channels"].values()} == EVENT_BY_SUBJECT.keys()
    for _, part in _everything(written):
        if isinstance(part.get("$ref"), str):
            assert _resolve(written, part["$ref"]) is not None


def test_the_page_says_who_says_and_who_hears() -> None:
    operations = document()["operations"]
    for event in events():
        speaker = event.subject.split(".")[0]
        of_event = {
            name: operation["action"]
            for name, operation in operations.items()
            if operation["channel"]["$ref"] == f"#/channels/{event.__name__}"
        }
        heard = {f"{listener}_hears_{event.__name__}": "receive" for listener in event.heard_by}
        assert of_event == {f"{speaker}_says_{event.__name__}": "send", **heard}
        channel = document()["channels"][event.__name__]
        assert channel["x-stream"] == event.stream() == speaker.upper()


def test_samples_fit_the_schemas_of_the_page() -> None:
    """The written schemas, not the classes: what another system would check with."""
    schemas = document()["components"]["schemas"]
    for path in SAMPLE_FILES:
        raw = read(path)
        name = EVENT_BY_SUBJECT[raw["type"]].__name__
        assert list(_misfits(raw, schemas[name + "Envelope"], schemas, path.stem)) == []


def test_chinese_names_are_all_used_and_none_is_missing() -> None:
    schemas = document()["components"]["schemas"]
    data = {name: schema for name, schema in schemas.items() if not name.endswith("Envelope")}
    assert {field for schema in data.values() for field in schema["properties"]} == FIELDS.keys()
    assert EVENTS.keys() == EVENT_BY_SUBJECT.keys()
    assert data.keys() - {event.__name__ for event in events()} == NAMED.keys()


def _everything(part: Any, place: str = "#") -> Any:
    if isinstance(part, dict):
        yield place, part
        for key, value in part.items():
            yield from _everything(value, f"{place}/{key}")
    elif isinstance(part, list):
        for number, item in enumerate(part):
            yield from _everything(item, f"{place}/{number}")


def _resolve(whole: dict[str, Any], reference: str) -> Any:
    found: Any = whole
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


KINDS: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def _misfits(value: Any, schema: dict[str, Any], schemas: dict[str, Any], place: str) -> Any:
    """Where a value does not fit: the few words of JSON Schema that our schemas use."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    for inner in schema.get("allOf", []):
        yield from _misfits(value, inner, schemas, place)
    if "anyOf" in schema and all(list(_misfits(value, choice, schemas, place)) for choice in schema["anyOf"]):
        yield f"{place}: none of the choices"
    kind = schema.get("type")
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind is not None and not (whole if kind == "integer" else isinstance(value, KINDS[kind])):
        yield f"{place}: is no {kind}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{place}: is not {schema['const']}"
    if kind == "integer" and (
        value < schema.get("minimum", value) or value <= schema.get("exclusiveMinimum", value - 1)
    ):
        yield f"{place}: too small"
    if isinstance(value, dict):
        yield from (f"{place}: lacks {name}" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            yield from _misfits(item, schema.get("properties", {}).get(name, {}), schemas, f"{place}.{name}")
    if isinstance(value, list):
        for item in value:
            yield from _misfits(item, schema.get("items", {}), schemas, f"{place}[]")
