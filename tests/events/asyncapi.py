"""What the services say to each other, written as AsyncAPI 3 from the classes: ``python -m tests.events.asyncapi``."""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

import shared.events
from shared.kit.bus import DUPLICATE_WINDOW_SECONDS, HOW_MANY, PACK, STREAM_DAYS
from shared.kit.events import Event
from tests.events.chinese import EVENTS, FIELDS, SCHEMAS, SERVICES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "asyncapi.yaml"
SAMPLES = Path(__file__).parent / "samples"

HEADER = """\
# Written by `python -m tests.events.asyncapi` from the classes in shared/events; a test compares the two.
"""

DESCRIPTION = f"""\
服务之间通过 NATS JetStream 传递的事件。
每件事实与它的发件箱记录在同一事务中提交，随后发布；信道只负责传递，从不作为记录。

What the services say to each other over NATS JetStream. An event is kept in its speaker's outbox in the transaction
that made it true, and published after the commit; the channel carries it and is never the record.

- 信封是 CloudEvents 1.0 的 JSON 形式（structured mode）；`id` 是 UUID，同时作为 `Nats-Msg-Id`：流在
  {DUPLICATE_WINDOW_SECONDS} 秒内见过的不再存第二份。
  The envelope is CloudEvents 1.0 as JSON; its `id` is also the `Nats-Msg-Id`, by which the stream stores it once.
- 同一主题、同一时刻发布的多件事实合为一条消息：JSON 数组（CloudEvents 批格式），消息头 `{HOW_MANY}` 为件数，
  至多 {PACK} 件。
  Several of one subject published at one moment are one message: a JSON list, their number in the header `{HOW_MANY}`.
- 主题带版本；新版本是新主题。一个说话的服务一条流，留 {STREAM_DAYS} 天。
  A subject bears its version; one stream a speaker.
- 收听者可能重复收到、乱序收到或晚收到，按 `id` 只做一次；确认在提交之后。Delivered at least once, in any order.
- 不认识的字段须忽略：说话的一方可能先升级。A listener ignores fields it does not know.
- 证件号码与姓名从不明文传递。Identity numbers and names never travel in the clear.
"""


def events() -> list[type[Event]]:
    """Every event of shared/events, by subject."""
    found: dict[str, type[Event]] = {}
    for module in pkgutil.iter_modules(shared.events.__path__):
        classes = vars(importlib.import_module(f"shared.events.{module.name}")).values()
        for known in classes:
            if inspect.isclass(known) and issubclass(known, Event) and "subject" in vars(known):
                found[known.subject] = known
    return [found[subject] for subject in sorted(found)]


def document() -> dict[str, Any]:
    """The whole AsyncAPI document."""
    schemas: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for event in events():
        name = event.__name__
        _add_schemas(event, schemas)
        messages[name] = _message(event)
        channels[name] = _channel(event)
        operations |= _operations(event)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "三个一批 Three Batches: events", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "channel": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "NATS JetStream; the embedded run chooses a free port 内嵌运行时端口自动选择",
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "messageTraits": {"Deduplicated": _headers()},
            "schemas": {name: schemas[name] for name in sorted(schemas)},
        },
    }


def _speaker(event: type[Event]) -> str:
    return event.subject.split(".")[0]


def _title(event: type[Event]) -> str:
    return f"{EVENTS[event.subject]} {event.subject}"


def _says(event: type[Event]) -> str:
    heard = "、".join(SERVICES[name][0] for name in event.heard_by)
    said = SERVICES[_speaker(event)][0]
    return f"{EVENTS[event.subject]}。由 {said} 发出，{heard} 收听。\n\n{inspect.getdoc(event)}\n"


