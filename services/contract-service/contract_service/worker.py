"""contract-service over events: what it says, what it hears.

It runs inside the service; ``python -m shared.kit.alone contract_service.main`` runs it alone, beside services
started with ``CONTRACT_RUN_WORKER=false``.
"""

from fastapi import FastAPI

from contract_service.accounts.service import forget_failures
from contract_service.tokens.service import forget_what_is_over
from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.kit.worker import DAILY, Job, Wiring


def wiring(_: FastAPI) -> Wiring:
    """The service's events, on one screen."""
    return Wiring(
        service="contract",
        says=[ResidentChanged, InstitutionChanged],
        hears=[],
        jobs=[Job(DAILY, forget_what_is_over), Job(DAILY, forget_failures)],
    )
