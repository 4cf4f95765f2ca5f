"""Worked cases in YAML: what was given, what the law makes of it. Read like the packs, every value as text.

    - case: C-06
      clauses: [R-12]
      says: half a fen rounds up, once
      given: {total: "333.35", basic_insurance: "250.00"}
      expect: {safety_net: "50.02", patient_pays: "33.33"}

`given` names what differs from an ordinary case (tests/rules/builders.py); `expect` names what must come out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safety_net_service.settlements.rules import (
    Bill,
    DecisionWithoutLaw,
    Inputs,
    Institution,
    OfficeDecision,
    PackShelf,
    Patient,
    SettlementPack,
    outcome_to_json,
    rule_named_in,
)
from shared.kit.money import fen
from shared.kit.policy import Items, Node, PolicyError, Shelf, Table, Text, as_items, as_table, as_text, read_document
from tests.rules.builders import MONEY, a_bill, a_patient, a_referral, an_institution, insured, poor, span

CASE_WORDS = ("case", "clauses", "says", "packs", "readings", "given", "expect")
AMOUNTS = (
    "base",
    "reimbursed",
    "safety_net",
    "hospital_share",
    "personal",
    "patient_pays",
    "government_topup",
    "other",
)
EXPECT_WORDS = (
    "decision", "reasons", "clauses", "procedure", "policy", "ratio", "ratio_of_receipt", "years", "if_passed", "says",
    "county", *AMOUNTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One worked case."""

    name: str
    clauses: tuple[str, ...]
    packs: str
    readings: Mapping[str, str]
    inputs: Inputs
    expect: Mapping[str, Any]
    where: str

    def misses(self, shelf: PackShelf) -> list[str]:
        """Where the outcome under this shelf is not what the case expects."""
        try:
            outcome = outcome_to_json(self.inputs.settle(_with_readings(shelf, self.readings)))
        except DecisionWithoutLaw as error:
            return [f"{self.name} ({self.where}): {error}"]
        found = _shown(outcome)
        return [
            f"{self.name} ({self.where}): {word} is {found[word]!r}, expected {value!r}"
            for word, value in self.expect.items()
            if not _meets(word, found[word], value)
        ]


def _meets(word: str, found: Any, expected: Any) -> bool:
    if word == "says":
        return all(any(part in line for line in found) for part in expected)
    if isinstance(expected, dict):
        return all(found is not None and found.get(key) == value for key, value in expected.items())
    if word == "years":
        return len(found) == len(expected) and all(map(lambda row, want: _meets("", row, want), found, expected))
    return bool(found == expected)


