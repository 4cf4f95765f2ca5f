"""Hearing bills as the inbox does: together or one by one, from messages as the broker delivers them."""

from collections.abc import Sequence
from typing import Any

from safety_net_service.bills.consumers import Hearing
from shared.events.treatment import DischargeBilled, DischargeCorrected
from shared.kit.events import Envelope, Event, Reader
from shared.kit.inbox import Consumer, Inbox, Many
from tests.services.safety_net.world import World


class Letter:
    """A message as the broker delivers it."""

    def __init__(self, event: Event, raw: bytes | None = None) -> None:
        self.envelope = Envelope.around(event)
        self.subject, self.data = event.subject, raw or self.envelope.to_bytes()
        self.answers: list[str] = []
        self.metadata = type("Metadata", (), {"sequence": type("Pair", (), {"stream": id(self)})})

    @property
    def is_acked(self) -> bool:
        return bool(self.answers)

    async def ack(self) -> None:
        self.answers.append("ack")

    @classmethod
    def of(cls, letter: "Letter") -> "Letter":
        """The same message, delivered again."""
        again: Letter = cls.__new__(cls)
        again.__dict__.update({**letter.__dict__, "answers": []})
        return again

    async def nak(self, delay: float = 0) -> None:
        self.answers.append("nak" if delay else "given back")


class Ears:
    """The service's hearing of bills, together or one by one."""

    def __init__(self, world: World, *, together: bool, law: Any = None) -> None:
        hearing = Hearing(law or world.state.law)
        many = Many(Reader(DischargeBilled), hearing.bills) if together else None
        consumers = [Consumer(DischargeBilled, hearing.bill, many), Consumer(DischargeCorrected, hearing.bill)]
        self.inbox = Inbox(world.state.database, world.state.bus, "safety_net", "TREATMENT", consumers)

    async def take(self, *events: Event) -> list[Letter]:
        letters = [Letter(event) for event in events]
        await self.take_letters(letters)
        return letters

    async def take_letters(self, letters: Sequence[Letter]) -> None:
        await self.inbox.take(list(letters))  # type: ignore[arg-type]
