"""Identity documents as Luzhai's residents really bear them."""

from datetime import date

import pytest

from shared.kit.identity_number import IdentityRefused, canonical, check_digit, checked, warnings

TODAY = date(2026, 11, 21)
AREAS = frozenset({"450223", "452223"})


def a_number(area: str, birth: str, serial: str = "000") -> str:
    return area + birth + serial + check_digit(area + birth + serial)


@pytest.mark.parametrize(
    "number",
    [
        "450223197503120006",
        a_number("450223", "19750101"),  # Luzhai's code since 2002 with an earlier birth: registered late
        a_number("452223", "19750101"),
        a_number("150824", "19750101"),
        a_number("450223", "20000229"),
    ],
)
def test_true_numbers_pass(number: str) -> None:
    assert checked("resident_id", number, TODAY) == number


@pytest.mark.parametrize("area", ["810000", "820000", "830000"])
def test_residence_permits_of_hong_kong_macau_and_taiwan_pass(area: str) -> None:
    number = a_number(area, "19900101")
    assert checked("residence_permit_hmt", number, TODAY) == number


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("450223197503120007", "identity_check_digit"),
        (a_number("450223", "20990101"), "identity_birth_date"),
        (a_number("450223", "20230229"), "identity_birth_date"),
        (a_number("450223", "18991231"), "identity_birth_date"),
        (a_number("999999", "19750101"), "identity_area"),
        ("45022319750312000", "identity_malformed"),
        ("4502231975031200066", "identity_malformed"),
        ("45022319750312000Y", "identity_malformed"),
        ("", "identity_malformed"),
    ],
)
def test_false_numbers_are_refused_with_the_reason(number: str, code: str) -> None:
    with pytest.raises(IdentityRefused) as refused:
        checked("resident_id", number, TODAY)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "spelling",
    ["４５０２２３１９７５０３１２０００６", "450223 19750312 0006", "450223-19750312-0006", " 450223197503120006\t"],
)
def test_one_number_has_one_spelling(spelling: str) -> None:
    assert canonical(spelling) == "450223197503120006"


def test_every_x_is_one_x() -> None:
    number = next(n for day in range(1, 29) if (n := a_number("450223", f"199001{day:02d}")).endswith("X"))
    for letter in ("x", "X", "Ⅹ", "Х", "Ｘ"):
        assert checked("resident_id", number[:17] + letter, TODAY) == number


def test_an_old_card_of_fifteen_digits_becomes_eighteen() -> None:
    assert canonical("450223750312000") == "450223197503120006"


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("travel_permit_hm", "H12345678"),
        ("travel_permit_hm", "M1234567801"),
        ("travel_permit_tw", "12345678"),
        ("foreign_permanent_resident", "CHN110123456789"),
        ("birth_certificate", "P450123456"),
        ("birth_permit", "桂准字2018001号"),
    ],
)
def test_documents_without_a_check_digit_are_known_by_their_shape(kind: str, number: str) -> None:
    assert checked(kind, number, TODAY) == number
    with pytest.raises(IdentityRefused):
        checked(kind, "?", TODAY)


def test_what_is_odd_but_may_be_true_is_a_warning() -> None:
    number = a_number("110101", "19900101", "001")
    found = warnings("resident_id", number, birth=date(1990, 1, 2), sex="female", areas=AREAS)
    assert [code for code, _ in found] == [
        "identity_area_elsewhere", "identity_birth_date_differs", "identity_sex_differs",
    ]  # fmt: skip
    never_issued = a_number("450223", "19900101")
    assert warnings("resident_id", never_issued, birth=date(1990, 1, 1), sex="male", areas=AREAS) == []
