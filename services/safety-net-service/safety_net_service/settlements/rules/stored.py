"""The facts a settlement rested on, as JSON to keep, and the settlement computed again from them years later."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from safety_net_service.settlements.rules.facts import (
    Bill,
    Institution,
    InsuranceSpan,
    OfficeDecision,
    Patient,
    PovertySpan,
    Referral,
    Span,
)
from safety_net_service.settlements.rules.outcome import Outcome, outcome_to_json
from safety_net_service.settlements.rules.pack import PackShelf
from safety_net_service.settlements.rules.settle import settle


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything `settle` was given, but for the packs, which are named by their versions."""

    bill: Bill
    candidates: tuple[Patient, ...]
    institution: Institution
    committed: Mapping[str, int]
    decision: OfficeDecision | None = None

    def settle(self, shelf: PackShelf) -> Outcome:
        """Settle with these inputs."""
        return settle(
            self.bill,
            self.candidates,
            self.institution,
            shelf,
            committed=self.committed,
            decision=self.decision,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which a stored settlement is not what its inputs give today."""

    pointer: str
    stored: Any
    recomputed: Any


class PackMissing(LookupError):
    """A pack that a stored settlement rested on is no longer on the shelf."""


def recompute(inputs: Inputs, packs: Collection[str], shelf: PackShelf) -> Outcome:
    """Settle again from stored inputs under exactly the stored packs, whatever has been added to the shelf since."""
    missing = [version for version in packs if shelf.of_version(version) is None]
    if missing:
        raise PackMissing(", ".join(missing))
    return inputs.settle(shelf.only(packs))


def differences(stored: Mapping[str, Any], recomputed: Outcome) -> tuple[Difference, ...]:
    """Where the stored JSON of a settlement (as `outcome_to_json` gave it) differs, field by field."""
    again = outcome_to_json(recomputed)
    return tuple(each for key in again for each in _compare(f"/{key}", stored.get(key), again[key]))


def _compare(pointer: str, stored: Any, again: Any) -> Iterator[Difference]:
    if isinstance(stored, Mapping) and isinstance(again, Mapping):
        for key in sorted({*stored, *again}):
            yield from _compare(f"{pointer}/{key}", stored.get(key), again.get(key))
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for index, (left, right) in enumerate(zip(stored, again, strict=True)):
            yield from _compare(f"{pointer}/{index}", left, right)
    elif stored != again:
        yield Difference(pointer, stored, again)


def inputs_to_json(inputs: Inputs) -> dict[str, Any]:
    """The inputs as plain JSON: amounts in whole fen, days as text."""
    plain: dict[str, Any] = msgspec.to_builtins(inputs)
    return plain


def inputs_from_json(stored: Mapping[str, Any]) -> Inputs:
    """The inputs back from their JSON; fields that a later version added take their defaults."""
    return Inputs(
        bill=_bill(stored["bill"]),
        candidates=tuple(_patient(each) for each in stored["candidates"]),
        institution=_institution(stored["institution"]),
        committed=dict(stored["committed"]),
        decision=OfficeDecision(**stored["decision"]) if stored["decision"] is not None else None,
    )


def _bill(stored: Mapping[str, Any]) -> Bill:
    known = dict(stored)
    known["admitted_on"] = date.fromisoformat(stored["admitted_on"])
    known["discharged_on"] = date.fromisoformat(stored["discharged_on"])
    known["diagnoses"] = tuple(stored["diagnoses"])
    known["referral"] = Referral(**stored["referral"]) if stored["referral"] is not None else None
    return Bill(**known)


def _patient(stored: Mapping[str, Any]) -> Patient:
    known = dict(stored)
    known["birth_date"] = date.fromisoformat(stored["birth_date"])
    known["poverty"] = tuple(PovertySpan(**_days(each)) for each in stored["poverty"])
    known["insurance"] = tuple(
        InsuranceSpan(**{**_days(each), "suspended": tuple(Span(**_days(stop)) for stop in each["suspended"])})
        for each in stored["insurance"]
    )
    known["identity_types"] = tuple(stored["identity_types"])
    return Patient(**known)


def _institution(stored: Mapping[str, Any]) -> Institution:
    known = dict(stored)
    known["designated"] = tuple(Span(**_days(each)) for each in stored["designated"])
    return Institution(**known)


def _days(stored: Mapping[str, Any]) -> dict[str, Any]:
    last = stored["last"]
    return {
        **stored,
        "first": date.fromisoformat(stored["first"]),
        "last": date.fromisoformat(last) if last is not None else None,
    }
