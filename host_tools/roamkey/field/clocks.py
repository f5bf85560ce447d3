"""The board's clock against the correspondent's: how far apart, and how surely that is known.

An update leaves the board before the correspondent has it, and the acknowledgement leaves there
before the board has it. So each such pair bounds the offset (correspondent minus board) from both
sides, as in NTP, and no more can be said: how the round trip is shared between there and back
isn't known. Bounds hold at other times too, only wider by what two clocks may drift apart; and
where several hold, they all do. A reading over the console bounds the offset by its own error, if
the host's clock is the correspondent's: it counts only where a boot has no pair.
"""

from dataclasses import dataclass

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
        self._bounds = bounds
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
        low, high = float("-inf"), float("inf")
        for bound in self._bounds:
            drift = abs(ms - bound.ms) * DRIFT
            low = max(low, bound.low - drift)
            high = min(high, bound.high + drift)
        return low, high
