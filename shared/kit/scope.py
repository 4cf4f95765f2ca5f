"""Whose rows a transaction may see: told to PostgreSQL, which enforces it row by row (row-level security).

Each transaction says once whose scope it works in; a transaction that says nothing sees nothing. The policies on the
tables (the services' migrations) read these settings, so a query that forgets its filter still finds nothing foreign.
"""

from dataclasses import astuple, dataclass

from shared.kit.caller import Caller

# Callers bound to something smaller than their county. Whoever holds another role sees it whole.
BOUND = frozenset(
    {
        "hospital",
        "township_centre",
        "family_doctor",
        "village_committee",
        "township_government",
        "poverty_workstation",
    }
)


@dataclass(frozen=True)
class Scope:
    """What a transaction is bound to; an empty word is bound to nothing and matches no row.

    ``subject`` is who asks; ``service`` is ``"on"`` for the service's own work (events, jobs), which no county bounds.
    The order is that of the settings in `SET`.
    """

    county: str = ""
    institution: str = ""
    township: str = ""
    village: str = ""
    subject: str = ""
    service: str = ""

    @classmethod
    def of(cls, caller: Caller) -> "Scope":
        """The scope of a caller by the roles the token gives."""
        return cls(
            county=caller.county_code if caller.roles - BOUND else "",
            institution=(caller.institution_code or "") if caller.has("hospital", "township_centre") else "",
            township=(caller.township_code or "") if caller.has("township_government", "poverty_workstation") else "",
            village=(caller.village_code or "") if caller.has("village_committee") else "",
            subject=caller.subject,
        )

    @property
    def values(self) -> tuple[str, ...]:
        """The parameters of `SET`."""
        return astuple(self)


SERVICE = Scope(service="on")
"""The service's own work, in every county."""

SETTINGS = ("app.county", "app.institution", "app.township", "app.village", "app.subject", "app.service")


def set_scope(first: int = 1) -> str:
    """``set_config(…)`` for each setting, until the transaction ends; the parameters count from ``$first``."""
    return ", ".join(f"set_config('{name}', ${place}, true)" for place, name in enumerate(SETTINGS, first))
