"""What data say of a handover: how long nothing arrived, what arrived first, what was lost.

A handover's silence is the longest time between two datagrams that it is part of: from the one
before the link was lost to the first after, wherever in between the correspondent accepted. What
lies between two datagrams anyhow is no silence, so that is taken off: it is how the application
speaks, and is told by numbers and times around, since numbers go on while datagrams wait.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from statistics import median

from roamkey.field import figures
from roamkey.field.figures import Gap
from roamkey.field.folder import Datagram, Told
from roamkey.field.handovers import Handover

_AROUND_MS = 10_000.0  # a silence that ends so much later (and an interval) isn't the handover's
_BLOCK = 64  # datagrams that one estimate of the interval serves
_BESIDE = 96  # as many before them and behind them are looked at
_LEAST = 3
_NEAR = 64  # gaps of all correspondents that one is looked for in


class Intervals:
    """What usually is between two datagrams of a node, in milliseconds, at any place of `data`."""

    def __init__(self, data: Sequence[Datagram]) -> None:
        self._data = data
        self._known: dict[int, float | None] = {}

    def at(self, index: int) -> float | None:
        """Around the datagram at `index`; None where there are too few."""
        block = index // _BLOCK
        if block not in self._known:
            begin = block * _BLOCK
            some = self._data[max(0, begin - _BESIDE) : begin + _BLOCK + _BESIDE]
            self._known[block] = _interval(some)
        return self._known[block]


def _interval(data: Sequence[Datagram]) -> float | None:
    """The median of how fast numbers go on, over half of what there is of each run: datagrams
    that waited for a way and came all at once don't change that."""
    slopes: list[float] = []
    for run in figures.runs(data):
        first: dict[int, float] = {}
        for one in run:
            first.setdefault(one.number, one.at_ms)
        numbers = sorted(first)
        half = len(numbers) // 2
        if len(numbers) >= _LEAST:
            slopes += [
                (first[later] - first[earlier]) / (later - earlier)
                for earlier, later in zip(numbers, numbers[half:], strict=False)
            ]
    return max(0.0, median(slopes)) if slopes else None


def attribute(
    handovers: Sequence[Handover],
    data: Sequence[Datagram],
    told: Sequence[Told],
    missing: Sequence[Gap],
) -> None:
    """Give each handover its silence, its first datagram, and how many were lost from then to the
    next. `handovers` in order, of one home address; `missing`: figures.gaps(data)."""
    by_data = _ByData(data, missing)
    said = [one for one in told if one.outcome == "gap" and one.gap_ms is not None]
    times = [one.at_ms for one in said]
    following: dict[str | None, Handover] = {}
    before: dict[str | None, Handover] = {}
    nexts: list[Handover | None] = []
    for one in reversed(handovers):
        nexts.append(following.get(one.correspondent))
        following[one.correspondent] = one
    for one, after in zip(handovers, reversed(nexts), strict=True):
        if data:
            by_data.attribute(one, before.get(one.correspondent), after)
        else:
            until = math.inf if after is None else after.at_ms
            _by_record(one, said[bisect_left(times, one.at_ms) :][:_NEAR], until)
        _without_the_application(one)
        before[one.correspondent] = one


