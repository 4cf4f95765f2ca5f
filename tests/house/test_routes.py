"""Deny by default: every route says who may call it, or that anyone may."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.kit.caller import Allow, public
from shared.kit.operations import health, operations
from shared.kit.trail import trail

ROOT = Path(__file__).resolve().parents[2]


def routers() -> Iterator[APIRouter]:
    """Every router of every capability, and the kit's own."""
    yield health
    yield operations("/x/v1", "x")
    yield trail("/x/v1", "x")
    for path in sorted((ROOT / "services").glob("*/*_service/*/endpoints.py")):
        module = importlib.import_module(f"{path.parts[-3]}.{path.parts[-2]}.endpoints")
        yield from (found for found in vars(module).values() if isinstance(found, APIRouter))


def gates(dependant: Dependant) -> Iterator[object]:
    for one in dependant.dependencies:
        if isinstance(one.call, Allow) or one.call is public:
            yield one.call
        yield from gates(one)


def ungated(router: APIRouter) -> list[str]:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    return [f"{route.methods} {route.path}" for route in routes if not list(gates(route.dependant))]


def test_every_route_says_who_may_call_it() -> None:
    found = list(routers())
    assert sum(len(router.routes) for router in found) > 30
    assert [route for router in found for route in ungated(router)] == []


def test_a_route_without_a_gate_is_noticed() -> None:
    router = APIRouter()

    @router.get("/open")
    async def nobody_thought_of_it() -> None: ...

    @router.get("/gated", dependencies=[Depends(Allow("auditor"))])
    async def thought_of() -> None: ...

    assert ungated(router) == ["{'GET'} /open"]
