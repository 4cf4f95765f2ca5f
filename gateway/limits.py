"""How often one client, and one address, may ask: token buckets in this process, in bounded memory.

A bucket is one number, the moment at which it will be full again. Several gateways each count for themselves.
"""

import math
from collections import OrderedDict
from collections.abc import Callable

from gateway.errors import TooManyRequests
from gateway.exchange import Exchange
from gateway.settings import GatewaySettings
from shared.kit.tokens import block_of

# Forgetting a bucket gives its caller what he had used of it, nothing more; some 4 MB each when full of strangers.
MOST_BUCKETS = 20_000
SIGNING_IN = "/oauth/"


class Buckets:
    """One bucket for each key: ``burst`` requests at once, then ``rate`` a second."""

    def __init__(self, name: str, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self.name, self.burst, self.clock = name, burst, clock
        self.each_seconds = 1 / rate
        self.depth_seconds = burst * self.each_seconds
        self.policy = f'"{name}";q={burst};w={math.ceil(self.depth_seconds)}'.encode()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str) -> bytes:
        """Take one: what is left, as `RateLimit` says it. Raises `TooManyRequests` when nothing is."""
        now = self.clock()
        full_at = max(self._full_at.get(key, now), now) + self.each_seconds
        missing_seconds = full_at - now - self.depth_seconds
        # A trillionth of a second is arithmetic, not a request too many.
        if missing_seconds > 1e-9:
            raise TooManyRequests(
                headers={"Retry-After": str(math.ceil(missing_seconds)), **self._headers(0, now, key)}
            )
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > MOST_BUCKETS:
            self._full_at.popitem(last=False)
        left = int((self.depth_seconds - (full_at - now)) * (1 / self.each_seconds) + 1e-6)
        return f'"{self.name}";r={left};t={math.ceil(full_at - now)}'.encode()

    def _headers(self, left: int, now: float, key: str) -> dict[str, str]:
        seconds = math.ceil(self._full_at.get(key, now) - now)
        return {
            "RateLimit-Policy": self.policy.decode(),
            "RateLimit": f'"{self.name}";r={left};t={seconds}',
        }

    def __len__(self) -> int:
        return len(self._full_at)


class RateLimits:
    """The limits of one gateway. Each answer says how the caller stands (draft-ietf-httpapi-ratelimit-headers)."""

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float]) -> None:
        self.clients = Buckets("client", settings.client_rate, settings.client_burst, clock)
        self.addresses = Buckets("address", settings.address_rate, settings.address_burst, clock)
        self.sign_ins = Buckets("sign-in", settings.sign_in_rate, settings.sign_in_burst, clock)

    def by_address(self, exchange: Exchange) -> None:
        """Count a request where it comes from, before anything is known of it; sign-ins have a limit of their own."""
        block = exchange.client = block_of(exchange.address)
        self._take(exchange, self.addresses, block)
        if exchange.path.startswith(SIGNING_IN):
            self._take(exchange, self.sign_ins, block)

    def by_client(self, exchange: Exchange) -> None:
        """Count a request of a caller whose token is good."""
        exchange.client = exchange.subject
        self._take(exchange, self.clients, exchange.subject)

    @staticmethod
    def _take(exchange: Exchange, buckets: Buckets, key: str) -> None:
        exchange.rate = ()
        left = buckets.take(key)
        exchange.rate = ((b"ratelimit-policy", buckets.policy), (b"ratelimit", left))
