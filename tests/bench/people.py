"""The bench's county: the demo county's institutions, and as many invented residents as the load is to be about."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, timedelta
from typing import Any

from deploy.client import Gateway
from deploy.demo.county import COUNTY, INSTITUTIONS, TOWNSHIPS
from deploy.demo.people import AREA, HISTORIES, INSURANCES, OLD_AREA, SIGNS, STEMS, Person, identity_number

SEED = 20180721
AT_ONCE = 16
# Those that settle with the county by the formula of its own institutions.
CLIENTS = tuple(
    name
    for name, institution in INSTITUTIONS.items()
    if institution["county_code"] == COUNTY and institution["insurance_designated"]
)


class RegistryFailed(Exception):
    """The registry refused one of the bench's institutions or residents."""


def people(count: int) -> list[Person]:
    """So many residents, the same ones in every run: adults of all townships, histories mixed as in the demo county.

    Their numbers have the serial 000, which is never issued.
    """
    chance = random.Random(SEED)
    days = (date(1999, 12, 31) - date(1930, 1, 1)).days
    numbers = [(OLD_AREA, day) for day in range(days)] + [(AREA, day) for day in range(days)]
    found = []
    for serial, (area, day) in enumerate(chance.sample(numbers, count)):
        born = date(1930, 1, 1) + timedelta(days=day)
        village = chance.choice(chance.choice(TOWNSHIPS).villages)
        person = Person(
            name=f"测试{chance.choice(STEMS)}{chance.choice(SIGNS)}",
            sex=chance.choice(("male", "female")),
            born=born,
            village=village,
            household=f"{village}{serial:05d}",
            poverty=chance.choices([h for h, _ in HISTORIES], [w for _, w in HISTORIES])[0],
            insurance=chance.choices([i for i, _ in INSURANCES], [w for _, w in INSURANCES])[0],
            number=identity_number(area, born),
        )
        found.append(person)
    return found


async def register(gateway: Gateway, residents: Iterable[Person]) -> None:
    """Tell the registry of the institutions and of these residents, as its offices would."""

    async def post(who: str, path: str, body: dict[str, Any], key: str) -> None:
        reply = await gateway.post(who, path, body, key=key)
        if reply.status not in (200, 201):
            raise RegistryFailed(f"{path}: {reply.trouble}")

    async def institution(body: dict[str, Any]) -> None:
        await post("health_bureau", "/contract/v1/institutions", body, f"bench-{body['institution_code']}")

    async def resident(body: dict[str, Any]) -> None:
        await post("poverty_office", "/contract/v1/residents", body, f"bench-{body['household_no']}")

    await _all(institution, INSTITUTIONS.values())
    await _all(resident, [person.body() for person in residents])


async def _all(do: Callable[[dict[str, Any]], Awaitable[None]], things: Iterable[dict[str, Any]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(thing: dict[str, Any]) -> None:
        async with gate:
            await do(thing)

    await asyncio.gather(*map(one, things))
