"""``python -m deploy.demo``: the demo county into the running house, once, and a table of its settlements."""

import asyncio
import sys

from deploy.client import credentials, gateway
from deploy.console import Unusable, console
from deploy.demo.load import load, loaded, settlement_table, settlements, still_there
from deploy.settings import read_settings
from deploy.state import State


async def demo(state: State) -> None:
    """Load what is not loaded, wait for the settlements and show them."""
    async with gateway(credentials()) as house:
        bills = loaded(state)
        if not (bills and await still_there(house, bills)):
            bills = await load(house, state)
        found = await settlements(house, bills)
    console.say("\n" + settlement_table(found))


def main() -> int:
    """Exit code 0 when the demo county is there; else it has said why not."""
    try:
        asyncio.run(demo(State(read_settings().data)))
    except Unusable as error:
        console.say(f"\nThe demo county is not complete: {error}\nThe next start goes on from there.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
