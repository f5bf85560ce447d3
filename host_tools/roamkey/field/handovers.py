"""A handover: from a care-of address lost to data from the next, in phases and by whose they are.

What its user feels begins when there is a link again and ends with the first datagram that the
correspondent accepts. What an application that speaks now and then keeps to itself meanwhile
isn't part of it.
"""

from dataclasses import dataclass

from roamkey.field.values import NATIVE

#: The phases of a handover, in order: short name, what it is.
PHASES = (
    ("link down", "link lost → link up: scan and join"),
    ("router", "link up → router heard"),
    ("address", "router heard (else link up) → address usable"),
    ("test", "address usable → addresses tested: return routability"),
    ("send", "address usable (else tested) → first update sent"),
    ("again", "updates sent again"),
    ("there", "update sent → accepted"),
    ("back", "accepted → acknowledgement at the board"),
    ("data", "acknowledgement → first datagram"),
)

_TICK_MS = 2.0  # two clock readings, each rounded down


@dataclass
class Handover:
    """One registration at one correspondent from a new place. Times: ms since 1970 by the
    correspondent's clock, None where nobody wrote them down.

    `left_ms`: the link was lost, or the board started; None where another uplink had a link all
    along. `joined_ms`: there is a link; `router_ms`: a router was heard, maybe behind `usable_ms`:
    there is an address; `tested_ms`: what return routability tested of it before had been answered
    (None under a key); `first_ms`: the first update was sent; `sent_ms`: the one that was
    acknowledged; `accepted_ms`: the correspondent accepted that; `acknowledged_ms`: the board
    knew; `data_ms`: the first datagram left; `arrived_ms`: it was at the correspondent.
    `error_ms`: how far the board's times may all be off together; differences between them are
    exact to a millisecond. `way`: by which the update that was accepted came, else the
    acknowledgement; native where nobody says.

    `silence_ms`: between two datagrams that arrived, the longest time that the handover is part
    of; `interval_ms`: what usually is between two; `gap_ms`: the first without the second (all of
    it where only the correspondent's record tells of the silence). `sensor_ms`: how much of the
    time to the first datagram the application had nothing to say.
    """

    home_address: str
    why: str  # start, power, move, home
    boot: int | None
    care_of_address: str
    correspondent: str | None = None
    left_ms: float | None = None
    joined_ms: float | None = None
    router_ms: float | None = None
    usable_ms: float | None = None
    tested_ms: float | None = None
    first_ms: float | None = None
    sent_ms: float | None = None
    accepted_ms: float | None = None
    acknowledged_ms: float | None = None
    data_ms: float | None = None
    arrived_ms: float | None = None
    error_ms: float | None = None
    first_sequence: int | None = None
    sequence: int | None = None
    generation: int | None = None
    updates: int = 0
    network: str = ""
    uplink: str | None = None
    way: str = NATIVE
    silence_ms: float | None = None
    interval_ms: float | None = None
    gap_ms: float | None = None
    sensor_ms: float | None = None
    waited: bool | None = None
    lost: int | None = None
    signal_dbm: int | None = None

    @property
    def on_board(self) -> bool:
        """Whether the board's log tells of it."""
        return self.boot is not None

    @property
    def at_ms(self) -> float:
        """When it was done, for its place in the order."""
        for at in (self.accepted_ms, self.acknowledged_ms, self.first_ms, self.usable_ms):
            if at is not None:
                return at
        return 0.0

    @property
    def begin_ms(self) -> float:
        """From when on data may have been missed: the link was lost, or another place taken."""
        for at in (self.left_ms, self.usable_ms, self.first_ms):
            if at is not None:
                return at
        return self.at_ms

    @property
    def bound_ms(self) -> float | None:
        """`accepted_ms` as far as both ends of the round trip allow: the error of the clocks can
        have it look as if it was before the one or behind the other."""
        at = self.accepted_ms
        if at is None:
            return None
        low, high = self.sent_ms, self.acknowledged_ms
        if low is not None and low - _TICK_MS <= at < low:
            return low
        if high is not None and high < at <= high + _TICK_MS:
            return high
        return at

    @property
    def datagram_ms(self) -> float | None:
        """The first datagram: accepted at the correspondent, else as it left the board. Without
        what the application had nothing to say."""
        at = self.data_ms if self.arrived_ms is None else self.arrived_ms
        return None if at is None else at - (self.sensor_ms or 0.0)

    @property
    def radio_ms(self) -> float | None:
        """What the radio took: from the link lost to the link up."""
        return _between(self.left_ms, self.joined_ms)

    @property
    def network_ms(self) -> float | None:
        """What the network took: from the link up to a usable address."""
        return _between(self.joined_ms, self.usable_ms)

    @property
    def roamkey_ms(self) -> float | None:
        """What roamkey and the way took: from a usable address to the first datagram."""
        return _between(self.usable_ms, self.datagram_ms)

    @property
    def link_up_to_bound_ms(self) -> float | None:
        """From the link up to the update accepted at the correspondent."""
        return _between(self.joined_ms, self.bound_ms)

    @property
    def link_up_to_datagram_ms(self) -> float | None:
        """From the link up to the first datagram: what a user feels."""
        return _between(self.joined_ms, self.datagram_ms)

    @property
    def signalling_ms(self) -> float | None:
        """From a usable address to the acknowledgement."""
        return _between(self.usable_ms, self.acknowledged_ms)

    @property
    def total_ms(self) -> float | None:
        """From the link lost to the acknowledgement."""
        return _between(self.left_ms, self.acknowledged_ms)

    def phases(self) -> dict[str, float | None]:
        """The length of each phase in milliseconds, by its short name.

        A router that was heard only when the address was usable was not waited for, and at home
        data don't wait for the acknowledgement: then there are no such phases. Nor where two
        clocks contradict each other.
        """
        router = self.router_ms
        if router is not None and (_between(self.joined_ms, router) is None or
                                   _between(router, self.usable_ms) is None):  # fmt: skip
            router = None
        heard = self.joined_ms if router is None else router
        bound = self.bound_ms
        return {
            "link down": self.radio_ms,
            "router": _between(self.joined_ms, router),
            "address": _between(heard, self.usable_ms),
            "test": _between(self.usable_ms, self.tested_ms),
            "send": _between(
                self.usable_ms if self.tested_ms is None else self.tested_ms, self.first_ms
            ),
            "again": _between(self.first_ms, self.sent_ms),
            "there": _between(self.sent_ms, bound),
            "back": _between(bound, self.acknowledged_ms),
            "data": _between(self.acknowledged_ms, self.datagram_ms),
        }


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None or end < begin else end - begin
