"""How often what anybody can cause is done: a token bucket for each who asks, one for all.

Each purpose has its own, so that none is spent on another:

- errors to strangers: Binding Errors answer packets that nobody authenticated, so that a liar may
  aim them at a third party (RFC 6275 section 9.3.3 asks for the limit);
- refusals of authentic updates, among which are recorded ones: for each home address, and in that
  for each source;
- looks for a later key: an update that the current key doesn't verify may be under one of the
  fifteen others, or made up;
- what strangers may ask for under return routability: for each address, and for each site.
"""

from collections import OrderedDict

_PLENTY = 1e12
_SITE_OCTETS = 6


class Bucket:
    """`rate` tokens a second, `burst` at most."""

    __slots__ = ("at", "tokens")

    def __init__(self, burst: float, now: int) -> None:
        """A full bucket; `now` in milliseconds."""
        self.tokens = burst
        self.at = now

    def take(self, rate: float, burst: float, now: int) -> bool:
        """Take a token if there is one. A clock that went backwards refills nothing."""
        elapsed = max(0, now - self.at)
        self.at = now
        self.tokens = min(burst, self.tokens + elapsed * rate / 1000)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Limiter:
    """Says whether a source may have another one; `withheld` counts when not.

    Memory is bounded by `sources_max`.
    """

    def __init__(
        self,
        rate: float = 3,
        burst: float = 10,
        overall_rate: float = 300,
        overall_burst: float = 1000,
        sources_max: int = 4096,
    ) -> None:
        """Rates a second: for one source, and for all together."""
        self._rate, self._burst = rate, burst
        self._overall_rate, self._overall_burst = overall_rate, overall_burst
        self._overall: Bucket | None = None
        self._sources: OrderedDict[bytes, Bucket] = OrderedDict()
        self._sources_max = sources_max
        self.withheld = 0

    def allow(self, source: bytes, now: int) -> bool:
        """Whether `source` may have one at `now` (milliseconds)."""
        bucket = self._sources.get(source)
        if bucket is None:
            if len(self._sources) >= self._sources_max:
                self._sources.popitem(last=False)  # the one unheard of for longest
            bucket = self._sources[source] = Bucket(self._burst, now)
        self._sources.move_to_end(source)
        if self._overall is None:
            self._overall = Bucket(self._overall_burst, now)
        allowed = bucket.take(self._rate, self._burst, now) and self._overall.take(
            self._overall_rate, self._overall_burst, now
        )
        self.withheld += not allowed
        return allowed


class HomeLimiter:
    """The same for home addresses, with a smaller measure for each source that names one: so one
    sender doesn't spend what another is due. `withheld` as there."""

    def __init__(self, rate: float, burst: float, overall_rate: float) -> None:
        """Rates a second: for one source at a home address, and for all; a home address has
        three times that of a source."""
        self._by_source = Limiter(
            rate, burst, _PLENTY, _PLENTY
        )  # a home has its own, and that is paid
        self._by_home = Limiter(3 * rate, 3 * burst, overall_rate, 3 * overall_rate)
        self.withheld = 0

    def allow(self, home_address: bytes, source: bytes, now: int) -> bool:
        """Whether `source` may have one for this home address at `now` (milliseconds)."""
        allowed = self._by_source.allow(home_address + source, now) and self._by_home.allow(
            home_address, now
        )
        self.withheld += not allowed
        return allowed


class SiteLimiter:
    """The same for addresses of whom nobody knows: who has one has a whole prefix of them. So a
    site, the first 48 bits (RFC 6177), has a quarter of what all have. `withheld` as there."""

    def __init__(self, rate: float, burst: float, overall_rate: float) -> None:
        """Rates a second: for one address, and for all."""
        most = 3 * overall_rate
        self._by_address = Limiter(rate, burst, _PLENTY, _PLENTY)
        self._by_site = Limiter(overall_rate / 4, most / 4, overall_rate, most)
        self.withheld = 0

    def allow(self, address: bytes, now: int) -> bool:
        """Whether there may be one for `address` at `now` (milliseconds)."""
        allowed = self._by_address.allow(address, now) and self._by_site.allow(site(address), now)
        self.withheld += not allowed
        return allowed


def site(address: bytes) -> bytes:
    """The site that an address is of, as far as a stranger can tell."""
    return address[:_SITE_OCTETS]
