"""Carries out the steps of a pack on one whole stay: amounts in, amounts out, each with its clause and its sum.

What no pack may change is not here but around it: a stay is cut at the packs' dates, and all money received never
exceeds the bill.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from safety_net_service.settlements.rules.facts import COUNTED_WITH_THE_BILL, Bill
from safety_net_service.settlements.rules.outcome import Step
from safety_net_service.settlements.rules.shape import PAYERS, SettlementPack, StepRule
from shared.kit.money import portion, yuan

WHOLE: Final = "100%"
_NOTHING_PAID: Final = dict.fromkeys(PAYERS, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """What one step gives for the whole stay, and which line of the explanation says so."""

    rule: StepRule
    amount_fen: int
    step_index: int


@dataclass(frozen=True, slots=True)
class Award:
    """What a pack gives for the whole stay, and how it says so. `undecided`: its text has no formula for this."""

    parts: tuple[Part, ...]
    steps: tuple[Step, ...]
    undecided: StepRule | None

    @property
    def amount_fen(self) -> int:
        """All parts together."""
        return sum(part.amount_fen for part in self.parts)


def award(pack: SettlementPack, bill: Bill, facts: Mapping[str, str], decided_fen: int | None = None) -> Award:
    """Apply the pack's steps, in their order, to the whole stay.

    `decided_fen` is what the office granted where the text leaves the sum to it; without it such a step gives the
    most it can be.
    """
    amounts = _amounts(pack, bill)
    parts: list[Part] = []
    steps: list[Step] = []
    undecided: StepRule | None = None
    for rule in pack.steps:
        if not rule.applies(facts):
            continue
        paid_fen = _pay(pack, rule, amounts, decided_fen, steps)
        if rule.way == "office":
            undecided = rule
        parts.append(Part(rule, paid_fen, len(steps) - 1))
        amounts[rule.pay] += paid_fen
        amounts["personal"] = max(amounts["personal"] - paid_fen, 0)
    return Award(tuple(parts), tuple(steps), undecided)


def _amounts(pack: SettlementPack, bill: Bill) -> dict[str, int]:
    counted_fen = bill.counted_fen(pack.counted)
    # A payer whose step did not apply has paid nothing; a later step may still subtract him.
    amounts = {name: bill.given_fen(name) for name in COUNTED_WITH_THE_BILL} | _NOTHING_PAID
    amounts["base"] = bill.base_fen
    amounts["in_scope"] = bill.in_scope_fen
    amounts["out_of_scope"] = max(bill.base_fen - bill.in_scope_fen, 0)
    amounts["counted"] = counted_fen
    amounts["personal"] = bill.total_fen - counted_fen
    return amounts


def _pay(
    pack: SettlementPack, rule: StepRule, amounts: Mapping[str, int], decided_fen: int | None, steps: list[Step]
) -> int:
    quote = pack.quote(rule.clause)
    of_fen = amounts[rule.of]
    less = [amounts[name] for name in rule.less]
    if rule.way == "top_up" and rule.ratio is not None:
        target_fen = portion(of_fen, rule.ratio.value)
        says = f"{yuan(of_fen)} × {rule.ratio.text} = {yuan(target_fen)}"
        steps.append(Step(rule.clause, quote, "target", says, target_fen))
        paid_fen, says = _rest(target_fen, less)
        steps.append(Step(rule.clause, quote, rule.pay, says, paid_fen))
        return paid_fen
    rest_fen, says = _rest(of_fen, less)
    if rule.way == "rate" and rule.ratio is not None:
        paid_fen = portion(rest_fen, rule.ratio.value)
        if rule.ratio.text != WHOLE:
            steps.append(Step(rule.clause, quote, "residual", says, rest_fen))
            says = f"{yuan(rest_fen)} × {rule.ratio.text} = {yuan(paid_fen)}"
        steps.append(Step(rule.clause, quote, rule.pay, says, paid_fen))
        return paid_fen
    steps.append(Step(rule.clause, quote, "most", f"{says}（文件未定比例，至多此数）", rest_fen))
    if decided_fen is None:
        return rest_fen
    paid_fen = min(decided_fen, rest_fen)
    steps.append(Step(rule.clause, quote, rule.pay, f"经办公室决定：{yuan(paid_fen)}", paid_fen))
    return paid_fen


def _rest(of_fen: int, less: list[int]) -> tuple[int, str]:
    """What is left after subtracting, never below zero, and how that reads."""
    rest_fen = of_fen - sum(less)
    sum_text = " − ".join([yuan(of_fen), *map(yuan, less)])
    if rest_fen < 0:
        rest_fen = 0
        return rest_fen, f"{sum_text} < 0，计 {yuan(rest_fen)}"
    return rest_fen, f"{sum_text} = {yuan(rest_fen)}"
