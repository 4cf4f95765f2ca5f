"""Shares a bill out: each policy period's part by days, all of it within the bill, the fund's limit, then the split."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from safety_net_service.settlements.rules.eligibility import OF_THE_FORMULA, OF_THE_FUND, Finding
from safety_net_service.settlements.rules.facts import Bill, Institution
from safety_net_service.settlements.rules.kernel import Award, award
from safety_net_service.settlements.rules.outcome import Amounts, Reason, Step, YearShare
from safety_net_service.settlements.rules.shape import VALUES, Limit, SettlementPack, StepRule
from safety_net_service.settlements.rules.stay import Slice
from shared.kit.money import portion, portion_down, prorate, yuan

TOWNSHIP_CENTRE: Final = "township_centre"


@dataclass(frozen=True, slots=True)
class Shared:
    """A bill shared out, with its explanation and what stands in the way of paying it."""

    amounts: Amounts
    years: tuple[YearShare, ...]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Portion:
    """What one step of one pack gives for the days of one slice; `step_index` is the line that last said how much."""

    slice_index: int
    pack: SettlementPack
    rule: StepRule
    amount_fen: int
    step_index: int
    cut: bool = False
    hospital_fen: int = 0

    @property
    def safety_net_fen(self) -> int:
        return self.amount_fen - self.hospital_fen


def facts_of(pack: SettlementPack, bill: Bill, institution: Institution) -> dict[str, str]:
    """What the conditions of this pack's steps are asked about, and the readings the pack takes."""
    in_county = institution.county_code == pack.county_code
    facts = {
        "township_in_county": in_county and institution.kind == TOWNSHIP_CENTRE,
        "in_county": in_county,
        "referred": bill.referral is not None and bill.referral.accepted_by_insurer,
    }
    readings = {name: pack.choice(name) for name in pack.values if VALUES[name].in_when}
    return {**{name: "true" if value else "false" for name, value in facts.items()}, **readings}


