"""Every clause that stands is claimed by a test, and every claim is a clause."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import clauses as page
from tests.house.clauses import ROOT, BadRegister, Claims, Clause, Register, read_register
from tests.house.policy_text import NO_WORDS, plain, words_at
from tests.house.sources import committed

REGISTER = read_register()
CITED = re.compile(r"(?<![A-Za-z0-9-])(?:A[0-3]|U|R)-[0-9]{2}(?![0-9])")
SERVICES = {"contract-service": "contract_service", "treatment-service": "treatment_service"}
SERVICES["safety-net-service"] = "safety_net_service"


# --- the register is whole and points to the text ----------------------------------------------------------------


def test_no_number_is_left_out() -> None:
    wanted = {"A0": 1, "A1": 26, "A2": 31, "A3": 36, "U": 19, "R": 54}
    assert list(REGISTER.clauses) == [f"{p}-{n:02d}" for p, last in wanted.items() for n in range(1, last + 1)]


def test_no_worked_case_is_left_out() -> None:
    numbers = [case.rstrip("abc") for case in REGISTER.cases]
    assert list(dict.fromkeys(numbers)) == [f"P-{n:02d}" for n in range(1, 6)] + [f"C-{n:02d}" for n in range(1, 28)]


@pytest.mark.parametrize("clause", REGISTER.clauses.values(), ids=lambda clause: clause.id)
def test_a_clause_points_to_words_of_the_text(clause: Clause) -> None:
    if clause.place == NO_WORDS:
        assert clause.prefix == "R", f"{clause.id}: only a reading may rest on no words"
        return
    words = words_at(clause.place)
    assert words is not None, f"{clause.id}: docs/policy has no place {clause.place!r}"
    if clause.prefix == "R":
        return
    term = re.search(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)$", clause.obliges)
    for part in term[1].split(", ") if term else ():
        assert plain(part) in plain(words), f"{clause.id}: {part!r} does not stand at {clause.place!r}"


def test_a_clause_that_stands_has_its_module() -> None:
    missing = [f"{clause.id}: {clause.module}" for clause in REGISTER.clauses.values() if not _module_stands(clause)]
    assert not missing, "these clauses stand, but the folder that carries them does not:\n" + "\n".join(missing)


def _module_stands(clause: Clause) -> bool:
    service, _, capability = clause.module.partition("/")
    package = SERVICES.get(service)
    path = f"services/{service}/{package}/{capability}" if package else clause.module
    return not clause.stands or (ROOT / path).exists()


def test_what_no_program_can_do_is_a_part_of_a_clause() -> None:
    assert set(REGISTER.not_software) <= set(REGISTER.clauses)
    assert len(REGISTER.not_software) <= 8, "a short list: what can be recorded, computed or checked is software"


# --- tests and clauses meet --------------------------------------------------------------------------------------


def test_every_test_can_be_collected(collected: Claims) -> None:
    assert not collected.errors, "\n".join(collected.errors)
    assert len(collected.tests) >= 300, f"only {len(collected.tests)} tests were collected"


def test_every_claimed_id_exists(collected: Claims) -> None:
    wrong = page.unknown(REGISTER, collected)
    assert not wrong, "tests claim what docs/clauses.yaml does not have:\n" + "\n".join(wrong)


def test_every_clause_that_stands_is_claimed(collected: Claims) -> None:
    missing = [c for c in page.unclaimed(REGISTER, collected) if c.id in REGISTER.clauses]
    assert not missing, "these stand and no test claims them:\n" + "\n".join(f"{c.id}  {c.obliges}" for c in missing)


def test_every_worked_case_that_stands_is_claimed(collected: Claims) -> None:
    missing = [c for c in page.unclaimed(REGISTER, collected) if c.id in REGISTER.cases]
    assert not missing, "no test claims these worked cases:\n" + "\n".join(f"{c.id}  {c.obliges}" for c in missing)


def test_every_clause_cited_anywhere_exists() -> None:
    wrong, packs, cited = [], 0, set()
    for file in committed(".py", ".yaml", ".yml", ".md", ".json"):
        if file.path.startswith("tests/house/"):
            continue  # these cite what is not a clause, to be refused
        found = set(CITED.findall(file.text))
        packs += "/policies/" in file.path and file.path.endswith(".yaml") and bool(found)
        cited |= found
        wrong += [f"{file.path}: {clause}" for clause in sorted(found - set(REGISTER.clauses))]
    assert not wrong, "no such clause:\n" + "\n".join(wrong)
    assert packs >= 2, f"only {packs} policy packs cite clauses: is this looking in the right place?"
    assert len(cited) >= len(REGISTER.clauses) // 2


# --- the checks can fail -----------------------------------------------------------------------------------------


def _register_text(clauses: str) -> str:
    return f"clauses:\n{clauses}\ncases: {{}}\nnot_software: {{}}\n"


REFUSED = {
    "a doubled id": ('  A3-20: {place: p, module: m, obliges: "x"}\n' * 2, "A3-20 stands here a second time"),
    "an unknown word": ('  A3-20: {place: p, module: m, obliges: "x", when: 4}', "'when' is no word"),
    "a missing word": ("  A3-20: {place: p, module: m}", "obliges is missing"),
    "an empty text": ("  A3-20: {place: p, module: m, obliges: ''}", "obliges has no text"),
    "an issue that is no number": ("  A3-20: {place: p, module: m, obliges: x, later: soon}", "number of an issue"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED)
def test_a_broken_register_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "clauses.yaml").write_text(_register_text(text), encoding="utf-8")
    with pytest.raises(BadRegister, match=says):
        read_register(tmp_path / "clauses.yaml")


SMALL = Register({c.id: c for c in (Clause("A3-20", "x"), Clause("A3-25", "x", later=4))}, {}, {})


def test_a_claim_that_is_no_clause_is_named() -> None:
    assert page.unknown(SMALL, Claims({"tests/a.py::t": ("A3-20", "A3-99")})) == ["A3-99: claimed by tests/a.py::t"]


def test_a_standing_clause_without_a_claim_is_named_and_a_later_one_is_not() -> None:
    assert [clause.id for clause in page.unclaimed(SMALL, Claims({}))] == ["A3-20"]
    assert page.unclaimed(SMALL, Claims({"t": ("A3-20",)})) == []


@pytest.mark.parametrize(
    ("claims", "code"),
    [(Claims({"t": ("A3-20",)}), 0), (Claims({"t": ("A3-99",)}), 1), (Claims({"t": ("A3-20",)}, ("broken",)), 2)],
)
def test_the_exit_code_says_whether_every_claim_is_a_clause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], claims: Claims, code: int
) -> None:
    monkeypatch.setattr(page, "collect", lambda: claims)
    assert page.main([]) == code
    assert "claimed of all" in capsys.readouterr().out


def test_shares_are_cut_and_never_rounded_up() -> None:
    many = {f"A3-{n:02d}": Clause(f"A3-{n:02d}", "x") for n in range(3)}
    assert "2/3 66.66 %" in page.coverage("clauses", many, Claims({"t": ("A3-00", "A3-01")}))[0]


def test_marks_of_function_and_parameter_are_both_read() -> None:
    def marks() -> Iterator[pytest.Mark]:
        yield pytest.mark.clause("A3-20", "R-12").mark
        yield pytest.mark.clause("R-12", "C-05").mark

    assert page.claimed_by(marks()) == ("A3-20", "R-12", "C-05")
