"""The numbers of a walk: spreads of durations, what was lost, what keys have left."""

import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from roamkey.field.folder import Datagram, Told

USES = 1 << 16  # of a key: sequence numbers
_SHOWN = 40  # characters of what should be an address
_RESTART = 16  # a number so much lower than the last: the sender began anew
_JUMP = 1_000_000  # as much higher: nobody loses so many in a row, so it is no loss


@dataclass(frozen=True)
class Spread:
    """Of `count` durations in milliseconds; percentiles by nearest rank, so each was measured."""

    count: int
    median: float
    p95: float
    worst: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """The spread of the values that are known, None for none."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Spread(len(known), rank(known, 0.5), rank(known, 0.95), known[-1])


def rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share doesn't exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Loss:
    """Numbered datagrams: how many there must have been, and how many never arrived.

    What was sent before the first that arrived or after the last can't be known.
    """

    sent: int
    lost: int

    @property
    def percent(self) -> float:
        """The share lost."""
        return 100.0 * self.lost / self.sent if self.sent else 0.0


def runs(data: Sequence[Datagram]) -> list[list[Datagram]]:
    """Datagrams by their sender's runs: numbers begin anew when it restarts."""
    found: list[list[Datagram]] = []
    highest = -1
    for one in data:
        anew = one.number < highest - _RESTART or (one.number == 0 and highest > 0)
        if not found or anew or one.number > highest + _JUMP > _JUMP:
            found.append([])
            highest = -1
        found[-1].append(one)
        highest = max(highest, one.number)
    return found


def loss(data: Sequence[Datagram]) -> Loss:
    """What was lost of all."""
    sent = arrived = 0
    for run in runs(data):
        numbers = {one.number for one in run}
        sent += max(numbers) - min(numbers) + 1
        arrived += len(numbers)
    return Loss(sent, sent - arrived)


@dataclass(frozen=True)
class Gap:
    """`lost` datagrams in a row, between two that arrived at `begin_ms` and `end_ms`."""

    begin_ms: float
    end_ms: float
    lost: int

    def at_ms(self, place: int) -> float:
        """When the lost one at `place` (from 1 on) would have arrived."""
        share = place / (self.lost + 1)
        return self.begin_ms + share * (self.end_ms - self.begin_ms)

    def between(self, begin: float, end: float) -> int:
        """How many of them would have arrived from `begin` on and before `end`."""
        return self._before(end) - self._before(begin)

    def _before(self, at: float) -> int:
        if at <= self.at_ms(1):
            return 0
        if at > self.at_ms(self.lost):
            return self.lost
        share = (at - self.begin_ms) / (self.end_ms - self.begin_ms)
        return max(0, min(self.lost, math.ceil(share * (self.lost + 1)) - 1))


def gaps(data: Sequence[Datagram]) -> list[Gap]:
    """Where datagrams were lost, however many, in the order of time."""
    found = []
    for run in runs(data):
        first: dict[int, float] = {}
        for one in run:
            first.setdefault(one.number, one.at_ms)
        for before, after in pairwise(sorted(first)):
            if after > before + 1:
                begin, end = sorted((first[before], first[after]))
                found.append(Gap(begin, end, after - before - 1))
    return sorted(found, key=lambda gap: gap.begin_ms)


def lost_at(found: Sequence[Gap], most: int) -> list[float]:
    """When lost datagrams would have arrived, in order: of each gap, but `most` in all."""
    each = max(1, most // max(len(found), 1))
    return sorted(
        gap.at_ms(1 + place * gap.lost // min(gap.lost, each))
        for gap in found[:most]
        for place in range(min(gap.lost, each))
    )


@dataclass(frozen=True)
class KeyUse:
    """How much of a key is used: numbers, those skipped by restarts among them."""

    generation: int
    first: int
    last: int
    updates: int
    left: int

    @property
    def skipped(self) -> int:
        """Numbers between the first and the last that the correspondent never accepted."""
        return self.last - self.first + 1 - self.updates


def key_use(told: Sequence[Told]) -> list[KeyUse]:
    """By generation, as the correspondent accepted."""
    numbers: dict[int, set[int]] = {}
    for one in told:
        if one.outcome in ("accepted", "removed") and one.sequence is not None:
            numbers.setdefault(one.generation or 0, set()).add(one.sequence)
    return [
        KeyUse(generation, min(found), max(found), len(found), USES - 1 - max(found))
        for generation, found in sorted(numbers.items())
    ]


def network_of(address: str, names: dict[str, str]) -> str:
    """The name of an address's network, else its /64 (of an IPv4 address its /24); what is no
    address, as it is."""
    prefix = _prefix_of(address)
    return names.get(prefix, prefix)


@lru_cache(maxsize=4096)
def _prefix_of(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
        return str(ipaddress.ip_network((address, 64 if found.version == 6 else 24), strict=False))
    except ValueError:
        return address[:_SHOWN]