@dataclass(slots=True)
class Sharing:
    """One bill being shared out under the packs of its slices; `pack` is the one that judges and names the base."""

    bill: Bill
    institution: Institution
    slices: tuple[Slice, ...]
    pack: SettlementPack
    committed: Mapping[str, int]
    decided_fen: int | None
    portions: list[_Portion] = field(default_factory=list, init=False)
    steps: list[Step] = field(default_factory=list, init=False)
    findings: list[Finding] = field(default_factory=list, init=False)
    of_days: int = field(init=False)
    """How many days the stay counts."""

    def __post_init__(self) -> None:
        """Count the days once."""
        self.of_days = sum(each.days for each in self.slices)

    def share_out(self) -> Shared:
        """Share the bill out, and say how."""
        self.say_what_is_known()
        self.run()
        self.say_other_readings()
        return self.result()

    def say(self, clause: str, step: str, says: str, amount_fen: int, pack: SettlementPack | None = None) -> None:
        self.steps.append(Step(clause, (pack or self.pack).quote(clause), step, says, amount_fen))

    def say_what_is_known(self) -> None:
        """What the sums start from, where it is not plain on the bill."""
        bill, pack = self.bill, self.pack
        if bill.non_medical_fen:
            says = f"{yuan(bill.total_fen)} − {yuan(bill.non_medical_fen)}（非医疗费用）= {yuan(bill.base_fen)}"
            self.say(pack.clause_of("base"), "base", says, bill.base_fen)
        if bill.government_topup_fen and "government_topup" in pack.counted:
            says = f"医保结算已支付政府兜底 {yuan(bill.government_topup_fen)}，计入已报销，不重复支付"
            self.say(pack.counted_clause, "government_topup", says, bill.government_topup_fen)
        spared = bill.emergency and not self.institution.is_designated(bill.admitted_on)
        if spared and "not_designated" in pack.exclusions:
            says = "急救、抢救，在非定点医疗机构住院：比照定点医疗机构的公式计算"
            self.say(pack.clause_of("emergency_not_designated"), "by_analogy", says, bill.base_fen)

    def run(self) -> None:
        """The order is law: days, then the bill as the limit, then the fund, and the split last."""
        self.award_slices()
        self.guard()
        self.limits()
        self.split()

    def award_slices(self) -> None:
        """Each pack's amount for the whole stay, and of it the part that falls on its days (R-17, R-18)."""
        for index, piece in enumerate(self.slices):
            if piece.pack is None:
                says = f"{piece.first_day.year}年：{piece.days}天没有施行中的政策，不支付，由个人承担"
                self.say(self.pack.clause_of("days_without_policy"), "no_policy", says, 0)
                continue
            facts = facts_of(piece.pack, self.bill, self.institution)
            whole = award(piece.pack, self.bill, facts, self.decided_fen)
            if whole.undecided is not None and self.decided_fen is None:
                self.findings.append(_undecided(piece.pack, whole.undecided))
            self.take(index, piece, piece.pack, whole)

    def take(self, index: int, piece: Slice, pack: SettlementPack, whole: Award) -> None:
        """Cut an award to its slice's days. The running sum is cut: so the parts add up to the cut of the whole."""
        before = len(self.steps)
        self.steps.extend(whole.steps)
        running_fen = given_fen = 0
        for part in whole.parts:
            running_fen += part.amount_fen
            until_fen = prorate(running_fen, piece.days, self.of_days)
            share = _Portion(index, pack, part.rule, until_fen - given_fen, before + part.step_index)
            given_fen = until_fen
            self.portions.append(share)
            if piece.days != self.of_days:
                self.rename(share, "whole_stay")
                days = f"{piece.days}天 ÷ {self.of_days}天"
                says = f"{piece.first_day.year}年：{yuan(part.amount_fen)} × {days} = {yuan(share.amount_fen)}"
                share.step_index = len(self.steps)
                self.say(pack.dates_clause, part.rule.pay, says, share.amount_fen, pack)

    def rename(self, share: _Portion, name: str) -> None:
        """A line that does not say the last word on a share must not bear the payer's name."""
        self.steps[share.step_index] = replace(self.steps[share.step_index], step=name)

    def guard(self) -> None:
        """R-08: all that is received never exceeds the bill; the latest period gives way first."""
        room_fen = self.bill.total_fen - self.bill.received_fen
        asked_fen = sum(each.amount_fen for each in self.portions)
        if asked_fen <= room_fen:
            return
        _cut_latest_first(self.portions, asked_fen - room_fen)
        says = (
            f"{yuan(self.bill.total_fen)} − {yuan(self.bill.received_fen)} = {yuan(room_fen)}："
            f"收到的钱合计不超过总费用，{yuan(asked_fen)} 减为 {yuan(room_fen)}"
        )
        self.say(self.pack.clause_of("received_guard"), "guard", says, room_fen)

    def limits(self) -> None:
        """What the fund still has; beyond it a bill waits, or gets what is left (R-39)."""
        limits = {each.rule.limit.name: (each.rule.limit, each.pack) for each in self.portions if each.rule.limit}
        for name, (limit, pack) in limits.items():
            portions = [each for each in self.portions if each.rule.limit and each.rule.limit.name == name]
            asked_fen = sum(each.amount_fen - _hospital_fen(each) for each in portions)
            committed_fen = self.committed.get(name)
            if committed_fen is None:
                self.short(limit, pack, f"不知{name}已承诺的总额，不能再承诺。")
                continue
            free_fen = max(limit.most_fen - committed_fen, 0)
            if asked_fen <= free_fen:
                continue
            says = f"{yuan(limit.most_fen)} − 已承诺 {yuan(committed_fen)} = {yuan(free_fen)}，需 {yuan(asked_fen)}"
            self.say(limit.clause, "limit", says, free_fen, pack)
            if limit.short == "cut":
                _cut_latest_first(portions, asked_fen - free_fen)
            else:
                self.short(limit, pack, f"资金余额不足：{says}。")

    def short(self, limit: Limit, pack: SettlementPack, detail: str) -> None:
        reason = Reason("evidence_missing", limit.clause, pack.quote(limit.clause), detail)
        self.findings.append(Finding(OF_THE_FUND, False, reason, office_may_pass=False))

    def split(self) -> None:
        """A3-23, R-11: last of all, each share is split; the odd fen is never the county's."""
        for each in self.portions:
            each.hospital_fen = _hospital_fen(each)
            if not each.cut and each.rule.split is None:
                continue
            self.rename(each, "before_cut" if each.cut else "before_split")
            if each.rule.split is None:
                says = f"减为 {yuan(each.amount_fen)}"
                self.say(each.rule.clause, each.rule.pay, says, each.amount_fen, each.pack)
                continue
            safety_net, hospital = yuan(each.safety_net_fen), yuan(each.hospital_fen)
            says = f"{yuan(each.amount_fen)} × {each.rule.split.share.text} = {safety_net}（县级财政）"
            self.say(each.rule.clause, each.rule.pay, says, each.safety_net_fen, each.pack)
            says = f"{yuan(each.amount_fen)} − {safety_net} = {hospital}（乡镇卫生院）"
            self.say(each.rule.clause, "hospital_share", says, each.hospital_fen, each.pack)
            if each.safety_net_fen != portion(each.amount_fen, each.rule.split.share.value):
                says = "不足一分的零头不由县级财政承担"
                self.say(each.rule.split.clause, "odd_fen", says, 1, each.pack)

    def say_other_readings(self) -> None:
        """Beside a disputed reading stands what the other one would have given (R-09)."""
        for name, value in self.pack.values.items():
            if not value.others or not self.depends_on(name):
                continue
            for other in value.others:
                packs = tuple(_with_reading(each, name, other) for each in self.slices)
                if packs == self.slices:
                    continue
                beside = replace(self, slices=packs)
                beside.run()
                amounts = beside.amounts()
                says = (
                    f"另一读法（{other}）：兜底 {yuan(amounts.safety_net_fen)}，"
                    f"医院承担 {yuan(amounts.hospital_share_fen)}，个人 {yuan(amounts.personal_fen)}"
                )
                self.say(value.clause, "other_reading", says, amounts.safety_net_fen)

    def depends_on(self, name: str) -> bool:
        """Whether this bill's money rests on the reading."""
        return any(name in each.rule.when for each in self.portions)

    def amounts(self) -> Amounts:
        return Amounts(
            bill=self.bill,
            reimbursed_fen=self.bill.counted_fen(self.pack.counted),
            safety_net_fen=sum(each.safety_net_fen for each in self.portions),
            hospital_share_fen=sum(each.hospital_fen for each in self.portions),
        )

    def result(self) -> Shared:
        years: list[YearShare] = []
        for index, piece in enumerate(self.slices):
            portions = [each for each in self.portions if each.slice_index == index]
            safety_net_fen = sum(each.safety_net_fen for each in portions)
            hospital_share_fen = sum(each.hospital_fen for each in portions)
            years.append(year_share(piece, self.of_days, safety_net_fen, hospital_share_fen))
        return Shared(self.amounts(), tuple(years), tuple(self.steps), tuple(self.findings))


