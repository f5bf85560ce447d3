"""One entry of the Binding Update List: what happens with one correspondent (see states.py).

The actions of the state table, and the timers that bring its events about. Times are whole
milliseconds of any clock that never goes back. Nothing here reads a clock or sends: `run` returns
the packet that is due.
"""

from .. import keys, messages, packets
from ..compat import const
from ..errors import Exhausted, StorageError
from ..limits import LIFETIME_UNIT_S
from . import states, updates, ways
from .pace import Pace

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from ..keystore.keyset import Peer
    from ..protocols import Numbers, Octets, Outgoing, Way
    from .update_list import BindingUpdateList

# Milliseconds
_UNSUPPORTED_PAUSE = const(600000)  # RFC 6275 section 11.3.5 wants one and names none
_BLOCKED_PAUSE = const(32000)
_UNPROVEN_GAP = const(10000)  # between updates that unauthenticated messages may cause
_MARGIN_MAX = const(60000)  # refresh so long before the end: room for five retransmissions

_ANOTHER_WAY = const(350)  # without an answer, where no round trip is known
_TOGETHER = const(100)  # updates that left so close to each other, and their answers
_BETTER_WAY = const(3600000)  # between trials of one that was silent; doubled up to
_BETTER_WAY_MAX = const(86400000)
KEEPALIVE_S = const(25)  # where the correspondent names no other
_KEEPALIVE_MAX_S = const(86400)
_NO_KEEPALIVE = const(0xFFFFFFFF)  # in NAT Detection: none is needed

_BARRED_PAUSE = const(86400000)
_UNSIGNED_WAIT = const(5000)  # at home, after an answer that no key vouches for

_NEVER = const(-10000000)

# Why a binding isn't as the user wants it: the status of an acknowledgement, the text of a storage
# failure, or one of these. status.py has a line for a person on each.
UNKEYED = const(256)
SPENT = const(257)
BINDING_ERROR = const(258)
PARAMETER_PROBLEM = const(259)
NO_WAY = const(260)