def _shown(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome in the words of `expect`: everything as text, `none` for nothing."""
    shown: dict[str, Any] = {name: outcome["amounts"][name] for name in AMOUNTS}
    shown |= {
        "decision": outcome["decision"],
        "reasons": [each["code"] for each in outcome["reasons"]],
        "clauses": [each["clause"] for each in outcome["reasons"]],
        "procedure": outcome["procedure"] or "none",
        "policy": outcome["policy"]["version"] or "none",
        "county": outcome["policy"]["county_code"],
        "ratio": outcome["actual_reimbursement_ratio"],
        "ratio_of_receipt": outcome["ratio_of_receipt"],
        "years": [
            {key: "none" if value is None else str(value) for key, value in row.items()} for row in outcome["years"]
        ],
        "if_passed": outcome["if_passed"],
        "says": [f"{each['clause']} {each['step']} {each['says']}" for each in outcome["steps"]],
    }
    return shown


def _or_word(value: Any) -> str:
    return "none" if value is None else str(value)


def _with_readings(shelf: PackShelf, readings: Mapping[str, str]) -> PackShelf:
    """The shelf with another reading taken where a pack has the choice."""
    return Shelf(_taking(pack, readings) for pack in shelf) if readings else shelf


def _taking(pack: SettlementPack, readings: Mapping[str, str]) -> SettlementPack:
    values = {
        name: replace(value, value=readings.get(name, value.value), others=()) for name, value in pack.values.items()
    }
    return replace(pack, values=values)


def read_cases(path: Path) -> list[Case]:
    """Every case of a file."""
    root = as_table(read_document(path, path.name))
    root.only(("cases",))
    return [_case(as_table(node)) for node in as_items(root.need("cases"))]


def _case(table: Table) -> Case:
    table.only(CASE_WORDS)
    expect = as_table(table.need("expect"))
    expect.only(EXPECT_WORDS)
    clauses = table.get("clauses")
    packs, readings = table.get("packs"), table.get("readings")
    return Case(
        name=as_text(table.need("case")).text,
        clauses=tuple(plain(clauses)) if clauses is not None else (),
        packs=as_text(packs).text if packs is not None else "shipped",
        readings=plain(readings) if readings is not None else {},
        inputs=_inputs(as_table(table.need("given"))),
        expect=plain(expect),
        where=f"{table.place.file}:{table.place.line}",
    )


def plain(node: Node) -> Any:
    """The node as plain text, lists and dictionaries."""
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Items):
        return [plain(each) for each in node.items]
    return {word: plain(each) for word, each in node.entries.items()}


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _or_none(text: str) -> str | None:
    return None if text == "none" else text


def _text(text: str) -> str:
    return text


def _spans(make: Callable[..., Any]) -> Callable[[Any], tuple[Any, ...]]:
    def of(given: Any) -> tuple[Any, ...]:
        return () if given == "none" else tuple(make(**_suspended(each)) for each in given)

    return of


def _suspended(given: dict[str, Any]) -> dict[str, Any]:
    if "suspended" in given:
        return {**given, "suspended": [span(**each) for each in given["suspended"]]}
    return given


def _referral(given: Any) -> Any:
    return None if given == "none" else a_referral(given["kind"], _flag(given["accepted"]))


BILL: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(MONEY, _text),
    "admitted_on": _text,
    "discharged_on": _text,
    "care_setting": _text,
    "emergency": _flag,
    "pay_later_agreement_no": _or_none,
    "diagnoses": tuple,
    "cause": _text,
    "place": _text,
    "referral": _referral,
    "identity_given": _flag,
}
PATIENT: dict[str, Callable[[Any], Any]] = {
    "birth_date": lambda text: span(text).first,
    "poverty": _spans(poor),
    "insurance": _spans(insured),
    "household_registration": _flag,
    "birth_document": _or_none,
    "identity_types": tuple,
    "severe_mental_disorder": _flag,
    "name_matches": _flag,
    "resident_county": _text,
}
INSTITUTION: dict[str, Callable[[Any], Any]] = {
    "kind": _text,
    "institution_county": _text,
    "designated": _spans(span),
}
OTHER = ("residents", "committed", "decision")


def _inputs(table: Table) -> Inputs:
    table.only((*BILL, *PATIENT, *INSTITUTION, *OTHER))
    given = plain(table)
    try:
        return Inputs(_bill(given), _candidates(given), _institution(given), _committed(given), _decision(given))
    except (ValueError, KeyError, TypeError) as error:
        raise PolicyError(table.place, f"this cannot be given: {error!r}") from error


def _known(given: Mapping[str, Any], kinds: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {word: make(given[word]) for word, make in kinds.items() if word in given}


def _bill(given: Mapping[str, Any]) -> Bill:
    return a_bill(**_known(given, BILL))


def _candidates(given: Mapping[str, Any]) -> tuple[Patient, ...]:
    """One resident as `given` says; `residents: none` for nobody, or a list of what differs in each."""
    residents = given.get("residents", [{}])
    if residents == "none":
        return ()
    candidates = []
    for number, differs in enumerate(residents):
        known = _known({**given, **differs}, PATIENT)
        county = known.pop("resident_county", None)
        known |= {"county_code": county} if county else {}
        candidates.append(a_patient(**known, resident_id=f"00000000-0000-4000-8000-{number + 1:012d}"))
    return tuple(candidates)


def _institution(given: Mapping[str, Any]) -> Institution:
    known = _known(given, INSTITUTION)
    county = known.pop("institution_county", None)
    return an_institution(**known, **({"county_code": county} if county else {}))


def _committed(given: Mapping[str, Any]) -> dict[str, int]:
    return {name: fen(amount) for name, amount in given.get("committed", {}).items()}


def _decision(given: Mapping[str, Any]) -> OfficeDecision | None:
    if "decision" not in given:
        return None
    said = given["decision"]
    return OfficeDecision(
        said["decision"],
        reason="已核实",
        legal_basis=said.get("legal_basis", "办公室会议纪要"),
        rule=rule_named_in(said.get("legal_basis", "")),
        amount_fen=fen(said["amount"]) if "amount" in said else None,
    )
