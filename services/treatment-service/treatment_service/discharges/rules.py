"""What makes two bills the same one. Pure: no clock, no database."""

from uuid import UUID, uuid5

BILLS = UUID("7b1f6d0e-5b8f-5c57-9a2e-45022301001a")
"""The name space of `discharge_id_of`. Never changed: every discharge id rests on it."""


def discharge_id_of(institution_code: str, bill_no: str) -> UUID:
    """The id of a bill by its natural key, for ever: recorded again after a restore it is the same discharge elsewhere.

    Under another id it would be settled, and paid, a second time.
    """
    return uuid5(BILLS, f"{institution_code}\n{bill_no}")


def differences(recorded: dict[str, object], sent: dict[str, object], at: str = "") -> list[str]:
    """JSON pointers to the fields in which two bills differ, compared by value."""
    found = []
    for name in sorted(recorded.keys() | sent.keys()):
        here, there, where = recorded.get(name), sent.get(name), f"{at}/{name}"
        if isinstance(here, dict) and isinstance(there, dict):
            found += differences(here, there, where)
        elif here != there:
            found.append(where)
    return found
