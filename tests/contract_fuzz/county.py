"""The county under test: what it says of itself, who asks, and the ids by which its records are reached."""

import json
import time
from typing import Any
from urllib.parse import urlencode

from schemathesis import BaseSchema, openapi

from tests.contract_fuzz.callers import Tokens
from tests.contract_fuzz.wire import Answered, Asked, Wire
from tests.flow.conftest import System

# The institution of the demo county's hospital, its machine's and its user's.
OWN = "H45022300001"
SETTLED_SECONDS = 60.0


class County:
    """A running system, seen from the gateway."""

    def __init__(self, system: System) -> None:
        self.system, self.tokens, self.wire = system, Tokens(system), Wire(system.port)
        self.document: dict[str, Any] = self.wire.send(Asked("GET", "/openapi.json")).json()
        self.schema: BaseSchema = openapi.from_dict(json.loads(json.dumps(self.document)))
        self.known = self._look_around()

    def ask(self, caller: str, asked: Asked) -> Answered:
        """Send a request as somebody."""
        return self.wire.send(asked, **self.tokens.headers(caller))

    def read(self, caller: str, path: str, **query: str | int) -> Any:
        """A list or a record, which must be there."""
        answer = self.ask(caller, Asked("GET", f"{path}?{urlencode(query)}"))
        assert answer.status == 200, answer.body
        return answer.json()

    def close(self) -> None:
        """Hang up."""
        self.wire.close()

    def _look_around(self) -> dict[str, list[str]]:
        """Values of path, query and header parameters by name, in an order that is the same in every run."""
        bills = self._settled()
        bills.sort(key=lambda bill: (bill["institution_code"] != OWN, bill["bill_no"]))
        own = [bill for bill in bills if bill["institution_code"] == OWN]
        settlements = self.read("safety_net_office", "/safety-net/v1/settlements", limit=200)["items"]
        order = {bill["discharge_id"]: number for number, bill in enumerate(bills)}
        settlements.sort(key=lambda one: (order.get(one["discharge_id"], 999), one["bill_version"], one["state"]))
        people = self.read("poverty_office", "/contract/v1/residents", limit=20)["items"]
        people.sort(key=lambda one: (one["village_code"], one["household_no"], one["birth_date"]))
        houses = self.read("health_bureau", "/contract/v1/institutions", limit=20)["items"]
        pack = self.read("auditor", "/safety-net/v1/policies", county_code="450223")["items"][0]
        held = [one for one in settlements if one["state"] == "held"]
        proposed = self._decisions(held)
        return {
            "discharge_id": [bill["discharge_id"] for bill in bills],
            "own_id": [bill["discharge_id"] for bill in own],
            "own_bill_no": [bill["bill_no"] for bill in own],
            "settlement_id": [one["settlement_id"] for one in (*held, *settlements)],
            "decided_id": [settlement for settlement, _ in proposed],
            "decision_id": [decision for _, decision in proposed],
            "resident_id": [one["resident_id"] for one in people],
            "institution_code": sorted(one["institution_code"] for one in houses),
            "household_no": [one["household_no"] for one in people],
            "village_code": [one["village_code"] for one in people],
            "county_code": [pack["county_code"]],
            "pack": [pack["pack"]],
            "effective_date": [pack["first_day"]],
            "on": [pack["first_day"]],
        }

    def _settled(self) -> list[dict[str, Any]]:
        """The demo county's bills, once each of them is settled."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            bills: list[dict[str, Any]] = self.read("hrss", "/treatment/v1/discharges", limit=100)["items"]
            if all(bill["state"] != "recorded" for bill in bills):
                return bills
            assert time.monotonic() < deadline, "the demo bills are not being settled"
            time.sleep(0.2)

    def _decisions(self, held: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """Held settlements, each with a proposal that waits for a second person."""
        body = json.dumps({"decision": "reject", "reason": "核对未通过", "legal_basis": "A3-05"}).encode()
        found: list[tuple[str, str]] = []
        for number, one in enumerate(held):
            path = f"/safety-net/v1/settlements/{one['settlement_id']}/decisions"
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"look-around-{number}"}
            self.ask("safety_net_office", Asked("POST", path, headers, body))
            decisions = self.read("auditor", path)["items"]
            found += [(one["settlement_id"], decision["decision_id"]) for decision in decisions]
        assert found, "no held settlement of the demo county took a decision"
        return found
