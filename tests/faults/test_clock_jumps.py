"""The service's clock goes forward and back by hours, apart from the database's: nothing is lost, nothing doubled."""

import time
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.bills.form import EXAMPLE
from shared.events.contract import InstitutionChanged, ResidentChanged
from shared.kit import clock
from shared.kit.bus import Bus
from shared.kit.events import Envelope, Event
from shared.kit.identity_number import check_digit
from tests.clients import client_of
from tests.faults.conftest import APPS, Pair, eventually

JUMPS = (0, 3600, -3600, 7200, -7200)
BILLS = "/treatment/v1/discharges"
HOSPITAL = "H45022300001"


class Clock:
    """The county's time, put forward or back by so many seconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.by = 0
        now, seconds = clock.now, time.time
        patch.setattr(clock, "now", lambda: now() + timedelta(seconds=self.by))
        patch.setattr(time, "time", lambda: seconds() + self.by)


def a_number(day: int) -> str:
    first17 = f"452231{date(1941, 1, 1) + timedelta(days=day):%Y%m%d}000"
    return first17 + check_digit(first17)


async def register(pair: Pair, samples: dict[str, Any], *numbers: str) -> None:
    """What contract-service would say of a hospital and these residents."""
    keyring = APPS["treatment"].state.keyring
    of_hospital, of_resident = (samples[f"contract.{name}_changed.v1"]["data"] for name in ("institution", "resident"))
    said: list[Event] = [InstitutionChanged.model_validate({**of_hospital, "institution_code": HOSPITAL})]
    for number in numbers:
        identities = [{"type": "resident_id", "digest": keyring.digest(number)}]
        person = {"resident_id": str(uuid4()), "identities": identities, "name_digest": keyring.name_digest("测试甲")}
        said.append(ResidentChanged.model_validate({**of_resident, **person}))
    bus = Bus(pair.starter.nats.url, name="contract")
    await bus.ensure_stream("CONTRACT")
    envelopes = [Envelope.around(event) for event in said]
    await bus.publish([(each.subject, each.to_bytes(), str(each.event_id)) for each in envelopes])
    await bus.close()


def a_bill(number: str) -> dict[str, Any]:
    patient = {"identity_number": number, "name": "测试甲"}
    return {**EXAMPLE, "institution_code": HOSPITAL, "bill_no": f"F-{uuid4()}", "patient": patient}


async def test_a_clock_that_jumps_loses_nothing_and_doubles_nothing(
    pair: Pair, samples: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor_token = pair.starter.issuer.token("auditor")
    county = Clock(monkeypatch)
    known, late = a_number(1), [a_number(2 + place) for place in range(len(JUMPS))]
    wait = {"SAFETY_NET_PATIENT_WAIT_SECONDS": "600"}
    async with pair.running("treatment", "safety_net", **wait):
        await register(pair, samples, known)
        for service in APPS:
            await eventually(lambda s=service: has(pair, s, "select count(*) from resident_copies", 1))  # type: ignore[misc]
        posted: list[tuple[str, dict[str, Any], str]] = []
        for jump, number in zip(JUMPS, late, strict=True):
            county.by = 0
            token = pair.starter.issuer.token("hospital", subject="county", institution_code=HOSPITAL)
            county.by = jump
            async with client_of(APPS["treatment"], token) as hospital:
                key, bill = str(uuid4()), a_bill(known)
                answer = await hospital.create(BILLS, bill, key=key, Prefer="wait=30")
                assert answer.status_code == 201, answer.text
                assert answer.json()["settlement"], f"after {jump} s nobody waited until it was settled"
                posted.append((key, bill, answer.json()["discharge_id"]))
                for again, content, discharge_id in posted:
                    for repeated, status in ((again, 201), (str(uuid4()), 200)):
                        answer = await hospital.create(BILLS, content, key=repeated)
                        assert (answer.status_code, answer.json()["discharge_id"]) == (status, discharge_id)
                # This one waits for its patient, whose registration comes at another time than the clock says.
                assert (await hospital.create(BILLS, a_bill(number))).status_code == 201
        number_of_bills = 2 * len(JUMPS)
        await eventually(lambda: has(pair, "safety_net", "select count(*) from bills", number_of_bills))
        county.by = -3600
        await register(pair, samples, *late)
        # Whoever waited is looked at when the clock has come there again, at the latest.
        county.by = max(JUMPS)
        open_settlements = "select count(*) from settlements where ended_at is null and resident_id is not null"
        await eventually(lambda: has(pair, "safety_net", open_settlements, number_of_bills))
        shown = "select count(*) from bill_settlements where state <> 'superseded'"
        await eventually(lambda: has(pair, "treatment", shown, number_of_bills))
        assert await pair.ask("treatment", "select count(*) from discharges") == [number_of_bills]
        for service, app in APPS.items():
            report = await app.state.worker.reconciliation.compare()
            assert [event["missing"] for event in report["events"]] == [0 for _ in report["events"]]
            assert await pair.ask(service, "select count(*) from dead_letters") == [0]
            await audit_is_whole(pair, service, auditor_token)


async def has(pair: Pair, service: str, query: str, wanted: int) -> bool:
    return await pair.ask(service, query) == [wanted]


async def audit_is_whole(pair: Pair, service: str, auditor_token: str) -> None:
    """The auditor's own route finds nothing, though the service's clock said so many different times."""
    await eventually(lambda: has(pair, service, UNSEALED, 0))
    async with client_of(APPS[service], auditor_token) as auditor:
        answer = await auditor.get(f"/{service.replace('_', '-')}/v1/audit/verification")
    assert answer.status_code == 200, answer.text
    assert answer.json()["findings"] == []
    assert answer.json()["rows"] > 0


UNSEALED = "select count(*) from audit where seq not in (select unnest(seqs) from audit_seals)"
