"""Whose rows a transaction may see: told to PostgreSQL, which enforces it row by row (row-level security).

Each transaction says once whose scope it works in; a transaction that says nothing sees nothing. The policies on the
tables (the services' migrations) read these settings, so a query that forgets its filter still finds nothing foreign.
Decision 0018 has the table of tables.
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
INSTITUTIONS = BOUND & {"hospital", "township_centre"}
TOWNSHIPS = BOUND & {"township_government", "poverty_workstation"}
VILLAGES = BOUND & {"village_committee"}


@dataclass(frozen=True)
class Scope:
    """What a transaction is bound to; an empty word is bound to nothing and matches no row.

    ``subject`` is who asks; ``service`` is ``"on"`` for the service's own work (events, jobs), which no county bounds.
    The order is that of `SETTINGS`.
    """

    county: str = ""
    institution: str = ""
    township: str = ""
    village: str = ""
    subject: str = ""
    service: str = ""

    @classmethod
    def of(cls, caller: Caller) -> "Scope":
        """The scope of a caller by the roles that let him in; by all he holds where no route was asked.

        A township centre (乡镇卫生院) is bound by its institution: in which township that lies the database looks up
        itself. A family doctor is bound by the subject, and finds nobody until teams are kept.
        """
        roles = caller.roles if caller.admitted is None else caller.admitted
        return cls(
            county=caller.county_code if roles - BOUND else "",
            institution=(caller.institution_code or "") if roles & INSTITUTIONS else "",
            township=_within(caller, caller.township_code) if roles & TOWNSHIPS else "",
            village=_within(caller, caller.village_code) if roles & VILLAGES else "",
            subject=caller.subject,
        )

    @property
    def values(self) -> tuple[str, ...]:
        """The parameters of `SET`, and of what `set_scope` is put into."""
        return astuple(self)


def _within(caller: Caller, place: str | None) -> str:
    """A township or village of the caller's own county; a token that names another's is bound to nothing."""
    return place if place and place.startswith(caller.county_code) else ""


NOBODY = Scope()
"""Sees nothing."""

SERVICE = Scope(service="on")
"""The service's own work, in every county."""

SETTINGS = ("app.county", "app.institution", "app.township", "app.village", "app.subject", "app.service")


def set_scope(first: int = 1) -> str:
    """``set_config(…)`` for each setting, until the transaction ends; the parameters count from ``$first``."""
    return ", ".join(f"set_config('{name}', ${place}, true)" for place, name in enumerate(SETTINGS, first))


SET = f"select {set_scope()}"
"""The statement with which a transaction begins."""
