"""safety-net-service over HTTP."""

from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from safety_net_service.claims.endpoints import router as claims
from safety_net_service.decisions.endpoints import router as decisions
from safety_net_service.estimates.endpoints import router as estimates
from safety_net_service.notices.endpoints import router as notices
from safety_net_service.policies.endpoints import router as policies
from safety_net_service.recoveries.endpoints import router as recoveries
from safety_net_service.settings import Settings
from safety_net_service.settlements.endpoints import router as settlements
from safety_net_service.settlements.rules import load_shelf
from safety_net_service.settlements.service import Law
from safety_net_service.workdays.endpoints import router as workdays
from safety_net_service.worker import wiring
from shared.kit.log import log
from shared.kit.service import create_service
from shared.kit.worker import Wiring

POLICIES = Path(__file__).parent / "policies"


def _wiring(app: FastAPI) -> Wiring:
    settings: Settings = app.state.settings
    app.state.policies_folder = settings.policies_folder or POLICIES
    shelf = load_shelf(app.state.policies_folder)
    for _ in shelf.warnings:
        log("warning", "policy_gap")
    app.state.law = Law(shelf, timedelta(seconds=settings.patient_wait_seconds))
    return wiring(app)


app: FastAPI = create_service(
    name="safety_net",
    title="重病兜底保障 safety-net-service",
    description="Shares out discharge bills among their payers by the county's policy, and explains every fen.",
    settings=Settings,
    routers=[policies, estimates, settlements, decisions, notices, claims, recoveries, workdays],
    wiring=_wiring,
)
