"""One entry of the Binding Update List: what happens with one correspondent (see states.py).

What is known of it, and the timers that bring the events of the state table about; actions.py has
what they do, series.py by which way an update goes. Times are whole milliseconds of any clock that
never goes back. Nothing here reads a clock or sends: `run` returns the packet that is due.
"""

from .. import keys, packets
from ..compat import const
from ..errors import Exhausted, StorageError
from ..limits import LIFETIME_UNIT_S
from . import states, updates, ways
from .actions import ROUTINES
from .pace import Pace
from .reasons import SPENT, UNKEYED
from .series import BETTER_WAY, add_ways, begin_series

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..keystore.keyset import Peer
    from ..protocols import Numbers, Octets, Outgoing, Way
    from .update_list import BindingUpdateList

# Milliseconds
_UNPROVEN_GAP = const(10000)  # between updates that unauthenticated messages may cause
_UNSIGNED_WAIT = const(5000)  # at home, after an answer that no key vouches for
_NEVER = const(-10000000)


class Binding:
    """The state of one correspondent. `owner`: the BindingUpdateList it stands in."""

    def __init__(self, owner: "BindingUpdateList", index: int, peer: "Peer", now: int) -> None:
        self.owner = owner
        self.numbers: Numbers = owner.keystore
        self.index = index
        self.peer = peer
        self.correspondent = peer.correspondent
        self.state = states.DETACHED
        self.why: int | str | None = None  # see reasons.py
        self.keys: updates.PreparedKeys | None = None
        self.generation: int | None = None
        if not peer.generations:
            self.state = states.UNKEYED
            self.why = UNKEYED
        self.update = updates.Update(owner.home_address, peer.correspondent)
        # by which data go, once it was accepted; before that, the first to be tried
        self.way: "Way | None" = None
        self.ways: list[Way] = []  # of this series, in their order
        # by which data went before a move; while REGISTERING they go on, for its uplink is there
        self.before: "Way | None" = None
        self.tries = 0  # updates in this series
        self.twice = 0  # how many ways from the first on are tried twice
        self.both = False  # whether the first two leave together
        self.better_at = now + BETTER_WAY
        self.better_pause = BETTER_WAY
        self.told = ways.NATIVE  # the kind of way that was told of last
        self.round_trip: int | None = None  # milliseconds, of the last answer
        self.nat = False  # whether the correspondent sees another address than ours
        self.keepalive_at: int | None = None
        self.keepalive_ms = 0  # 0: none are needed
        self.sequence: int | None = None  # of the update sent last
        self.accepted: int | None = None  # of the update acknowledged last
        self.granted = 0  # milliseconds
        self.pace = Pace()
        self.transmit_at: int | None = None
        self.refresh_at: int | None = None
        self.expires_at: int | None = None
        self.retry_at: int | None = None
        # Before a restart there may have been a binding, so one may exist that nobody here knows.
        self.may_exist_until = now + 1000 * peer.lifetime
        self.acknowledged = False
        self.deleting = False
        self.lifetime = peer.lifetime  # seconds to ask for; the path check asks for less
        self.aimed: "Way | None" = None  # what `update` is laid out for
        # (way, refresh at, expires at): what the correspondent surely holds
        self.held: "tuple[Way, int, int] | None" = None
        self.jumped = False  # whether it named a higher number in this series
        self._unproven_at = _NEVER
        self.heard_at = _NEVER  # when the correspondent last answered authentically
        self.free = False  # whether the next update costs no token: see budget.py
        self._limited = False  # whether the lifetime asked for was the address's, not the user's
        self.unused: tuple[int, int] | None = None  # (generation, number) that never left
        self.since = now  # when the counting of updates began
        self.warned: int | None = None  # per cent of the last key used that were told of
        self.drawn: "Outgoing | None" = None
        if peer.generations:  # not with the first update: a Pico W's stack is deep enough there
            self._ready_keys()

    @property
    def care_of(self) -> bytes | None:
        """The address (16 octets) that is registered, or is to be."""
        return None if self.way is None else self.way[1]

    @property
    def usable(self) -> bool:
        """Whether data may go over the optimized route."""
        return self.state == states.BOUND or self.state == states.REFRESHING

    @property
    def data_way(self) -> "Way | None":
        """By which data may go now; None: they wait. Between two uplinks (make before break) that
        is the old one, until the correspondent accepted the new one."""
        if self.usable:
            return self.way
        return self.before if self.state == states.REGISTERING else None

    def feed(self, event: int, now: int, what: object = None) -> None:
        """Let an event of states.py happen; raises Misuse, and then nothing has changed."""
        action, following = states.row(self.state, event)
        try:
            ROUTINES[action](self, now, what)
        except Exhausted:
            self.why = SPENT
            self.feed(states.SPENT, now)
            return
        except StorageError as error:
            self.why = str(error)
            self.feed(states.STORAGE_FAILED, now)
            return
        if following != self.state:
            self.state = following
            self.owner.emit("state", self.correspondent, states.STATES[following])

    def run(self, now: int) -> "Outgoing | None":
        """Let the timers that are due happen; returns a packet as next_packet() does, or None."""
        self._let_timers(now)
        if self.transmit_at is None or now < self.transmit_at:
            return None
        budget = self.numbers.budget
        wait = 0 if self.free else budget.wait(self.index, now)
        if wait:
            self.transmit_at = now + wait
            return None
        self.feed(states.TRANSMIT, now)
        packet = self.drawn
        self.drawn = None
        if packet is not None and not self.free:
            budget.spend(self.index)
        self.free = False
        return packet

    def _let_timers(self, now: int) -> None:
        if self.refresh_at is not None and now >= self.refresh_at:
            self.feed(states.REFRESH, now)
            self.free = not self._limited
        if self.expires_at is not None and now >= self.expires_at:
            self.feed(states.EXPIRED, now)
        if self.retry_at is not None and now >= self.retry_at:
            if self.state == states.BARRED:
                self.feed(states.AGAIN, now)
            if self.owner.attachment != states.LOST:
                self.feed(self.owner.attachment, now)

    def unsent(self) -> None:
        """The platform refused the update drawn last: nobody has seen its number, so the next one
        may have it. Another way is tried at once."""
        if self.tries < len(self.ways) + self.twice and self.sequence is not None:
            at = self.pace.sent_at(self.sequence)
            self.transmit_at = at if at is None else self.pace.allowed(at)
        if self.sequence is not None:
            self.pace.recall(self.sequence)
        if self.generation is not None and self.sequence is not None:
            self.unused = (self.generation, self.sequence)
            self.numbers.budget.spend(self.index, -1)

    def wakes_at(self) -> int | None:
        """When `run` has something to do next, or None."""
        soonest = None
        for at in (
            self.refresh_at,
            self.expires_at,
            self.retry_at,
            self.transmit_at,
            self.keepalive_at,
        ):
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        return soonest

    def prepare(self, care_of_address: bytes) -> None:
        """Make Kbm for an address that may come into use."""
        if self.peer.generations:
            self._ready_keys().registration(care_of_address)

    def forget(self, care_of_address: bytes) -> None:
        """An address won't come into use any more."""
        if self.keys is not None:
            self.keys.forget(care_of_address)

    def holds(self, care_of_address: bytes, now: int) -> bool:
        """Whether the correspondent holds a binding to this address, and no update may undo it."""
        held = self.held
        if held is None or held[0][0] != ways.NATIVE:  # a NAT may have given another port
            return False
        return held[0][1] == care_of_address and now < held[2]

    def attach(self, event: int, now: int, moved: bool) -> None:
        """The node has other addresses than before: let `event` happen, where that changes things.

        `moved`: whether the address in use is another one. A binding that is good stays so while
        its own address is there; a better way is tried beside it.
        """
        found = self.owner.ways.of(self.index)
        if self.usable and self.way in found:
            if found[0] != self.way and self.state == states.BOUND:
                self.better_at = now
                self.feed(states.REFRESH, now)
        elif moved or self.usable:
            self.feed(event, now)
        else:
            add_ways(self, now)

    def authentic(self, sequence: int, header: "Octets") -> bool:
        """Whether an acknowledgement was made under the key of the update that it answers; where
        it names none of those (it says that we are behind), of any."""
        if self.keys is None:
            return False
        way = self.pace.way_of(sequence)
        addresses = {one[1] for one in (self.ways if way is None else (way,))}  # two at most
        for care_of in addresses:
            key = self.keys.deletion() if self.deleting else self.keys.registration(care_of)
            if keys.verify(key, care_of, self.correspondent, header):
                return True
        return False

    def keepalive(self, now: int) -> "Outgoing | None":
        """What keeps a port at a NAT, where it is due."""
        if self.keepalive_at is None or now < self.keepalive_at:
            return None
        self.spoke(now)
        if not self.usable:
            return None
        assert self.way is not None
        _, care_of, outer, port = self.way
        if outer is None:
            return None
        packet = packets.keepalive(self.owner.home_address, self.correspondent)
        return care_of, outer, packets.ENCAPSULATED + port, packet

    def spoke(self, now: int) -> None:
        """A datagram leaves by the way in use: what is between keeps our port for a while."""
        inside = self.usable and self.way is not None and self.way[2] is not None
        self.keepalive_at = now + self.keepalive_ms if inside and self.keepalive_ms else None

    def unproven(self, now: int) -> bool:
        """Whether an unauthenticated message may cause an update now; notes that one did."""
        if now - self._unproven_at < _UNPROVEN_GAP:
            return False
        self._unproven_at = now
        return True

    def unsigned(self, now: int) -> None:
        """An answer to our de-registration that no key vouches for: some implementations send
        nothing else. At home nothing depends on it but how long we go on."""
        until = now + _UNSIGNED_WAIT
        if self.state == states.RETURNING and self.expires_at is not None:
            self.expires_at = min(self.expires_at, until)

    def _ready_keys(self) -> "updates.PreparedKeys":
        """The prepared keys of the generation in use."""
        generation, key = self.numbers.current(self.index)
        if self.keys is None or generation != self.generation:
            self.owner.emit("generation", self.correspondent, generation)
            self.generation = generation
            peer = self.peer
            assert key is not None
            # Where a key runs out the stack is as deep as it ever gets: no call more than this.
            self.keys = updates.PreparedKeys(
                key, self.owner.home_address, peer.home_nonce, peer.care_of_nonce
            )
        return self.keys

    def aim(self, way: "Way", now: int) -> None:
        """Lay the update out for a way and the keys of now."""
        ready = self._ready_keys()
        key = ready.deletion() if self.deleting else ready.registration(way[1])
        units = 0 if self.deleting else self._lifetime(way, now)
        self.update.aim(way, key, units)
        self.aimed = way

    def _lifetime(self, way: "Way", now: int) -> int:
        """What to ask for, in units of four seconds: no more than the care-of address has (RFC
        6275 section 11.7.2)."""
        lifetime = self.lifetime
        until = self.owner.valid_until if way[1] == self.owner.care_of else None
        self._limited = until is not None and (until - now) // 1000 < lifetime
        if self._limited:
            lifetime = max(LIFETIME_UNIT_S, (until - now) // 1000)  # type: ignore[operator]  # see above
        return lifetime // LIFETIME_UNIT_S

    begin = begin_series

    def halt(self) -> None:
        """Nothing is on its way any more."""
        self.transmit_at = None
        self.pace.give_up()
