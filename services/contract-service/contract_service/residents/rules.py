"""What the register checks of a resident. Pure: no clock, no database."""

from collections.abc import Iterable
from datetime import date

from contract_service.residents.schemas import IdentityDocument, ResidentCreate, ResidentWarning
from shared.kit import identity_number
from shared.kit.fields import FieldError
from shared.kit.identity_number import IdentityRefused

EARLIEST_BIRTH = date(1900, 1, 1)
# Codes a county bore before: a number keeps the area of first registration. Luzhai was 452223 until 2001, Urad Middle
# Banner 152825 until 2002 (GB/T 2260 and its changes).
FORMER_AREAS = {"450223": ("452223",), "150824": ("152825",)}


def number_of(identity: IdentityDocument, today: date) -> tuple[str, list[FieldError]]:
    """The number as it is kept, or why it can't be one of its type."""
    try:
        return identity_number.checked(identity.type, identity.number, today), []
    except IdentityRefused as refused:
        return "", [FieldError("/identity/number", refused.code, refused.detail)]


def masked(last_four: str) -> str:
    """A number as a list shows it: how long it is, is not told either."""
    return f"****{last_four}"


def broken(wanted: ResidentCreate, county_code: str, today: date) -> list[FieldError]:
    """Which rules of the register a record breaks, beside its number."""
    errors = []
    if wanted.birth_date > today:
        errors.append(FieldError("/birth_date", "date_in_future", "出生日期晚于今天。"))
    if wanted.birth_date < EARLIEST_BIRTH:
        errors.append(FieldError("/birth_date", "birth_date_too_early", "出生日期早于 1900 年。"))
    if wanted.village_code[:6] != county_code:
        errors.append(FieldError("/village_code", "village_outside_county", "村代码不属于本县。"))
    return errors


def oddities(kind: str, number: str, *, birth: date, sex: str, county_code: str) -> list[ResidentWarning]:
    """What looks odd about a number beside the record, and may yet be true."""
    areas = frozenset([county_code, *FORMER_AREAS.get(county_code, ())])
    found = identity_number.warnings(kind, number, birth=birth, sex=sex, areas=areas)
    return [ResidentWarning(code=code, detail=detail) for code, detail in found]


def differing(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The names of the fields that differ."""
    return sorted(name for name in after if before.get(name) != after[name])


def village_prefixes(townships: Iterable[str | None]) -> list[str]:
    """The beginnings of village codes that lie in these townships."""
    return sorted({township for township in townships if township})
