"""What one service says to another: the class of an event, and its envelope (CloudEvents 1.0)."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict

from shared.kit import clock
from shared.kit.log import request_id


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
        speaker = self.subject.split(".")[0]
        return json.dumps(
            {
                "specversion": "1.0",
                "id": str(self.event_id),
                "source": f"/{speaker}",
                "type": self.subject,
                "time": clock.rfc3339(self.time),
                "datacontenttype": "application/json",
                "requestid": self.request_id,
                "data": self.data,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()

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
