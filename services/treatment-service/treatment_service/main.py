"""treatment-service over HTTP."""

from fastapi import FastAPI

from shared.kit.service import create_service
from shared.kit.waits import Waits
from shared.kit.worker import Wiring
from treatment_service.discharges.endpoints import router as discharges
from treatment_service.intake.endpoints import Door, open_desk
from treatment_service.intake.endpoints import router as batches
from treatment_service.settings import Settings
from treatment_service.worker import wiring


def _wiring(app: FastAPI) -> Wiring:
    app.state.waits = Waits()
    return wiring(app)


app: FastAPI = create_service(
    name="treatment",
    title="大病集中救治 treatment-service",
    description="Hospitals' discharge bills: recorded once, corrected by versions, answered with their settlement.",
    settings=Settings,
    routers=[discharges, batches],
    wiring=_wiring,
    beside=open_desk,
    door=Door,
)
