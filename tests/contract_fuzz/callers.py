"""Everybody who may come: the nineteen roles, a hospital's machine, and somebody without a token."""

import time

from shared.kit.caller import ROLES
from tests.flow.conftest import System

NOBODY = "nobody"
MACHINE = "county_hospital"
# Who confirms what the first one proposed.
SECOND = "safety_net_office_2"
CALLERS = (*ROLES, MACHINE, SECOND, NOBODY)
# Well below the ten minutes of a machine's token.
FRESH_SECONDS = 300.0


class Tokens:
    """A token for each caller, renewed before it expires."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._kept: dict[str, tuple[float, str]] = {}

    def headers(self, caller: str) -> dict[str, str]:
        """The header that says who is asking."""
        if caller == NOBODY:
            return {}
        since, value = self._kept.get(caller, (0.0, ""))
        if not value or time.monotonic() - since > FRESH_SECONDS:
            signed_in = self.system.client(caller) if caller == MACHINE else self.system.user(caller)
            value = signed_in.headers["Authorization"]
            self._kept[caller] = (time.monotonic(), value)
        return {"Authorization": value}
