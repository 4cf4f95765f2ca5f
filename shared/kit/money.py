"""Money: whole fen inside, yuan as a decimal string outside, and the only place where money is rounded.

Rounding is half-up and happens once, here (R-12); whatever is left is derived by subtraction and never rounded again.
"""

import re
from decimal import Decimal
from typing import Final

# At most 14 digits of yuan. Matched in full: no sign, exponent, blank, full-width digit or trailing newline passes.
PATTERN: Final = r"(0|[1-9][0-9]{0,13})\.[0-9]{2}"
MOST_FEN: Final = 10**16 - 1

_YUAN = re.compile(PATTERN)


class NotMoney(ValueError):
    """A text that is not an amount in yuan with exactly two decimals."""


def fen(text: str) -> int:
    """The fen in a yuan text: ``"12345.67"`` is 1234567. Anything but that exact form raises NotMoney."""
    if _YUAN.fullmatch(text) is None:
        raise NotMoney('an amount is written in yuan with two decimals, "12345.67"')
    return int(text.replace(".", ""))


def yuan(amount_fen: int) -> str:
    """The yuan text of an amount in fen: 1234567 is ``"12345.67"``. An amount is never negative."""
    if not 0 <= amount_fen <= MOST_FEN:
        raise NotMoney(f"{amount_fen} fen is no amount that can be written")
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def portion(amount_fen: int, ratio: Decimal) -> int:
    """`ratio` of an amount, half-up to the fen, exact for every size."""
    numerator, denominator = ratio.as_integer_ratio()
    return _half_up(amount_fen * numerator, denominator)


def portion_down(amount_fen: int, ratio: Decimal) -> int:
    """`ratio` of an amount, the odd part of a fen dropped: where a text or a reading says who bears it (R-11)."""
    numerator, denominator = ratio.as_integer_ratio()
    return amount_fen * numerator // denominator


def prorate(amount_fen: int, days: int, of_days: int) -> int:
    """The part of an amount that falls on `days` of `of_days`, half-up to the fen."""
    if not 0 <= days <= of_days or of_days == 0:
        raise ValueError(f"{days} of {of_days} days is no part")
    return _half_up(amount_fen * days, of_days)


def ratio4(numerator_fen: int, denominator_fen: int) -> str:
    """A ratio with four decimals, cut and never rounded up: 94.999 % must not pass for 95 %.

    Nothing over nothing has no ratio and is written ``"0.0000"``.
    """
    if numerator_fen < 0 or denominator_fen < 0:
        raise ValueError("a ratio of negative amounts is asked for")
    if denominator_fen == 0:
        return "0.0000"
    parts = numerator_fen * 10_000 // denominator_fen
    return f"{parts // 10_000}.{parts % 10_000:04d}"


def _half_up(numerator: int, denominator: int) -> int:
    if numerator < 0:
        raise ValueError("money is never negative")
    return (2 * numerator + denominator) // (2 * denominator)
