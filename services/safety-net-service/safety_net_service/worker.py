"""safety-net-service over events: what it says, what it hears, what it does by the clock.

It runs inside the service; ``python -m shared.kit.alone safety_net_service.main`` runs it alone, beside services
started with ``SAFETY_NET_RUN_WORKER=false``.
"""

from fastapi import FastAPI

from safety_net_service.bills.consumers import Hearing
from safety_net_service.workdays.service import keep_up
from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.events.safety_net import BillSettled
from shared.events.treatment import DischargeBilled, DischargeCorrected, DischargeVoided
from shared.kit.events import Reader
from shared.kit.inbox import Consumer, Many
from shared.kit.worker import Job, Wiring

LOOK_EVERY_SECONDS = 0.2
HOURLY = 3600.0


def wiring(app: FastAPI) -> Wiring:
    """The service's events, on one screen."""
    hearing = Hearing(app.state.law)
    return Wiring(
        service="safety_net",
        says=[BillSettled],
        hears=[
            Consumer(ResidentChanged, hearing.resident),
            Consumer(InstitutionChanged, hearing.institution),
            Consumer(DischargeBilled, hearing.bill, Many(Reader(DischargeBilled), hearing.bills)),
            Consumer(DischargeCorrected, hearing.bill),
            Consumer(DischargeVoided, hearing.void),
        ],
        jobs=[Job(LOOK_EVERY_SECONDS, hearing.look_at_due), Job(HOURLY, keep_up)],
    )