def year_share(piece: Slice, of_days: int, safety_net_fen: int = 0, hospital_share_fen: int = 0) -> YearShare:
    """The row of one slice; days without a pack say so."""
    return YearShare(
        year=piece.first_day.year,
        days=piece.days,
        of_days=of_days,
        safety_net_fen=safety_net_fen,
        hospital_share_fen=hospital_share_fen,
        policy_version=None if piece.pack is None else piece.pack.version,
        reason="no_policy_in_force" if piece.pack is None else None,
    )


def _with_reading(piece: Slice, name: str, other: str) -> Slice:
    if piece.pack is None or name not in piece.pack.values:
        return piece
    value = piece.pack.values[name]
    if other not in value.others:
        return piece
    values = {**piece.pack.values, name: replace(value, value=other, others=())}
    return replace(piece, pack=replace(piece.pack, values=values))


def _undecided(pack: SettlementPack, rule: StepRule) -> Finding:
    reason = Reason(
        "evidence_missing", rule.clause, pack.quote(rule.clause), "文件没有规定救助比例和公式，须由办公室决定金额。"
    )
    return Finding(OF_THE_FORMULA, False, reason)


def _hospital_fen(each: _Portion) -> int:
    if each.rule.split is None:
        return 0
    return each.amount_fen - portion_down(each.amount_fen, each.rule.split.share.value)


def _cut_latest_first(portions: list[_Portion], excess_fen: int) -> None:
    for each in reversed(portions):
        less_fen = min(each.amount_fen, excess_fen)
        each.amount_fen -= less_fen
        each.cut = each.cut or less_fen > 0
        excess_fen -= less_fen
