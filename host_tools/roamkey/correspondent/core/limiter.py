"""How often refusals may leave: a token bucket for each source, and one for all together.

Binding Errors answer packets that nobody authenticated, so that a liar may aim them at a third
party; and replayed Binding Updates cost a MAC each. RFC 6275 section 9.3.3 asks for the limit.
"""

from collections import OrderedDict


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
    """Says whether a source may be sent another refusal; `withheld` counts when not.

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
        """Rates in refusals a second: for one source, and for all together."""
        self._rate, self._burst = rate, burst
        self._overall_rate, self._overall_burst = overall_rate, overall_burst
        self._overall: Bucket | None = None
        self._sources: OrderedDict[bytes, Bucket] = OrderedDict()
        self._sources_max = sources_max
        self.withheld = 0

    def allow(self, source: bytes, now: int) -> bool:
        """Whether a refusal may go to `source` at `now` (milliseconds)."""
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
