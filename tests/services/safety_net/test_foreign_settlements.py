"""Settlements when the handlers forget whose they are: the database still shows a caller nothing foreign."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx import Response

from safety_net_service.registry import service as registry
from safety_net_service.settlements.models import Settlement
from shared.kit.caller import Caller
from shared.kit.scope import Scope
from shared.kit.sealer import seal_audit
from tests.clients import Client, Issuer, problem
from tests.services.safety_net.world import NAME, World
from tests.services.unfiltered import filters_removed, policies_lifted, shown

P = "/safety-net/v1"
REJECT = {"decision": "reject", "exclusion": "other_by_law", "reason": "测试", "legal_basis": "A3-16"}
FAR = {"county_code": "150824"}


@dataclass
class Known:
    """A settlement that pays, with an open decision and a recovery, and who has no business with it."""

    world: World
    settlement: Settlement
    decision_id: str
    audited: int
    callers: dict[str, Client]

    @property
    def settlement_id(self) -> UUID:
        return self.settlement.settlement_id

    @property
    def path(self) -> str:
        return f"{P}/settlements/{self.settlement_id}"


@pytest.fixture(scope="module")
async def known(safety_net: FastAPI, issuer: Issuer) -> Known:
    world = World(safety_net, issuer)
    first = await world.settle()
    await world.claim(first)
    await world.hear(world.a_correction(total="19000.00"))
    settlement = await world.live()
    office = world.caller("safety_net_office", subject="office.one")
    proposed = await office.create(f"{P}/settlements/{settlement.settlement_id}/decisions", REJECT)
    assert proposed.status_code == 201, proposed.text
    assert await world.cases()
    audit = await world.caller("auditor").get(f"{P}/audit", params={"object_id": str(settlement.settlement_id)})
    await seal_audit(safety_net.state.database)
    callers = {
        role: world.caller(role, subject=f"far.{role}", **FAR)
        for role in ("hrss", "safety_net_office", "finance", "auditor", "department_leader")
    }
    callers["hospital"] = world.caller("hospital", institution_code=f"H450223{uuid4().hex[:12]}")
    callers["township_government"] = world.caller("township_government", township_code="450223101")
    callers["far_township"] = world.caller("township_government", township_code="450223100", **FAR)
    return Known(world, settlement, proposed.json()["decision_id"], audit.json()["items"][0]["seq"], callers)


Ask = Callable[[Known, Client], Awaitable[Response]]
BOUND = "hospital township_government far_township"
OFFICE = "safety_net_office department_leader auditor"
ROUTES: dict[str, tuple[str, Ask]] = {
    "list": (f"hrss finance auditor {BOUND}", lambda _, client: client.get(f"{P}/settlements?limit=200")),
    "read": (f"hrss finance auditor {BOUND}", lambda known, client: client.get(known.path)),
    "notice": (
        f"hrss finance auditor {BOUND}",
        lambda known, client: client.get(f"{P}/notices/{known.settlement.settlement_id}"),
    ),
    "recompute": ("safety_net_office auditor", lambda known, client: client.post(f"{known.path}/recompute")),
    "decisions": (OFFICE, lambda known, client: client.get(f"{known.path}/decisions")),
    "decision": (OFFICE, lambda known, client: client.get(f"{known.path}/decisions/{known.decision_id}")),
    "recoveries": (f"{OFFICE} finance", lambda _, client: client.get(f"{P}/recoveries?limit=200")),
    "audit": (
        "auditor",
        lambda known, client: client.get(f"{P}/audit?object_type=settlement&object_id={known.settlement_id}"),
    ),
    "proof": ("auditor", lambda known, client: client.get(f"{P}/audit/{known.audited}/proof")),
}
EACH = [(route, caller) for route, (callers, _) in ROUTES.items() for caller in callers.split()]


def foreign(known: Known) -> tuple[Any, ...]:
    return (known.settlement.discharge_id, known.settlement.settlement_id, known.decision_id, NAME)


@pytest.mark.parametrize(("route", "caller"), EACH)
async def test_a_handler_without_its_filter_shows_nothing_foreign(known: Known, route: str, caller: str) -> None:
    ask, client = ROUTES[route][1], known.callers[caller]
    assert not shown(await ask(known, client), foreign(known))
    with filters_removed():
        answer = await ask(known, client)
    assert not shown(answer, foreign(known))
    if answer.status_code == 200:
        assert answer.json()["items"] == []
        assert answer.json()["next_cursor"] is None
    else:
        problem(answer, 404, "not_found")


@pytest.mark.parametrize(("route", "caller"), EACH)
async def test_without_policies_it_would_be_shown(known: Known, route: str, caller: str) -> None:
    """The test above removes what it says it removes: only the policies stand between."""
    with policies_lifted(), filters_removed() as removed:
        answer = await ROUTES[route][1](known, known.callers[caller])
    assert removed
    assert answer.status_code == 200, answer.text
    assert answer.json().get("items") != []


@pytest.mark.parametrize("act", ["confirm", "withdraw"])
async def test_a_foreign_decision_can_not_be_acted_on(known: Known, act: str) -> None:
    with filters_removed():
        for caller in ("safety_net_office", "department_leader"):
            answer = await known.callers[caller].post(f"{known.path}/decisions/{known.decision_id}/{act}")
            problem(answer, 404, "not_found")
        answer = await known.callers["safety_net_office"].create(f"{known.path}/decisions", REJECT)
        problem(answer, 404, "not_found")


async def test_an_office_learns_of_no_other_countys_residents(known: Known) -> None:
    """What an estimate asks of the register, without the estimate's own filter."""
    state, digest = known.world.state, known.world.digest()
    found = {}
    for name, caller in {
        "own": Caller("x", frozenset({"hrss"}), "450223"),
        "far": Caller("x", frozenset({"hrss"}), "150824"),
        "hospital": Caller("x", frozenset({"hospital"}), "150824", "H15082400001"),
    }.items():
        async with state.database.transaction(Scope.of(caller)) as session:
            found[name] = len(await registry.candidates(session, digest, ""))
    assert found == {"own": 1, "far": 0, "hospital": 1}


async def test_the_offices_own_county_is_untouched_by_all_this(known: Known) -> None:
    """Confirmed by who may: across bill, settlement, recovery, decision and audit in the caller's own scope."""
    leader = known.world.caller("department_leader", subject="leader.one")
    answer = await leader.post(f"{known.path}/decisions/{known.decision_id}/confirm")
    assert answer.status_code == 200, answer.text
    assert answer.json()["settlement"]["state"] == "rejected"
    assert (await known.world.live()).decision == "reject"
