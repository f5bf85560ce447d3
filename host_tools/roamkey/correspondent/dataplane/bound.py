"""What the kernel's states of bindings have passed."""

from typing import NamedTuple

from roamkey.correspondent.dataplane import xfrm

_EACH = {xfrm.OUT: 40, xfrm.IN: 16}  # octets, from what the kernel counts to the inner packet


class Passed(NamedTuple):
    """What passed since it was asked for last: `used`, `heard`: home addresses that data went to,
    or came from."""

    packets: tuple[int, int]  # inward, outward
    octets: tuple[int, int]
    used: set[bytes]
    heard: set[bytes]


class Bound:
    """A binding as the kernel is to have it: where, until when, whether `outward` too, and what
    its states have passed, by their kind; `updates`: of those, not counted yet, that were
    signalling."""

    __slots__ = ("care_of_address", "outward", "passed", "until_ms", "updates")

    def __init__(self) -> None:
        self.care_of_address, self.until_ms, self.outward = b"", 0, True
        self.updates = 0
        self.passed = {xfrm.OUT: (0, 0), xfrm.IN: (0, 0)}

    def wants(self, kind: int) -> bool:
        """Whether there shall be a state of a kind."""
        return kind == xfrm.IN or self.outward


class Counts:
    """Sums over all bindings, since they were taken last."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._begin()

    def _begin(self) -> None:
        self._packets, self._octets = {xfrm.OUT: 0, xfrm.IN: 0}, {xfrm.OUT: 0, xfrm.IN: 0}
        self._used: dict[int, set[bytes]] = {xfrm.OUT: set(), xfrm.IN: set()}

    def add(self, bound: Bound, one: xfrm.State) -> None:
        """Count what a state of a binding has passed since it was read last."""
        before_octets, before = bound.passed[one.kind]
        if one.packets != before:
            bound.passed[one.kind] = one.octets, one.packets
            if one.packets < before:  # made anew
                before_octets = before = 0
            passed = one.packets - before
            count, octets = passed, one.octets - before_octets
            if one.kind == xfrm.IN:  # updates have the option, too
                signalling = min(bound.updates, passed)
                bound.updates -= signalling
                count -= signalling
                octets = octets * count // passed
            self._packets[one.kind] += count
            self._octets[one.kind] += octets + count * _EACH[one.kind]
            if count:
                self._used[one.kind].add(one.home_address)

    def take(self) -> Passed:
        """All of it; the next begin at nothing."""
        inward, outward = xfrm.IN, xfrm.OUT
        passed = Passed(
            (self._packets[inward], self._packets[outward]),
            (self._octets[inward], self._octets[outward]),
            self._used[outward],
            self._used[inward],
        )
        self._begin()
        return passed
