"""每月垫付资金汇总表: the monthly summary of what a hospital advanced, as pages and as a table. Pure."""

import io
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from safety_net_service.claims.models import Claim, ClaimLine
from shared.kit import clock, typeset
from shared.kit.money import yuan
from shared.kit.sealing import Keyring

FORM = Path(__file__).parent / "summary.typ"
TITLE = "每月垫付资金汇总表"
WORDS = ("序号", "患者姓名", "住院号", "结算单号", "入院日期", "出院日期")
MONEY = ("住院总费用", "基本医保", "大病保险", "商业补充", "医疗救助", "垫付兜底")
WIDTHS = (6, 12, 18, 22, 12, 12, 14, 14, 14, 14, 14, 14)


@dataclass(frozen=True)
class Summary:
    """What the summary says: facts for its head, and its rows in the order of the claim, amounts in fen."""

    head: dict[str, str]
    rows: list[tuple[tuple[str, ...], tuple[int, ...]]]

    @classmethod
    def of(cls, claim: Claim, lines: list[ClaimLine], keyring: Keyring) -> "Summary":
        """The lines of a claim that were not returned."""
        head = {
            "医疗机构": f"{claim.institution_name}（{claim.institution_code}）",
            "申报月份": f"{claim.month:%Y-%m}",
            "开户银行": claim.bank,
            "户名": claim.account_holder,
            "账号": keyring.open(claim.sealed_account),
            "送达时间": f"{claim.submitted_at.astimezone(clock.CHINA):%Y-%m-%d %H:%M}",
            "申报编号": str(claim.claim_id),
        }
        return cls(head, [_row(line, keyring) for line in lines if line.state == "claimed"])

    @property
    def sums(self) -> tuple[int, ...]:
        """Each column of money, added up."""
        return tuple(sum(money[column] for _, money in self.rows) for column in range(len(MONEY)))


def pdf(summary: Summary) -> bytes:
    """Pages (A4 lying) to be signed and stamped. Raises `typeset.GlyphMissing`."""
    content = {
        "title": TITLE,
        "head": [{"label": label, "value": value} for label, value in summary.head.items()],
        "columns": [*WORDS, *MONEY],
        "rows": [[*words, *map(yuan, money)] for words, money in summary.rows],
        "sums": [yuan(each) for each in summary.sums],
    }
    return typeset.pdf(FORM, content)


def xlsx(summary: Summary) -> bytes:
    """The same as a table. Amounts are numbers with two decimals; words are words, whatever sign they begin with."""
    # Imported here: a service that makes no table does not load it.
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet(TITLE)
    for column, width in enumerate(WIDTHS, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width

    def word(text: str) -> WriteOnlyCell:
        cell = WriteOnlyCell(sheet, text)
        # A name that begins with = is no formula.
        cell.data_type = "s"
        return cell

    def amount(fen: int) -> WriteOnlyCell:
        cell = WriteOnlyCell(sheet, Decimal(fen) / 100)
        cell.number_format = "0.00"
        return cell

    sheet.append([word(TITLE)])
    for label, value in summary.head.items():
        sheet.append([word(label), word(value)])
    sheet.append([word(each) for each in (*WORDS, *MONEY)])
    for words, money in summary.rows:
        sheet.append([*map(word, words), *map(amount, money)])
    sheet.append([word("合计"), *(word("") for _ in WORDS[1:]), *map(amount, summary.sums)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _row(line: ClaimLine, keyring: Keyring) -> tuple[tuple[str, ...], tuple[int, ...]]:
    words = (
        str(line.place),
        keyring.open(line.sealed_name),
        line.admission_no,
        line.bill_no,
        f"{line.admitted_on}",
        f"{line.discharged_on}",
    )
    money = (
        line.total_fen,
        line.basic_insurance_fen,
        line.critical_illness_fen,
        line.supplementary_insurance_fen,
        line.medical_assistance_fen,
        line.safety_net_fen,
    )
    return words, money
