"""Every way treatment-service says no.

Problem
├── NotYourInstitution    403  the token belongs to another hospital
├── BillAlreadyRecorded   409  the natural key stands with another content
├── VersionConflict       409  a correction that does not follow the last version
├── BillVoided            409  a voided bill can't be corrected
├── TooManyLines          413  a batch of more than 5,000 bills
└── Invalid               422  unknown_institution, reimbursed_above_total, dates_out_of_order, part_above_total,
                               date_in_future, nothing_to_settle, version_not_first, natural_key_changed
"""

from shared.kit.problems import Problem


class NotYourInstitution(Problem):
    status, code, title = 403, "not_your_institution", "Another institution's bill"
    detail = "只能报送本机构的结算单；社保窗口只能代报没有接口的县外机构。"


class BillAlreadyRecorded(Problem):
    status, code, title = 409, "bill_already_recorded", "This bill number stands with another content"
    detail = "同一机构、同一单号、同一版本的结算单已登记，且内容不同；如需更正请走更正接口。"


class VersionConflict(Problem):
    status, code, title = 409, "version_conflict", "Not the next version"
    detail = "更正的版本号应为现有版本加一，请先读取最新版本。"


class BillVoided(Problem):
    status, code, title = 409, "bill_voided", "The bill was voided"
    detail = "该结算单已作废，不能再更正。"


class TooManyLines(Problem):
    status, code, title = 413, "too_many_lines", "More than 5,000 bills in one batch"
    detail = "一批最多 5000 份结算单，请分批报送。"
