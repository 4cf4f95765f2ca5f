"""The OpenAPI description: a Chinese title on each route, and examples that work when posted."""

import re
from typing import Any
from uuid import uuid4

from fastapi import FastAPI

from tests.services.safety_net.world import World


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


async def test_every_route_has_a_chinese_title(safety_net: FastAPI) -> None:
    for method, path, operation in operations(safety_net):
        assert re.search("[一-鿿]", operation["summary"]), (method, path)


async def test_public_routes_say_that_they_need_no_token(safety_net: FastAPI) -> None:
    public = {path for _, path, operation in operations(safety_net) if operation.get("security") == []}
    assert public == {
        "/safety-net/v1/policies",
        "/safety-net/v1/policies/{county_code}/{pack}/{effective_date}",
    }


async def test_every_example_is_accepted(world: World, safety_net: FastAPI) -> None:
    await world.hear(world.an_institution(), world.a_resident(name_digest="0" * 64), world.a_bill())
    await world.hear(world.an_institution(institution_code="H45022300001"))
    held = str((await world.live()).settlement_id)
    paying = World(world.app, world.issuer)
    settled = str((await paying.settle()).settlement_id)
    schemas = safety_net.openapi()["components"]["schemas"]
    posted, claim_id = 0, ""
    for method, path, operation in operations(safety_net):
        if "requestBody" not in operation:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        for example in schemas[schema]["examples"]:
            caller, settlement_id = world.caller("safety_net_office"), held
            if "/working-days/" in path:
                # For a county of nobody's: this one's days stand in other tests.
                caller = world.caller("health_bureau", county_code="450299")
            if "/notices/" in path:
                caller, settlement_id = paying.caller("hospital"), settled
            if path.endswith("/claims"):
                caller = paying.caller("hospital")
            answer = await caller.request(
                method,
                path.format(settlement_id=settlement_id, number=1, claim_id=claim_id, place=1),
                json=example,
                headers={"Idempotency-Key": str(uuid4())},
            )
            assert answer.status_code in (200, 201), (path, answer.text)
            claim_id = answer.json()["claim_id"] if path.endswith("/claims") else claim_id
            posted += 1
    assert posted == 7
