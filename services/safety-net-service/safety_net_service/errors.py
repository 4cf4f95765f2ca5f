"""Every way safety-net-service says no.

Problem
├── NotYourInstitution     403  an estimate for another hospital's bill
├── SamePerson             403  a decision is confirmed by a second person
├── NoSuchPolicy           404  no pack of this county, kind and date
├── NotSettled             409  a notice is only made of a settlement that stands and pays
├── NotAdvanced            409  the three-part notice is of a stay whose cost the hospital advances
├── AlreadySigned          409  a printing is signed once; another is printed and signed anew
├── CharacterNotPrintable  409  a name has a character the font lacks: no paper leaves it out
├── SettlementSuperseded   409  a newer settlement, or a newer version of the bill, has taken its place
├── SettlementVoided       409  the bill was withdrawn
├── AlreadyClaimed         409  a settlement already claimed is not undone
├── NotHeld                409  only a held settlement can be passed
├── DecisionOpen           409  another decision on it waits for its second person
├── DecisionClosed         409  the decision was already confirmed or withdrawn
├── DecisionWithoutEffect  409  the policy leaves the office no say here
├── PackMissing            409  the pack a settlement rested on is no longer on the shelf
├── ClaimExists            409  a hospital claims a month once
├── NothingToClaim         409  nothing was advanced that is not claimed already
├── ClaimClosed            409  the Office has already passed the claim on
├── LineReturned           409  the line was sent back already
├── LinesUnsigned          409  a line without a signed sheet does not pass
├── WorkingDaysUnknown     409  nobody has told which days of that year are worked: no term is guessed
├── WorkingYearKnown       409  the country's notice of that year is known: a county enters only its own days
└── Invalid                422  unknown_institution, reimbursed_above_total, dates_out_of_order, part_above_total,
                                date_in_future, stay_too_long, nothing_to_settle, exclusion_of_a_pass,
                                amount_of_a_rejection, identity_number_in_text, day_of_another_year, day_twice,
                                nothing_arranged, reason_missing, proxy_named_wrongly, signed_before_printing,
                                moment_in_future, month_not_over
"""

from shared.kit.problems import Problem


class NotYourInstitution(Problem):
    status, code, title = 403, "not_your_institution", "Another institution's bill"
    detail = "只能试算本机构的结算单。"


class SamePerson(Problem):
    status, code, title = 403, "same_person", "The same person may not confirm"
    detail = "决定须由另一人复核确认，不能由提出人自己确认。"


class NoSuchPolicy(Problem):
    status, code, title = 404, "no_such_policy", "No such policy"
    detail = "没有这份政策：请核对县、类别和施行日期。"


class NotSettled(Problem):
    status, code, title = 409, "not_settled", "Not settled"
    detail = "该结算未结清（待定、不予救助、已更新或已作废），不能出具告知单。"


class NotAdvanced(Problem):
    status, code, title = 409, "not_hospital_advance", "Nothing was advanced"
    detail = "该结算不由医疗机构垫付，不打印三联单。"


class AlreadySigned(Problem):
    status, code, title = 409, "already_signed", "This printing is signed"
    detail = "该次打印已登记签字；如有错误，请补打后重新签字。"


class CharacterNotPrintable(Problem):
    """``characters`` stands beside the code: the code points the font has to be given."""

    status, code, title = 409, "character_not_printable", "The font lacks a character"
    detail = "内容中有字库没有的字，不能打印；请管理员补充字库，勿以他字代替。"


class SettlementSuperseded(Problem):
    status, code, title = 409, "settlement_superseded", "A newer one has taken its place"
    detail = "该结算已被新的结算取代，请查看最新结算。"


class SettlementVoided(Problem):
    status, code, title = 409, "settlement_voided", "The bill was withdrawn"
    detail = "该结算单已作废，不能再作决定。"


class AlreadyClaimed(Problem):
    status, code, title = 409, "already_claimed", "Already claimed"
    detail = "该结算已申报拨付，不再更改；差额另行追回或补付。"


class NotHeld(Problem):
    status, code, title = 409, "settlement_not_held", "Not held"
    detail = "只有待定的结算可以决定予以救助；已结清的只能依规定决定不予救助。"


class DecisionOpen(Problem):
    status, code, title = 409, "decision_open", "Another decision waits for its second person"
    detail = "该结算已有一项决定等待复核，请先确认或撤回。"


class DecisionClosed(Problem):
    status, code, title = 409, "decision_closed", "Already confirmed or withdrawn"
    detail = "该决定已确认或已撤回。"


class DecisionWithoutEffect(Problem):
    status, code, title = 409, "decision_without_effect", "The policy leaves the office no say here"
    detail = "按现行政策，此项决定不能改变结算结果（如证件缺失、明确的除外情形或资金不足）。"


class PackMissing(Problem):
    status, code, title = 409, "policy_version_missing", "The pack is no longer on the shelf"
    detail = "该结算所依据的政策版本已不在库中，无法复算。"


class WorkingDaysUnknown(Problem):
    """``year`` stands beside the code: the year somebody must enter."""

    status, code, title = 409, "working_days_unknown", "Nobody has told which days are worked"
    detail = "该年份的工作日安排尚未录入，不能计算期限。"


class WorkingYearKnown(Problem):
    status, code, title = 409, "working_year_known", "The country's days of that year are known"
    detail = "全国该年份的安排已经录入，只需录入本县另有规定的日子。"


class ClaimExists(Problem):
    status, code, title = 409, "claim_exists", "The month is claimed"
    detail = "该月已申报；漏报的请并入下月申报。"


class NothingToClaim(Problem):
    status, code, title = 409, "nothing_to_claim", "Nothing to claim"
    detail = "截至该月底没有可申报的垫付款。"


class ClaimClosed(Problem):
    status, code, title = 409, "claim_closed", "The Office has passed it on"
    detail = "该申报已审核通过，不能再改动。"


class LineReturned(Problem):
    status, code, title = 409, "line_returned", "Already returned"
    detail = "该行已经退回。"


class LinesUnsigned(Problem):
    """``lines`` stands beside the code: how many lack a signature."""

    status, code, title = 409, "lines_unsigned", "Lines without a signed sheet"
    detail = "有未签字告知单的行，不能通过；请先退回这些行或补签。"
