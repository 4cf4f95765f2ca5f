"""contract-service over HTTP."""

from fastapi import FastAPI

from contract_service.accounts import service as accounts
from contract_service.administration.endpoints import router as administration_routes
from contract_service.institutions import service as institutions
from contract_service.institutions.endpoints import router as institution_routes
from contract_service.residents.endpoints import router as resident_routes
from contract_service.settings import Settings
from contract_service.tokens.endpoints import router as token_routes
from contract_service.tokens.service import Issuer
from contract_service.worker import wiring
from shared.kit.database import Database
from shared.kit.scope import SERVICE
from shared.kit.service import create_service


async def _at_start(app: FastAPI) -> None:
    """Ready the issuer of tokens and the accounts that the deployment brings along."""
    settings: Settings = app.state.settings
    app.state.doorkeeper = accounts.Doorkeeper(app.state.keyring, settings)
    app.state.issuer = Issuer(settings, app.state.doorkeeper)
    # The issuer need not ask itself over HTTP for its own keys.
    app.state.verifier.learn(app.state.issuer.published().model_dump())
    if settings.bootstrap_accounts:
        database: Database = app.state.database
        async with database.transaction(SERVICE) as session:
            with_client = await accounts.bring_along(session, app.state.keyring, settings.bootstrap_accounts)
            await institutions.clients_appeared(session, with_client)


app: FastAPI = create_service(
    name="contract",
    title="签约与登记 contract-service",
    description="The county registry: institutions and residents with dated histories; accounts and tokens.",
    settings=Settings,
    routers=[institution_routes, resident_routes, administration_routes, token_routes],
    wiring=wiring,
    at_start=_at_start,
)