class _ByData:
    def __init__(self, data: Sequence[Datagram], missing: Sequence[Gap]) -> None:
        self._data = data
        self._arrivals = [one.at_ms for one in data]
        self._intervals = Intervals(data)
        self._missing = missing
        self._begins = [gap.begin_ms for gap in missing]
        self._longest = list(accumulate((gap.end_ms for gap in missing), max))
        self._first = 0  # the datagram that `_arrived` found last
        self._runs: list[int] = []  # of each datagram
        begun = {id(run[0]) for run in figures.runs(data)}
        for one in data:
            self._runs.append((self._runs[-1] if self._runs else 0) + (id(one) in begun))

    def attribute(
        self, one: Handover, before: Handover | None, following: Handover | None
    ) -> None:
        end = one.acknowledged_ms if one.accepted_ms is None else one.accepted_ms
        if end is None:
            return
        until = math.inf if following is None else following.at_ms
        begin = self._begin_of(one, before, end)
        self._count_lost(one, begin, until)
        last = self._longest_silence(begin, end)
        if last is None:  # nothing came before, or nothing since
            self._arrived(one, before, bisect_left(self._arrivals, end), end + _AROUND_MS)
            return
        first = last - 1
        if one.why == "move" and not one.on_board and self._runs[first] != self._runs[last]:
            one.why = "power"  # its numbers began anew
        interval = self._intervals.at(first)
        soon = min(end + _AROUND_MS + (interval or 0.0), until)
        self._arrived(one, before, last, soon)
        if self._arrivals[last] >= soon:
            return
        one.silence_ms = self._arrivals[last] - self._arrivals[first]
        one.interval_ms = interval
        one.gap_ms = max(0.0, one.silence_ms - (interval or 0.0))
        self._without_pauses(one, first)

    def _begin_of(self, one: Handover, before: Handover | None, end: float) -> float:
        """From when on data may have been missed."""
        if one.on_board:
            return min(one.begin_ms, end)
        if one.care_of_address != one.home_address:
            return end
        # Nobody tells when it came home: data don't wait for the update that says so.
        return max(end - _AROUND_MS, before.at_ms if before is not None else -math.inf)

    def _longest_silence(self, begin: float, end: float) -> int | None:
        """The datagram with which the longest silence between `begin` and `end` ends."""
        arrivals = self._arrivals
        at = max(1, bisect_left(arrivals, begin))
        found: int | None = None
        while at < len(arrivals) and arrivals[at - 1] < end:
            if found is None or self._before(at) > self._before(found):
                found = at
            at += 1
        return found

    def _before(self, at: int) -> float:
        return self._arrivals[at] - self._arrivals[at - 1]

    def _count_lost(self, one: Handover, begin: float, until: float) -> None:
        at = bisect_left(self._arrivals, begin)
        begin = self._arrivals[at - 1] if at else begin
        low, high = bisect_left(self._longest, begin), bisect_left(self._begins, until)
        one.lost = sum(gap.between(begin, until) for gap in self._missing[low:high])

    def _arrived(self, one: Handover, before: Handover | None, last: int, soon: float) -> None:
        """The first datagram from the new place."""
        at = self._first_from(one, last)
        elsewhere = None if before is None else before.care_of_address
        if elsewhere == one.care_of_address:
            elsewhere = None
        data = self._data
        while elsewhere is not None and at < len(data) and data[at].care_of_address == elsewhere:
            at += 1
        if at < len(data) and data[at].at_ms < soon:
            one.arrived_ms = data[at].at_ms
            self._first = at

    def _without_pauses(self, one: Handover, first: int) -> None:
        """How long the application had nothing to say, by when the first datagram was due."""
        at, free = self._first, _free_ms(one)
        if one.arrived_ms is None or one.interval_ms is None or free is None:
            return
        if self._runs[first] != self._runs[at] or None in (one.acknowledged_ms, one.sent_ms):
            return
        due = self._arrivals[first] + one.interval_ms * (
            self._data[at].number - self._data[first].number
        )
        there = free + (one.acknowledged_ms - one.sent_ms) / 2  # type: ignore[operator]
        one.sensor_ms = max(0.0, min(due, one.arrived_ms) - there)

    def _first_from(self, one: Handover, last: int) -> int:
        if one.care_of_address != one.home_address and one.accepted_ms is not None:
            return bisect_left(self._arrivals, one.accepted_ms)  # before, there was no binding
        if one.usable_ms is None:
            return last
        error = one.error_ms or 0.0
        left = one.usable_ms if one.data_ms is None else one.data_ms
        return bisect_left(self._arrivals, left - error)


def _by_record(one: Handover, said: Sequence[Told], until: float) -> None:
    """The silence as the correspondent's own record has it: with the application's interval."""
    accepted = one.accepted_ms
    if accepted is None:
        return
    for gap in said:
        if gap.at_ms >= min(accepted + _AROUND_MS, until):
            return
        if None in (gap.correspondent, one.correspondent) or (
            gap.correspondent == one.correspondent
        ):
            assert gap.gap_ms is not None
            one.silence_ms = one.gap_ms = float(gap.gap_ms)
            if one.data_ms is None:
                one.arrived_ms = float(gap.at_ms)
            return


def _free_ms(one: Handover) -> float | None:
    """From when on datagrams leave: at home at once, elsewhere when it is known to be bound."""
    return one.usable_ms if one.care_of_address == one.home_address else one.acknowledged_ms


def _without_the_application(one: Handover) -> None:
    """What the board's log says of it counts: whether its first datagram had to wait."""
    free = _free_ms(one)
    if one.waited:
        one.sensor_ms = 0.0
    elif one.waited is not None and one.data_ms is not None and free is not None:
        one.sensor_ms = max(0.0, one.data_ms - free)
