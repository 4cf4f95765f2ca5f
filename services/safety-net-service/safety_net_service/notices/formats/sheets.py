"""The three sheets as a PDF: what a printing says, put into the form ``notice.typ``."""

from pathlib import Path
from typing import Any

from safety_net_service.notices.rules import COLUMNS, RARE, SHEETS, TITLE, Paper
from shared.kit import typeset
from shared.kit.money import fen

FORM = Path(__file__).parent / "notice.typ"


def pdf(paper: Paper, check_code: str) -> bytes:
    """Three pages, one for each holder. Pure: the same printing gives the same bytes.

    Raises `typeset.GlyphMissing` where a name has a character the font lacks.
    """
    return typeset.pdf(FORM, content(paper, check_code))


def content(paper: Paper, check_code: str) -> dict[str, Any]:
    """What the form is filled with."""
    facts = {
        "医疗机构": f"{paper.institution_name}（{paper.institution_code}）",
        "患者姓名": paper.patient_name,
        "住院号": paper.admission_no,
        "结算单号": paper.bill_no,
        "入院日期": f"{paper.admitted_on}",
        "出院日期": f"{paper.discharged_on}",
    }
    quotes = dict.fromkeys(f"{step.clause}：{step.quote}" for step in paper.steps)
    again = f"（补打）：{paper.reason}" if paper.number > 1 else "（原件）"
    return {
        "title": TITLE,
        "sheets": [{"title": title} for _, _, title, _ in SHEETS],
        "printing": f"第 {paper.number} 次打印{again}",
        "facts": [{"label": label, "value": value} for label, value in facts.items()],
        "amounts": [
            {"title": title, "amount": paper.amounts[code], "clause": clause}
            for code, title, clause in COLUMNS
            if code not in RARE or fen(paper.amounts[code])
        ],
        "total": paper.total,
        "patient_pays": paper.patient_pays,
        "steps": "；".join(step.says for step in paper.steps),
        "basis": "　".join(quotes),
        "check_code": check_code,
        "settlement_id": paper.settlement_id,
        "policy_version": paper.policy_version,
        "printed_at": f"{paper.printed_at:%Y-%m-%d %H:%M}",
    }
