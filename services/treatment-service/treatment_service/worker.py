"""treatment-service over events: what it says, what it hears.

It runs inside the service; ``python -m shared.kit.alone treatment_service.main`` runs it alone, beside services
started with ``TREATMENT_RUN_WORKER=false``.
"""

from fastapi import FastAPI

from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.events.safety_net import BillSettled
from shared.events.treatment import DischargeBilled, DischargeCorrected, DischargeVoided
from shared.kit.events import Reader
from shared.kit.inbox import Consumer, Many
from shared.kit.worker import Job, Wiring
from treatment_service.discharges.consumers import hear_settled, hear_settled_together
from treatment_service.discharges.service import place_changes
from treatment_service.registry.consumers import hear_institution, hear_resident

PLACE_EVERY_SECONDS = 5.0


def wiring(app: FastAPI) -> Wiring:
    """The service's events, on one screen."""
    waits = app.state.waits
    settled = Many(Reader(BillSettled, unread=["settlement"]), hear_settled_together(waits))
    return Wiring(
        service="treatment",
        says=[DischargeBilled, DischargeCorrected, DischargeVoided],
        hears=[
            Consumer(ResidentChanged, hear_resident),
            Consumer(InstitutionChanged, hear_institution),
            Consumer(BillSettled, hear_settled(waits), settled),
        ],
        jobs=[Job(PLACE_EVERY_SECONDS, place_changes)],
    )
