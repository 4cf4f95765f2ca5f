"""What safety-net-service says: how a bill was settled."""

from typing import Any, ClassVar
from uuid import UUID

from pydantic import PositiveInt

from shared.kit.events import Event


class BillSettled(Event):
    """A bill's live settlement changed: made, superseded by a new one, decided, or voided with the bill.

    ``revision`` rises with each change for one discharge; ``settlement`` is the answer of
    ``GET /safety-net/v1/settlements/{id}`` as it stood then (no name, no identity number). Heard by treatment-service,
    which gives it to the hospital at the window.
    """

    subject: ClassVar[str] = "safety_net.bill_settled.v1"
    heard_by: ClassVar[tuple[str, ...]] = ("treatment",)

    discharge_id: UUID
    revision: PositiveInt
    bill_version: PositiveInt
    settlement_id: UUID
    county_code: str
    state: str
    procedure: str | None
    settlement: dict[str, Any]
