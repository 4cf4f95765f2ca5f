"""What one service says to another: the class of an event, and its envelope (CloudEvents 1.0)."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID, uuid4

import msgspec
from pydantic import BaseModel, ConfigDict

from shared.kit import clock
from shared.kit.log import request_id
from shared.kit.problems import Problem
from shared.kit.structs import struct_of

MOST_BYTES = 1024 * 1024 - 1024
"""Any NATS takes 1 MiB, the headers included."""


class TooLargeToSay(Problem):
    """Refused before it is written: the event channel would never take it, and all that is said later would wait."""

    status, code, title = 413, "too_large_to_say", "Too large to be told to the other services"
    detail = "内容过多，无法转告其他系统，未予保存；请减少条目后再提交。"


class Event(BaseModel):
    """A fact in the past tense. Its id and time belong to the envelope.

    ``subject`` names it on the channel, with its version; ``heard_by`` names the services that act on it.
    """

    # A newer speaker may say more than we know: what we don't know is not ours to refuse.
    model_config = ConfigDict(frozen=True, extra="ignore")

    subject: ClassVar[str]
    heard_by: ClassVar[tuple[str, ...]]

    @classmethod
    def stream(cls) -> str:
        """The stream of its speaker: ``treatment.discharge_billed.v1`` travels on ``TREATMENT``."""
        return cls.subject.split(".")[0].upper()


@dataclass(frozen=True)
class Envelope:
    """One event as it travels."""

    event_id: UUID
    subject: str
    time: datetime
    data: dict[str, Any]
    request_id: str

    @classmethod
    def around(cls, event: Event) -> Self:
        """A new envelope, with a new id and this moment."""
        return cls(uuid4(), event.subject, clock.now(), event.model_dump(mode="json"), request_id.get())

    def to_bytes(self) -> bytes:
        """The JSON text of the envelope."""
        return enveloped(self.event_id, self.subject, self.time, self.request_id, self.data)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read an envelope; raises ``ValueError`` or ``KeyError`` for what is none."""
        said = json.loads(raw)
        return cls(
            UUID(said["id"]),
            said["type"],
            datetime.fromisoformat(said["time"]),
            said["data"],
            said.get("requestid", "-"),
        )


_encoder = msgspec.json.Encoder()


Data = dict[str, Any] | msgspec.Struct | bytes


def enveloped(event_id: UUID, subject: str, time: datetime, said_for: str, data: Data) -> bytes:
    """The JSON text of an envelope around data, or around its JSON text; ``said_for`` is the request's id.

    Raises `TooLargeToSay`.
    """
    letter = _encoder.encode(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/{subject.split('.', 1)[0]}",
            "type": subject,
            "time": clock.rfc3339(time),
            "datacontenttype": "application/json",
            "requestid": said_for,
            "data": msgspec.Raw(data) if isinstance(data, bytes) else data,
        }
    )
    if len(letter) > MOST_BYTES:
        raise TooLargeToSay
    return letter


class Heard(NamedTuple):
    """One event of a batch: what its envelope says, its data in the shape of its class, and that data as said."""

    event_id: UUID
    request_id: str
    data: Any
    raw: bytes


class _Letter(msgspec.Struct):
    id: UUID
    type: str
    time: datetime
    data: msgspec.Raw
    requestid: str = "-"


class Reader:
    """Reads one class of events without its model, many times as fast, and only exactly what we say ourselves.

    Whatever the model would have to bend or leave out is refused (`msgspec.MsgspecError`) and left to the model. The
    fields named ``unread`` are handed on as their JSON text.
    """

    def __init__(self, event: type[Event], *, unread: Collection[str] = ()) -> None:
        self.subject = event.subject
        self._letters = msgspec.json.Decoder(_Letter)
        self._data = msgspec.json.Decoder(struct_of(event, unread=unread))

    def read(self, raw: bytes) -> Heard:
        """One envelope with its data."""
        letter = self._letters.decode(raw)
        if letter.type != self.subject:
            raise msgspec.ValidationError("another event's subject")
        return Heard(letter.id, letter.requestid, self._data.decode(letter.data), bytes(letter.data))
