"""What only a start needs, in a process of its own: it takes the migrations' imports away with it when it ends.

``python -m deploy.prepare`` reads its order from standard input and says its steps on the console it inherits.
"""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nats
from nats.errors import Error as NatsError

from deploy.console import Unusable, console, explain
from deploy.databases import check_outside, create_database, may_quote_rows, migrate
from deploy.order import Order
from deploy.secrets import Secrets
from deploy.settings import SERVICES, Urls
from deploy.state import State

BROKER_SECONDS = 5


async def prepare(order: Order) -> None:
    """See that the engines can be used, make the databases that are missing, migrate all three and grant."""
    if order.nats_url is not None:
        with console.step("looking for the NATS of NATS_URL"):
            await check_nats(order.nats_url)
    secrets = Secrets(State(Path(order.folder)))
    urls: dict[str, Urls] = {}
    with console.step("databases and roles"):
        for name in SERVICES:
            if name in order.outside:
                urls[name] = await check_outside(name, order.outside[name])
            elif order.admin_url is not None:
                urls[name] = await create_database(order.admin_url, name, password=secrets.password)
    for name, service in SERVICES.items():
        if urls[name].owner_url == urls[name].service_url:
            console.say(
                f"· {service.label} works with one role for everything: nothing keeps it from changing its audit trail "
                f"({service.prefix}_OWNER_DATABASE_URL names a role of its own for the tables)"
            )
        if name in order.outside and await may_quote_rows(urls[name].service_url):
            console.say(
                f"· the PostgreSQL of {service.label} may write patients' data into its log: set "
                "log_error_verbosity=terse, log_min_error_statement=panic, log_statement=none, "
                "log_parameter_max_length_on_error=0, log_parameter_max_length=0"
            )
        with console.step(f"migrating {service.label}"):
            await migrate(name, urls[name].owner_url, urls[name].service_role)


async def check_nats(url: str) -> None:
    """See that the broker answers and keeps streams; the address itself is not repeated, as it may hold a password."""
    said: list[str] = []

    async def note(error: Exception) -> None:
        said.append(str(error))

    try:
        client = await nats.connect(
            servers=[part.strip() for part in url.split(",")],
            connect_timeout=BROKER_SECONDS,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            error_cb=note,
        )
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        why = (said or [str(error) or type(error).__name__])[0]
        raise Unusable(f"NATS_URL: no server at {_places(url)} lets us in: {why}") from None
    try:
        await client.jetstream(timeout=BROKER_SECONDS).account_info()
    except (NatsError, TimeoutError):
        raise Unusable(f"NATS_URL: the server at {_places(url)} keeps no streams (JetStream is not enabled)") from None
    finally:
        await client.close()


def _places(url: str) -> str:
    return ", ".join(urlsplit(part.strip()).netloc.rpartition("@")[2] for part in url.split(","))


def main() -> int:
    """Exit code 0 when all is prepared; else it has said why not."""
    order = Order.from_text(sys.stdin.read())
    try:
        asyncio.run(prepare(order))
    except Exception as error:
        explain(error, State(Path(order.folder)).logs / "run.log")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
