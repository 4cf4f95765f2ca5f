"""Loading the demo county through the gateway, as its offices and hospitals would, and reading its settlements back."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from deploy.client import Gateway
from deploy.console import Unusable, console, table
from deploy.demo.bills import BILLS, NOT_REGISTERED, DemoBill
from deploy.demo.county import INSTITUTIONS
from deploy.demo.people import residents
from deploy.state import State
from shared.kit import clock

MARKER = "demo.json"
AT_ONCE = 8
# The registry's events travel while we post; a bill may come to its service before the hospital does.
TRAVEL_SECONDS = 30.0
SETTLED = ("settled", "held", "rejected")

HEAD = (
    *("bill", "total", "basic", "critical", "suppl.", "aid", "other"),
    *("safety net", "hospital", "patient", "decision", "clause", "procedure or reason"),
)
RIGHT = frozenset(range(1, 10))
AMOUNTS = (
    *("total", "basic_insurance", "critical_illness", "supplementary_insurance", "medical_assistance", "other"),
    *("safety_net", "hospital_share", "personal"),
)


class DemoFailed(Unusable):
    """The demo county could not be loaded; what is loaded stays, and the next start goes on from there."""


async def load(gateway: Gateway, state: State) -> dict[str, str]:
    """Load institutions, residents and bills; each bill's ``discharge_id``. Loading what is there changes nothing."""

    async def institution(body: Mapping[str, Any]) -> None:
        await _create(gateway, "health_bureau", "/contract/v1/institutions", body, body["institution_code"])

    async def resident(body: Mapping[str, Any]) -> None:
        await _create(gateway, "poverty_office", "/contract/v1/residents", body, body["household_no"])

    bills: dict[str, str] = {}

    async def bill(demo: DemoBill) -> None:
        bills[demo.case] = await _post_bill(gateway, demo)

    await _all("loading the demo county: institutions", institution, INSTITUTIONS.values())
    await _all("loading the demo county: residents", resident, [person.body() for person in residents()])
    await _all("posting the demo bills", bill, BILLS)
    ordered = {demo.case: bills[demo.case] for demo in BILLS}
    state.write(MARKER, {"loaded_at": clock.rfc3339(clock.now()), "bills": ordered})
    return ordered


def loaded(state: State) -> dict[str, str]:
    """The demo bills of an earlier start; empty when the demo county was never loaded to its end."""
    bills = state.read(MARKER).get("bills")
    return bills if isinstance(bills, dict) and set(bills) == {demo.case for demo in BILLS} else {}


async def still_there(gateway: Gateway, bills: Mapping[str, str]) -> bool:
    """Whether the databases in use are those the demo county was loaded into."""
    first = BILLS[0]
    reply = await gateway.get(first.client, f"/treatment/v1/discharges/{bills[first.case]}")
    return reply.status == 200


async def settlements(gateway: Gateway, bills: Mapping[str, str]) -> dict[str, Any]:
    """The present settlement of each demo bill, waiting for those on their way; what does not come is left out."""
    found: dict[str, Any] = {}
    until = time.monotonic() + TRAVEL_SECONDS
    while True:
        waiting = [demo for demo in BILLS if demo.case not in found]
        read = await asyncio.gather(*(_settlement(gateway, demo, bills[demo.case]) for demo in waiting))
        late = time.monotonic() > until
        for demo, settlement in zip(waiting, read, strict=True):
            if settlement is not None and (late or not _premature(demo, settlement)):
                found[demo.case] = settlement
        if late or len(found) == len(BILLS):
            return found
        await asyncio.sleep(0.5)


def settlement_table(found: Mapping[str, Any]) -> str:
    """The settlements as a table: the bill, each payer, the patient, the decision and the clause it rests on."""
    return table(HEAD, [_row(demo, found.get(demo.case)) for demo in BILLS], right=RIGHT)


def deciding_clause(settlement: Mapping[str, Any]) -> str:
    """The clause that decided: of the first reason where there is one, else of the safety net's step."""
    if settlement["reasons"]:
        return str(settlement["reasons"][0]["clause"])
    steps = settlement["steps"]
    chosen = [step for step in steps if step["step"] == "safety_net"] or steps
    return str(chosen[-1]["clause"]) if chosen else ""


def _row(demo: DemoBill, settlement: Mapping[str, Any] | None) -> list[str]:
    if settlement is None:
        return [demo.case, demo.total, *[""] * 8, "waiting", "", ""]
    amounts = [str(settlement["amounts"][name]) for name in AMOUNTS]
    why = ", ".join(dict.fromkeys(str(reason["code"]) for reason in settlement["reasons"]))
    return [
        demo.case,
        *("–" if amount == "0.00" else amount for amount in amounts),
        str(settlement["decision"]),
        deciding_clause(settlement),
        why or str(settlement["procedure"] or ""),
    ]


async def _all(what: str, do: Callable[[Any], Awaitable[None]], things: Iterable[Any]) -> None:
    """Do it for each, several at once, counting."""
    todo, gate, done = list(things), asyncio.Semaphore(AT_ONCE), 0

    async def one(thing: Any) -> None:
        nonlocal done
        async with gate:
            await do(thing)
        done += 1
        console.tally(what, done, len(todo))

    try:
        async with asyncio.TaskGroup() as group:
            for thing in todo:
                group.create_task(one(thing))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _create(gateway: Gateway, who: str, path: str, body: Mapping[str, Any], name: str) -> None:
    reply = await gateway.post(who, path, body, key=_key(path, body))
    if reply.status in (200, 201) or (reply.status == 409 and reply.code.endswith("already_registered")):
        return
    raise DemoFailed(f"{path}: {name} was refused: {reply.trouble}")


async def _post_bill(gateway: Gateway, demo: DemoBill) -> str:
    path, body = "/treatment/v1/discharges", demo.body()
    until = time.monotonic() + TRAVEL_SECONDS
    while True:
        reply = await gateway.post(demo.client, path, body, key=_key(path, body), prefer="wait=5")
        if reply.status in (200, 201):
            return str(reply.body["discharge_id"])
        if reply.code != "unknown_institution" or time.monotonic() > until:
            raise DemoFailed(f"{path}: bill {demo.bill_no} was refused: {reply.trouble}")
        await asyncio.sleep(0.3)


async def _settlement(gateway: Gateway, demo: DemoBill, discharge_id: str) -> dict[str, Any] | None:
    reply = await gateway.get(demo.client, "/safety-net/v1/settlements", discharge_id=discharge_id)
    if reply.status != 200:
        raise DemoFailed(f"the settlement of {demo.bill_no} can't be read: {reply.trouble}")
    for item in reply.body.get("items", []):
        if item.get("state") in SETTLED:
            return dict(item)
    return None


def _premature(demo: DemoBill, settlement: Mapping[str, Any]) -> bool:
    """Rejected only because the patient's registration had not arrived yet: it is settled anew when it does."""
    unknown = any(reason["code"] == "not_registered" for reason in settlement["reasons"])
    return unknown and demo.case not in NOT_REGISTERED


def _key(path: str, body: Mapping[str, Any]) -> str:
    """The same request gets the same key at every start, so that a load that was cut off goes on where it stopped."""
    text = json.dumps([path, body], ensure_ascii=False, sort_keys=True)
    return f"demo-{sha256(text.encode()).hexdigest()[:40]}"