class Binding:
    """The state of one correspondent. `owner`: the BindingUpdateList it stands in."""

    def __init__(self, owner: "BindingUpdateList", index: int, peer: "Peer", now: int) -> None:
        self._owner = owner
        self.numbers: Numbers = owner.keystore
        self.index = index
        self._peer = peer
        self.correspondent = peer.correspondent
        self.state = states.DETACHED
        self.why: int | str | None = None  # see above
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
        self._tries = 0  # updates in this series
        self._twice = 0  # how many ways from the first on are tried twice
        self._both = False
        self._better_at = now + _BETTER_WAY
        self._better_pause = _BETTER_WAY
        self._told = ways.NATIVE  # the kind of way that was told of last
        self.round_trip: int | None = None  # milliseconds, of the last answer
        self.nat = False  # whether the correspondent sees another address than ours
        self.keepalive_at: int | None = None
        self._keepalive = 0  # milliseconds, 0: none are needed
        self.sequence: int | None = None  # of the update sent last
        self.accepted: int | None = None  # of the update acknowledged last
        self.granted = 0  # milliseconds
        self.pace = Pace()
        self.transmit_at: int | None = None
        self.refresh_at: int | None = None
        self.expires_at: int | None = None
        self.retry_at: int | None = None
        # Before a restart there may have been a binding, so one may exist that nobody here knows.
        self._may_exist_until = now + 1000 * peer.lifetime
        self._acknowledged = False
        self.deleting = False
        self.lifetime = peer.lifetime  # seconds to ask for; the path check asks for less
        self._aimed: "Way | None" = None  # what `update` is laid out for
        # (way, refresh at, expires at): what the correspondent surely holds
        self._held: "tuple[Way, int, int] | None" = None
        self._jumped = False
        self._unproven_at = _NEVER
        self.heard_at = _NEVER  # when the correspondent last answered authentically
        self._free = False  # whether the next update costs no token: see budget.py
        self._limited = False  # whether the lifetime asked for was the address's, not the user's
        self._unused: tuple[int, int] | None = None  # (generation, number) that never left
        self.since = now  # when the counting of updates began
        self._warning: int | None = None  # per cent of the last key used that were told of
        self._packet: "Outgoing | None" = None
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
            _ACTIONS[action](self, now, what)
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
            self._owner.emit("state", self.correspondent, states.STATES[following])

    def run(self, now: int) -> "Outgoing | None":
        """Let the timers that are due happen; returns a packet as next_packet() does, or None."""
        self._let_timers(now)
        if self.transmit_at is None or now < self.transmit_at:
            return None
        budget = self.numbers.budget
        wait = 0 if self._free else budget.wait(self.index, now)
        if wait:
            self.transmit_at = now + wait
            return None
        self.feed(states.TRANSMIT, now)
        packet = self._packet
        self._packet = None
        if packet is not None and not self._free:
            budget.spend(self.index)
        self._free = False
        return packet

    def _let_timers(self, now: int) -> None:
        if self.refresh_at is not None and now >= self.refresh_at:
            self.feed(states.REFRESH, now)
            self._free = not self._limited
        if self.expires_at is not None and now >= self.expires_at:
            self.feed(states.EXPIRED, now)
        if self.retry_at is not None and now >= self.retry_at:
            if self.state == states.BARRED:
                self.feed(states.AGAIN, now)
            if self._owner.attachment != states.LOST:
                self.feed(self._owner.attachment, now)

    def unsent(self) -> None:
        """The platform refused the update drawn last: nobody has seen its number, so the next one
        may have it. Another way is tried at once."""
        if self._tries < len(self.ways) + self._twice and self.sequence is not None:
            at = self.pace.sent_at(self.sequence)
            self.transmit_at = at if at is None else self.pace.allowed(at)
        if self.sequence is not None:
            self.pace.recall(self.sequence)
        if self.generation is not None and self.sequence is not None:
            self._unused = (self.generation, self.sequence)
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
        if self._peer.generations:
            self._ready_keys().registration(care_of_address)

    def forget(self, care_of_address: bytes) -> None:
        """An address won't come into use any more."""
        if self.keys is not None:
            self.keys.forget(care_of_address)

    def holds(self, care_of_address: bytes, now: int) -> bool:
        """Whether the correspondent holds a binding to this address, and no update may undo it."""
        held = self._held
        if held is None or held[0][0] != ways.NATIVE:  # a NAT may have given another port
            return False
        return held[0][1] == care_of_address and now < held[2]

    def attach(self, event: int, now: int, moved: bool) -> None:
        """The node has other addresses than before: let `event` happen, where that changes things.

        `moved`: whether the address in use is another one. A binding that is good stays so while
        its own address is there; a better way is tried beside it.
        """
        found = self._owner.ways.of(self.index)
        if self.usable and self.way in found:
            if found[0] != self.way and self.state == states.BOUND:
                self._better_at = now
                self.feed(states.REFRESH, now)
        elif moved or self.usable:
            self.feed(event, now)
        else:
            self.more_ways(now)

    def more_ways(self, now: int) -> None:
        """A name was looked up, or an address came beside the one in use."""
        found = self._owner.ways.of(self.index)
        news = [way for way in found if way not in self.ways]
        if self.state == states.REGISTERING and news:
            self.ways = [way for way in self.ways if way in found]
            self._tries = len(self.ways)
            self._twice = 0
            self._both = False
            self.ways += news
            self.way = self.way if self.way in self.ways else self.ways[0]
            self.why = None if self.why == NO_WAY else self.why
            self.transmit_at = self.pace.allowed(now)

    def stuck_at(self) -> int | None:
        """When every way was tried and none has brought an answer, so that others are looked for;
        None: it has not come to that."""
        if self.state != states.REGISTERING:
            return None
        if not self.ways:
            return _NEVER
        if self.pace.unanswered < len(self.ways):
            return None
        return self.pace.since + _ANOTHER_WAY * len(self.ways)

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
        packet = packets.keepalive(self._owner.home_address, self.correspondent)
        return care_of, outer, packets.ENCAPSULATED + port, packet

    def spoke(self, now: int) -> None:
        """A datagram leaves by the way in use: what is between keeps our port for a while."""
        inside = self.usable and self.way is not None and self.way[2] is not None
        self.keepalive_at = now + self._keepalive if inside and self._keepalive else None

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
            self._owner.emit("generation", self.correspondent, generation)
            self.generation = generation
            peer = self._peer
            assert key is not None
            # Where a key runs out the stack is as deep as it ever gets: no call more than this.
            self.keys = updates.PreparedKeys(
                key, self._owner.home_address, peer.home_nonce, peer.care_of_nonce
            )
        return self.keys

    def _aim(self, way: "Way", now: int) -> None:
        """Lay the update out for a way and the keys of now."""
        ready = self._ready_keys()
        key = ready.deletion() if self.deleting else ready.registration(way[1])
        units = 0 if self.deleting else self._lifetime(way, now)
        self.update.aim(way, key, units)
        self._aimed = way

    def _lifetime(self, way: "Way", now: int) -> int:
        """What to ask for, in units of four seconds: no more than the care-of address has (RFC
        6275 section 11.7.2)."""
        lifetime = self.lifetime
        until = self._owner.valid_until if way[1] == self._owner.care_of else None
        self._limited = until is not None and (until - now) // 1000 < lifetime
        if self._limited:
            lifetime = max(LIFETIME_UNIT_S, (until - now) // 1000)  # type: ignore[operator]  # see above
        return lifetime // LIFETIME_UNIT_S

    def _begin(self, now: int) -> None:
        """Old updates on their way are forgotten; the next goes as soon as the rate allows.

        Where the binding is good the way in use comes first, twice, but for one that is better and
        is tried again now and then. On a network where the first of two had answers before, one
        that doesn't come was lost, most likely: then both are tried.
        """
        found = self._owner.ways.of(self.index)
        self._tries = self._twice = 0
        self._both = False
        if self.usable and self.way in found:
            first = [self.way]
            best = self._owner.ways.by_merit(self.index)[0]
            if best != self.way and now >= self._better_at:
                first = [best, self.way]
                self._better_at = now + self._better_pause
                self._better_pause = min(2 * self._better_pause, _BETTER_WAY_MAX)
            else:
                self._twice = int(len(found) > 1)
            found = first + [way for way in found if way not in first]
        else:
            self.way = found[0] if found else None
            self._both = len(found) == 2 and self._owner.ways.passes(found[0][0])
            self._twice = int(self._both)
            self._better_pause = _BETTER_WAY
            self._better_at = now + _BETTER_WAY
        self.ways = found
        self.refresh_at = self.retry_at = None
        self._jumped = self._free = False
        self._aimed = None
        self.transmit_at = self.pace.begin(not self._acknowledged, now)
        if not found:
            self.transmit_at = None
            self.why = NO_WAY

    def _choose(self, now: int) -> None:
        """The way of the next update: one after the other soon, from the first on; then, after a
        retransmission's pause, all of them again. With `_both` the other way and the first one
        together are the first retransmission."""
        at = self._tries
        self._tries = at + 1
        self.pace.soon = 0
        if self._both and at < 3 and len(self.ways) == 2:
            way = self.ways[at & 1]
            if at < 2:
                self.pace.soon = 1 if at else self.pace.prompt
        else:
            way = self.ways[(at - self._twice if at else 0) % len(self.ways)]
            if at >= self._twice and way != self.ways[-1]:
                self.pace.soon = self.pace.prompt or _ANOTHER_WAY
        if way != self._aimed:
            self._aim(way, now)
        if self._held is not None and (self.deleting or self._held[0] != way):
            self._held = None

    # The actions of states.py, in its order. Each raises before it changes anything.

    def _nothing(self, now: int, what: "Any") -> None:
        pass

    def _drop(self, now: int, what: "Any") -> None:
        self._owner.drop("unexpected")

    def _register(self, now: int, what: "Any") -> None:
        self.deleting = False
        self._hold_on()
        if self.before is None and self.way not in self._owner.ways.of(self.index):
            self.expires_at = None
        self._begin(now)

    def _hold_on(self) -> None:
        """Have data go on as they go now, if the node has another uplink than before beside it."""
        overlaps = self._owner.overlaps
        if self.usable:
            self.before = self.way if overlaps else None
        elif self.state == states.AT_HOME or self.state == states.RETURNING:
            self.before = (ways.NATIVE, self._owner.home_address, None, 0) if overlaps else None
            self.expires_at = None  # plain data need no binding

    def _delete(self, now: int, what: "Any") -> None:
        self.deleting = True
        self.before = None
        self._begin(now)
        self.expires_at = self._may_exist_until

    def _send(self, now: int, what: "Any") -> None:
        if self._unused is None:  # a handover waits for this: few names, no detour
            generation, sequence = self.numbers.take(self.index)
        else:
            generation, sequence = self._number_again()
        if generation != self.generation:
            self.pace.give_up()  # numbers count anew under the next key
            self._aimed = None
        self._choose(now)
        self.update.number(sequence)
        self.sequence = sequence
        if not self.deleting:
            until = now + 1000 * self.lifetime
            self._may_exist_until = max(self._may_exist_until, until)
        assert self._aimed is not None
        self.transmit_at = self.pace.note(sequence, now, self._aimed)
        self._packet = self.update.packet()
        self._owner.emit("update", self.correspondent, sequence)

    def _number_again(self) -> tuple[int, int]:
        """The (generation, number) that never left, while that generation is in use."""
        unused, self._unused = self._unused, None
        assert unused is not None
        if unused[0] == self.generation:
            return unused
        return self.numbers.take(self.index)

    def _accept(self, now: int, what: "Any") -> None:
        message, sent_at = what
        self.granted = 1000 * min(LIFETIME_UNIT_S * message.lifetime, self._peer.lifetime)
        self.expires_at = self._may_exist_until = sent_at + self.granted
        self.refresh_at = sent_at + _refresh_after(self.granted, message)
        self._follow(message, now - sent_at, now)
        assert self.way is not None
        self._held = (self.way, self.refresh_at, self.expires_at)
        self.accepted = message.sequence
        self._acknowledged = True
        self.why = None
        self.transmit_at = None
        self.pace.answered(message.sequence)
        warning = self.numbers.warning(self.index)
        if warning != self._warning:
            self._warning = warning
            self._owner.emit("warning", self.correspondent, warning)

    def _follow(self, message: "messages.Message", round_trip: int, now: int) -> None:
        """Have data go the way that brought the answer.

        Of several updates the correspondent believes the last: where one is on its way that left
        later by another way, it is told once more; but where that is a better one, and left just
        behind, its own answer is about to be there.
        """
        way = self.pace.way_of(message.sequence)
        last, apart = self.pace.later(message.sequence)
        assert way is not None  # update_list.py: the answer is to one that is awaited
        self.round_trip = round_trip
        self.pace.took(round_trip)
        if last is not None and last != way:
            better = way in self.ways and last in self.ways[: self.ways.index(way)]
            self.refresh_at = now + (_TOGETHER if better and apart < _TOGETHER else 0)
        if way[0] != self._told:
            self._told = way[0]
            self._owner.emit("way", self.correspondent, ways.NAMES[way[0]])
        self.way = way
        self._owner.ways.answered(self.index, way)
        detection = message.option(messages.NAT_DETECTION)
        self.nat = detection is not None
        seconds = 0 if detection is None else int.from_bytes(detection[2:6], "big")
        if seconds == _NO_KEEPALIVE or not self._owner.keepalive_s:
            self._keepalive = 0
        else:
            self._keepalive = 1000 * min(seconds or self._owner.keepalive_s, _KEEPALIVE_MAX_S)
        self.keepalive_at = now + self._keepalive if way[2] and self._keepalive else None

    def _refuse(self, now: int, what: "Any") -> None:
        self.expires_at = self.refresh_at = self._held = self.before = None
        self._acknowledged = False
        self._slow(now, what)

    def _remake(self, now: int, what: "Any") -> None:
        self.numbers.advance(self.index, what.sequence)
        self._unused = None
        # A correspondent that names ever higher numbers mustn't hurry the key to its end.
        if not self._jumped:
            self.transmit_at = self.pace.allowed(now)
        self._jumped = True

    def _lapse(self, now: int, what: "Any") -> None:
        self.expires_at = self._held = self.before = None
        self._acknowledged = False
        if self.transmit_at is None:
            self._begin(now)

    def _slow(self, now: int, what: "Any") -> None:
        if what is not None:
            self.why = what[0].status
        self.transmit_at = self.pace.slow_down(now)

    def _cease(self, now: int, what: "Any") -> None:
        self.transmit_at = None

    def _pause(self, now: int, what: "Any") -> None:
        self._stop(now, what)
        if what is None:
            self.retry_at = now + _BLOCKED_PAUSE
        else:
            self.why = what
            self.retry_at = now + _UNSUPPORTED_PAUSE

    def _stop(self, now: int, what: "Any") -> None:
        self.expires_at = self.refresh_at = self.retry_at = self.before = None
        self._halt()

    def _unbind(self, now: int, what: "Any") -> None:
        self._stop(now, what)
        self._may_exist_until = now
        self._acknowledged = False
        self._held = None
        if isinstance(what, tuple):
            self.accepted = what[0].sequence
        self.why = None

    def _resume(self, now: int, what: "Any") -> None:
        self._stop(now, what)
        self.deleting = False
        assert self._held is not None
        self.way, self.refresh_at, self.expires_at = self._held

    def _bar(self, now: int, what: "Any") -> None:
        self._unbind(now, what)
        self.why = what[0].status
        self.retry_at = now + _BARRED_PAUSE

    def _halt(self) -> None:
        """Nothing is on its way any more."""
        self.transmit_at = None
        self.pace.give_up()


_ACTIONS = (
    Binding._nothing, Binding._drop, Binding._register, Binding._delete, Binding._send,
    Binding._accept, Binding._refuse, Binding._remake, Binding._lapse, Binding._slow,
    Binding._cease, Binding._pause, Binding._stop, Binding._unbind, Binding._resume, Binding._bar,
)  # fmt: skip


def _refresh_after(granted: int, message: "messages.Message") -> int:
    """Milliseconds after the update was sent at which it is renewed.

    At the Binding Refresh Advice (section 6.2.4) where that lies within the lifetime; else a
    quarter of the lifetime before its end, and a minute at most.
    """
    advice = message.option(messages.BINDING_REFRESH_ADVICE)
    if advice is not None:
        interval = 1000 * LIFETIME_UNIT_S * int.from_bytes(advice, "big")
        if 0 < interval < granted:
            return interval
    return renewed_after(granted)


def renewed_after(granted: int) -> int:
    """As _refresh_after() where no advice was given."""
    return granted - min(_MARGIN_MAX, granted // 4)
