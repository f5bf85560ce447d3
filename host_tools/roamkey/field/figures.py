"""The numbers of a walk: spreads of durations, what was lost, what keys have left."""

import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from roamkey.field.folder import Datagram, Told
from roamkey.field.handovers import Handover

USES = 1 << 16  # of a key: sequence numbers
_RESTART = 16  # a number so much lower than the last: the sender began anew
_AROUND_MS = 10_000.0  # a gap that ends later than this after an acceptance isn't the handover's


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
        if not found or one.number < highest - _RESTART or (one.number == 0 and highest > 0):
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


def lost_at(data: Sequence[Datagram]) -> list[float]:
    """For each lost datagram when it would have arrived: between its neighbours, in ms."""
    found = []
    for run in runs(data):
        first: dict[int, float] = {}
        for one in run:
            first.setdefault(one.number, one.at_ms)
        ordered = sorted(first)
        for before, after in pairwise(ordered):
            for number in range(before + 1, after):
                share = (number - before) / (after - before)
                found.append(first[before] + share * (first[after] - first[before]))
    return found


def attribute(
    handovers: Sequence[Handover], data: Sequence[Datagram], told: Sequence[Told]
) -> None:
    """Give each handover its gap in the data, and the datagrams lost from then to the next."""
    arrivals = [one.at_ms for one in data]
    missing = lost_at(data)
    for index, handover in enumerate(handovers):
        accepted = handover.accepted_ms
        following = handovers[index + 1].at_ms if index + 1 < len(handovers) else math.inf
        if accepted is None:
            continue
        if arrivals:
            before = [at for at in arrivals if at < accepted]
            after = [at for at in arrivals if at >= accepted]
            soon = min(accepted + _AROUND_MS, following)
            if before and after and after[0] < soon:
                handover.gap_ms = after[0] - before[-1]
            begin = before[-1] if before else accepted
            handover.lost = sum(begin <= at < following for at in missing)
        else:
            gaps = [
                one.gap_ms
                for one in told
                if one.outcome == "gap"
                and accepted <= one.at_ms < min(accepted + _AROUND_MS, following)
            ]
            handover.gap_ms = float(gaps[0]) if gaps and gaps[0] is not None else None


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
    """The name of an address's network, its /64 where it has none."""
    prefix = str(ipaddress.IPv6Network((address, 64), strict=False))
    return names.get(prefix, prefix)
