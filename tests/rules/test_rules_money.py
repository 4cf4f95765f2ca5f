"""Money as text and as fen: the exact form and no other; each rounding where the law says so."""

from decimal import Decimal

import pytest

from shared.kit.money import MOST_FEN, NotMoney, fen, portion, portion_down, prorate, ratio4, yuan


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0.00", 0), ("0.01", 1), ("1.10", 110), ("12345.67", 1234567), ("99999999999999.99", MOST_FEN)],
)
def test_yuan_and_fen_are_the_same_money(text: str, amount: int) -> None:
    assert fen(text) == amount
    assert yuan(amount) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.0", "1.000", ".00", "01.00", "+1.00", "-1.00", "-0.00", "1,000.00", "1_000.00", "1e3", "1.0e2",
        "NaN", "Infinity", " 1.00", "1.00 ", "1.00\n",
        "１.00", "1．00", "１２.３０", "٣.٠٠", "100000000000000.00", "0x1.00",
    ],
)  # fmt: skip
def test_anything_else_is_not_money(text: str) -> None:
    with pytest.raises(NotMoney):
        fen(text)


@pytest.mark.parametrize("amount", [-1, MOST_FEN + 1])
def test_an_amount_that_cannot_be_written_is_refused(amount: int) -> None:
    with pytest.raises(NotMoney):
        yuan(amount)


@pytest.mark.clause("R-12", "R-11")
@pytest.mark.parametrize(
    ("amount", "ratio", "rounded", "down"),
    [(33335, "0.9", 30002, 30001), (5, "0.1", 1, 0), (4, "0.1", 0, 0), (26813, "0.5", 13407, 13406), (0, "1", 0, 0)],
)
def test_halves_round_up_and_the_countys_half_rounds_down(amount: int, ratio: str, rounded: int, down: int) -> None:
    assert portion(amount, Decimal(ratio)) == rounded
    assert portion_down(amount, Decimal(ratio)) == down


def test_a_large_bill_is_exact() -> None:
    # In 32-bit binary fractions the rest of 5,000,000.07 × 90 % after 4,000,000.03 is 500,000.00: three fen are lost.
    assert portion(500_000_007, Decimal("0.90")) - 400_000_003 == 50_000_003
    assert portion(MOST_FEN, Decimal("0.90")) == 8_999_999_999_999_999


@pytest.mark.parametrize(
    ("days", "of_days", "part"), [(10, 20, 50), (1, 3, 33), (2, 3, 67), (0, 3, 0), (3, 3, 100), (1, 8, 13)]
)
def test_days_are_a_part_of_days(days: int, of_days: int, part: int) -> None:
    assert prorate(100, days, of_days) == part


@pytest.mark.parametrize(("days", "of_days"), [(4, 3), (-1, 3), (0, 0)])
def test_more_days_than_there_are_is_refused(days: int, of_days: int) -> None:
    with pytest.raises(ValueError, match="is no part"):
        prorate(100, days, of_days)


@pytest.mark.parametrize(
    ("numerator", "denominator", "shown"),
    [
        (9, 10, "0.9000"),
        (949999, 1000000, "0.9499"),
        (2, 3, "0.6666"),
        (5, 4, "1.2500"),
        (0, 7, "0.0000"),
        (3, 0, "0.0000"),
    ],
)
def test_a_ratio_is_cut_to_four_decimals(numerator: int, denominator: int, shown: str) -> None:
    assert ratio4(numerator, denominator) == shown


def test_negative_money_has_no_ratio_and_no_portion() -> None:
    with pytest.raises(ValueError, match="negative"):
        ratio4(-1, 2)
    with pytest.raises(ValueError, match="negative"):
        portion(-1, Decimal("0.5"))