def _channel(event: type[Event]) -> dict[str, Any]:
    name = event.__name__
    return {
        "address": event.subject,
        "title": _title(event),
        "description": _says(event),
        "servers": [{"$ref": "#/servers/channel"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "x-stream": event.stream(),
        "x-said-by": SERVICES[_speaker(event)][0],
        "x-heard-by": [SERVICES[name][0] for name in event.heard_by],
    }


def _operations(event: type[Event]) -> dict[str, Any]:
    name = event.__name__
    shared_part = {
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }
    label, _ = SERVICES[_speaker(event)]
    made = {f"{_speaker(event)}_says_{name}": {"action": "send", "title": f"{label} 发出 says", **shared_part}}
    for listener in event.heard_by:
        label, _ = SERVICES[listener]
        made[f"{listener}_hears_{name}"] = {
            "action": "receive",
            "title": f"{label} 收听 hears",
            "description": f"Durable consumer `{listener}` of stream `{event.stream()}`, acknowledged after commit.",
            **shared_part,
        }
    return made


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.subject,
        "title": _title(event),
        "summary": EVENTS[event.subject],
        "contentType": "application/cloudevents+json",
        "traits": [{"$ref": "#/components/messageTraits/Deduplicated"}],
        "correlationId": {"location": "$message.payload#/requestid", "description": "Request id 请求编号"},
        "payload": {"$ref": f"#/components/schemas/{event.__name__}Envelope"},
    }


def _headers() -> dict[str, Any]:
    return {
        "headers": {
            "type": "object",
            "required": ["Nats-Msg-Id"],
            "properties": {
                "Nats-Msg-Id": {
                    "type": "string",
                    "format": "uuid",
                    "description": "The event's `id`: the stream stores it once 事件编号，流中只存一份",
                }
            },
        }
    }


def _envelope(event: type[Event]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "title": f"{event.__name__}Envelope",
        "description": "CloudEvents 1.0 信封 envelope",
        "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": {**text, "const": "1.0"},
            "id": {**text, "format": "uuid", "description": "Event id, unique for ever 事件编号，永不重复"},
            "source": {**text, "const": f"/{_speaker(event)}", "description": "Who says it 由谁发出"},
            "type": {**text, "const": event.subject, "description": "The subject 主题"},
            "time": {**text, "format": "date-time", "description": "When it was said, +08:00 发出时间"},
            "datacontenttype": {**text, "const": "application/json"},
            "requestid": {**text, "description": "Request that caused it 引发它的请求编号"},
            "data": {"$ref": f"#/components/schemas/{event.__name__}"},
        },
    }


def _add_schemas(event: type[Event], schemas: dict[str, Any]) -> None:
    """The schemas of an event's data and envelope; two different ones of one name are refused."""
    # As a reader sees it: what may be missing has a default and is not required.
    schema = TypeAdapter(event).json_schema(ref_template="#/components/schemas/{model}", mode="validation")
    parts = {**schema.pop("$defs", {}), event.__name__: schema, f"{event.__name__}Envelope": _envelope(event)}
    for name, part in parts.items():
        if not name.endswith("Envelope"):
            part = _with_chinese(name, part, EVENTS.get(event.subject, "") if name == event.__name__ else "")
        if schemas.setdefault(name, part) != part:
            raise ValueError(f"two schemas bear the name {name}")


def _with_chinese(name: str, schema: dict[str, Any], title: str) -> dict[str, Any]:
    described = dict(schema)
    described["title"] = f"{title or SCHEMAS[name]} {name}"
    described["properties"] = {
        field: {**{key: value for key, value in part.items() if key != "title"}, "description": FIELDS[field]}
        if "$ref" not in part
        else {"allOf": [part], "description": FIELDS[field]}
        for field, part in schema["properties"].items()
    }
    return described


class _Plain(yaml.SafeDumper):
    """YAML for readers: texts of several lines as they are, nothing by anchor."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Write everything out."""
        return True


def _text(dumper: _Plain, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def page() -> str:
    """The document as it stands in docs."""
    text = yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return HEADER + str(text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(events())} events\n")
