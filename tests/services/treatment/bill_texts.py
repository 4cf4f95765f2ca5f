"""Bills as texts, sound and broken in every way a text can be: drawn from a seed, the same in every run."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from shared.bills.form import EXAMPLE

NAMES = ("测试甲", "a", "·", "é", "𠮷野", "王 五", "x" * 200, "名" * 200, "\u3000名", "A:B", 'a"b', "a\\b")
NUMBERS = (None, "450223197503120006", "45022319750312004x", "出生证 １２", "A B-1", "N" * 64)
CODES = ("1", "ZY-2018/1", "!~", "x" * 64, "A:1", '"', "\\")
WRITTEN = ("0.00", "0.01", "1.00", "9.99", "99999999999999.99")
# What stands in place of one leaf: wrong nearly everywhere, or right only just.
LEAVES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**30, 1.0, 1.5, [], {}, [None], {"a": 1}, ["a"]),
    *("", " ", "\u3000", "\x85", "\u2028", "\u200b", "a b", "a\n", "\na", "a\tb", "\x7f", "a\x7f", "\x00", "\x1f"),
    *("x" * 64, "x" * 65, "x" * 200, "x" * 201, "名" * 64, "名" * 65, "𠮷" * 200, "𠮷" * 201, "\ud800", "\udc00x"),
    *("1.00", "1.0", "01.00", "1.00\n", "1.00\n2.00", "１.00", "1e2", "+1.00", "-1.00", "1.000", ".00", "0.00"),
    *("99999999999999.99", "100000000000000.00", "2018-08-11", "2018-02-29", "0000-01-01", "0001-01-01", "9999-12-31"),
    *("2018-8-11", "20180811", "2018-W32-6", "2018-08-11T00:00:00", "2018-08-11 ", "２018-08-11"),
    *("inpatient", "INPATIENT", "illness", "mainland", "transfer", "true", "H45022300001"),
    {"kind": "transfer", "number": "N1", "accepted_by_insurer": True},
    {"kind": "transfer", "number": "N1", "accepted_by_insurer": True, "more": 1},
)


def sound(draw: Random) -> dict[str, Any]:
    """A bill that nothing is wrong with."""
    bill: dict[str, Any] = copy.deepcopy(EXAMPLE)
    bill["bill_no"] = f"{draw.choice(CODES)[:40]}{draw.randrange(10**9)}"
    bill["patient"] = {"identity_number": draw.choice(NUMBERS), "name": draw.choice(NAMES)}
    bill["stay"] |= {
        "admission_no": draw.choice(CODES),
        "care_setting": draw.choice(("inpatient", "outpatient")),
        "emergency": draw.random() < 0.5,
        "pay_later_agreement_no": draw.choice((None, *CODES)),
    }
    bill["diagnoses"] = [
        {"code": draw.choice(("C34.900", "断", "x" * 40)), "name": draw.choice(NAMES), "principal": draw.random() < 0.5}
        for _ in range(draw.choice((1, 2, 3, 50)))
    ]
    if draw.random() < 0.5:
        bill["reimbursements"]["government_topup"] = draw.choice(("0.00", "1.00"))
    if draw.random() < 0.3:
        bill["circumstances"]["referral"] = {
            "kind": draw.choice(("transfer", "emergency_filing", "residence_filing")),
            "number": draw.choice(CODES),
            "accepted_by_insurer": draw.random() < 0.5,
        }
    return bill


def text(bill: Any, draw: Random) -> bytes:
    """A bill as one of the texts that mean it: escaped or not, spaced or not, its keys in some order."""
    if isinstance(bill, dict) and draw.random() < 0.3:
        names = list(bill)
        draw.shuffle(names)
        bill = {name: bill[name] for name in names}
    layout: dict[str, Any] = draw.choice(({}, {"separators": (",", ":")}, {"indent": 1}, {"separators": (" ,", " : ")}))
    written = json.dumps(bill, ensure_ascii=draw.random() < 0.5, **layout)
    return written.encode("utf-8", "surrogatepass")


def places(body: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a body that hold something."""
    if place:
        yield place
    if isinstance(body, dict | list):
        for key in body if isinstance(body, dict) else range(len(body)):
            yield from places(body[key], (*place, key))


def _inner(bill: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        bill = bill[key]
    return bill


def another_leaf(bill: dict[str, Any], draw: Random) -> bytes:
    place = draw.choice(list(places(bill)))
    _inner(bill, place)[place[-1]] = draw.choice(LEAVES)
    return text(bill, draw)


def one_less(bill: dict[str, Any], draw: Random) -> bytes:
    place = draw.choice(list(places(bill)))
    del _inner(bill, place)[place[-1]]
    return text(bill, draw)


def one_more(bill: dict[str, Any], draw: Random) -> bytes:
    holder = draw.choice([bill, *(inner for inner in bill.values() if isinstance(inner, dict))])
    holder[draw.choice(("extra", "", "\x00", "\ud800", "government_topup", "referral"))] = draw.choice(LEAVES)
    return text(bill, draw)


def another_amount(bill: dict[str, Any], draw: Random) -> bytes:
    for _ in range(draw.choice((1, 2, 3))):
        holder = bill[draw.choice(("charges", "reimbursements"))]
        holder[draw.choice(list(holder))] = draw.choice(WRITTEN)
    return text(bill, draw)


def a_key_twice(bill: dict[str, Any], draw: Random) -> bytes:
    """A key that stands twice, its second value the same or another, plain or escaped, near or far."""
    written = json.dumps(bill, ensure_ascii=False, separators=(",", draw.choice((":", " :", ": "))))
    name, value = draw.choice(TWINS)
    escaped = f"\\u{ord(name[0]):04x}{name[1:]}" if draw.random() < 0.3 else name
    twin = f'"{escaped}"{draw.choice((":", " :", chr(10) + ":"))}{value}'
    at = written.find(f'"{name}"')
    if at < 0:
        return written.encode()
    return (written[:at] + twin + "," + written[at:]).encode()


def a_flaw(bill: dict[str, Any], draw: Random) -> bytes:
    """One byte more, less or other than it should be."""
    raw = text(bill, draw)
    at = draw.randrange(len(raw))
    byte = bytes([draw.randrange(256) if draw.random() < 0.5 else draw.choice(b'":,}\\\n0')])
    before, after = raw[:at], raw[at + 1 :]
    return draw.choice((before + byte + raw[at:], before + after, before + byte + after, before))


def around(bill: dict[str, Any], draw: Random) -> bytes:
    """Something before or after it."""
    raw = text(bill, draw)
    wrapped = (b"\xef\xbb\xbf" + raw, b"[" + raw + b"]", b" \r\n" + raw + b"\t")
    return draw.choice((*wrapped, raw + b"x", raw + raw, b"null", b""))


TWINS = (("total", '"0.01"'), ("principal", "true"), ("version", "1"), ("name", '"乙"'), ("kind", "1"))
BROKEN: tuple[Callable[[dict[str, Any], Random], bytes], ...] = (
    another_leaf, another_leaf, another_leaf, one_less, one_more, another_amount, a_key_twice, a_flaw, around,
)  # fmt: skip
