"""The board's clock against the correspondent's: how far apart, and how surely that is known.

An update leaves the board before the correspondent has it, and the acknowledgement leaves there
before the board has it. So each such pair bounds the offset (correspondent minus board) from both
sides, as in NTP, and no more can be said: how the round trip is shared between there and back
isn't known. Bounds hold at other times too, only wider by what two clocks may drift apart; and
where several hold, they all do. A reading over the console bounds the offset by its own error, if
the host's clock is the correspondent's: it counts only where a boot has no pair.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

DRIFT = 100e-6  # at most: 50 ppm for each crystal
_TICK_MS = 1.0  # both clocks are read in whole milliseconds, rounded down


@dataclass(frozen=True)
class Bound:
    """At `ms` of the board the offset was between `low` and `high`."""

    ms: float
    low: float
    high: float


def from_pair(sent: int, accepted: float, acknowledged: int | None) -> Bound:
    """From an update: `sent` and `acknowledged` by the board's clock, `accepted` by the other.

    Without an acknowledgement only the upper side is bounded.
    """
    low = float("-inf") if acknowledged is None else accepted - acknowledged - _TICK_MS
    return Bound(sent if acknowledged is None else acknowledged, low, accepted + _TICK_MS - sent)


def from_reading(ms: int, unix_ms: float, error_ms: float) -> Bound:
    """From the console."""
    return Bound(ms, unix_ms - error_ms - ms - _TICK_MS, unix_ms + error_ms - ms)


class Alignment:
    """The offset of one boot of a board at any of its times."""

    def __init__(self, bounds: list[Bound], *, by_host: bool = False) -> None:
        """`by_host`: the bounds are the console's: as good as the host's clock."""
        self._bounds = sorted(bounds, key=lambda bound: bound.ms)
        self._times = [bound.ms for bound in self._bounds]
        # The tightest bounds before and after each: what they are at another time differs by the
        # drift from there, which is the same for all on one side.
        lows = [
            (bound.low + bound.ms * DRIFT, bound.low - bound.ms * DRIFT) for bound in self._bounds
        ]
        highs = [
            (bound.high - bound.ms * DRIFT, bound.high + bound.ms * DRIFT)
            for bound in self._bounds
        ]
        self._low_before = list(accumulate((low for low, _ in lows), max, initial=-math.inf))
        self._high_before = list(accumulate((high for high, _ in highs), min, initial=math.inf))
        self._low_after = list(accumulate((low for _, low in lows[::-1]), max, initial=-math.inf))
        self._high_after = list(
            accumulate((high for _, high in highs[::-1]), min, initial=math.inf)
        )
        self.by_host = by_host

    @property
    def known(self) -> bool:
        """Whether there is an offset at all."""
        low, high = self._at(0.0)
        return low > float("-inf") and high < float("inf")

    @property
    def contradicted(self) -> bool:
        """Whether bounds exclude each other: a clock was set meanwhile, or drifts beyond `DRIFT`,
        or a time was written down wrongly. Then no error can be vouched for."""
        return any(low > high for low, high in (self._at(bound.ms) for bound in self._bounds))

    def offset(self, ms: float) -> tuple[float, float]:
        """(offset, error) in milliseconds at the board's `ms`; only where `known`."""
        low, high = self._at(ms)
        return (low + high) / 2, abs(high - low) / 2

    def _at(self, ms: float) -> tuple[float, float]:
        before = bisect_right(self._times, ms)
        after = len(self._times) - before
        drift = ms * DRIFT
        low = max(self._low_before[before] - drift, self._low_after[after] + drift)
        high = min(self._high_before[before] + drift, self._high_after[after] - drift)
        return low, high
