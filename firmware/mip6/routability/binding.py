"""The binding at a correspondent without a key: return routability authorizes it (RFC 6275
sections 5.2.6 and 11.7.2).

It is a binding like any other, but that an update leaves only while both tokens serve; what is
due before that are tests. The home token is kept fresh as long as there is a binding. Numbers
guard one binding for minutes, so they are in memory alone; a correspondent that remembers a higher
one says so (status 135), under Kbm. That it doesn't know a nonce any more (136 to 138) it can
only say without; whoever sees our updates can do so too, and costs us a test.

Natively alone: where a network has no IPv6 the home agent stands for the node, and for this
correspondent that is as good as being at home: the binding from before is deleted, in the name of
the home address (section 9.5.1 with no Home Address option), which takes the home token and the
home agent's tunnel alone. Data go that way, too. So it is where a network has IPv6 and drops what
updates or their answers take, which three without an answer show; an hour later, or at the next
address, they are tried again.
"""

from .. import keys, messages, packets
from ..bindings import states, updates, ways
from ..bindings.binding import Binding
from ..compat import const
from ..errors import Violation
from ..homeagent.numbers import Numbers
from .procedure import CARE_OF, HOME, Procedure

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..homeagent.update_list import HomeUpdateList
    from ..keystore.keyset import Peer
    from ..protocols import HmacKey, Octets, Outgoing, Way

_LIFETIME_MAX = const(420)  # seconds: MAX_RR_BINDING_LIFETIME, RFC 6275 section 12
_KIND_AT = const(2)  # in the Mobility Header
_INDICES_AT = const(14)  # in the Mobility Header: behind the option's type and length
_IN_VAIN = const(3)  # updates, though the tests had answers
_AGAIN_MS = const(3600000)


class _Update(updates.Update):
    """A Binding Update that names the nonces of its tokens (section 6.2.6)."""

    options = bytes((messages.NONCE_INDICES, 4, 0, 0, 0, 0))

    def name(self, indices: bytes) -> None:
        """Fill in the nonces' indices, 4 octets; `aim` comes before."""
        self._layout.header[_INDICES_AT : _INDICES_AT + 4] = indices
        self._sum += int.from_bytes(indices, "big")  # modulo 65535 as good as its halves

    def key(self) -> "HmacKey":
        """The key that the update was made under."""
        return self._key


class RoutedBinding(Binding):
    """The state of a correspondent without a key. `procedure`: the tests of both addresses."""

    procedure: Procedure
    update: _Update
    owner: "HomeUpdateList"

    def __init__(self, owner: "HomeUpdateList", index: int, peer: "Peer", now: int) -> None:
        Binding.__init__(self, owner, index, peer, now)
        self.state = states.DETACHED
        self.why = None
        self.lifetime = min(peer.lifetime, _LIFETIME_MAX)
        assert owner.random is not None
        self.procedure = Procedure(owner.random)
        self.update = _Update(owner.home_address, peer.correspondent)
        self.numbers = Numbers()
        self.generation = 0
        self._waiting = False  # for tokens, with an update due
        self._drew_test = False
        self._vain = False  # the home agent stands for the node, though there is a way

    # Tests, in the place of updates that can't be made yet

    def run(self, now: int) -> "Outgoing | None":
        """As Binding.run; tests of the addresses are due, too."""
        self._let_timers(now)
        if self._vain and self.state == states.AT_HOME and self.retry_at is None:
            self.retry_at = now + _AGAIN_MS
        self._drew_test = False
        if self.usable:
            self.procedure.keep(now)
        due = self.transmit_at is not None and now >= self.transmit_at
        if due and self.state == states.REGISTERING and self.pace.unanswered >= _IN_VAIN:
            self._give_way(now)
        self._waiting = due and not self._ready(now)
        if self._waiting:
            if self.deleting:
                self.procedure.want_home(now)
            else:
                self.procedure.want(now)
        else:
            packet = Binding.run(self, now)
            if packet is not None and packet[2] == packets.MOBILITY:  # in the home address's name
                return self.owner.by_home_way(packet[1], packet[2], packet[3])
            if packet is not None:
                return packet
        return self._test(now)

    def _give_way(self, now: int) -> None:
        """What updates or their answers take doesn't pass: the home agent stands for the node."""
        agent = self.owner.home_agent
        if agent is not None and agent.usable:
            self._vain = True
            self.feed(states.HOME, now)

    def _ready(self, now: int) -> bool:
        """Whether an update can be made and may leave."""
        if self.deleting:
            return self.procedure.can_delete(now) and self.owner.has_home_way()
        return self.procedure.ready(now)

    def _test(self, now: int) -> "Outgoing | None":
        """The test that is due, on its way: the home address's through the home agent (section
        11.6.1), at home without."""
        owner = self.owner
        due = self.procedure.run(now, owner.has_home_way())
        if due is None:
            return None
        which, message = due
        self._drew_test = True
        source = owner.home_address if which == HOME else self.procedure.care_of
        assert source is not None
        value = packets.checksum(source, self.correspondent, packets.MOBILITY, message)
        message[messages.CHECKSUM_AT] = value >> 8
        message[messages.CHECKSUM_AT + 1] = value & 255
        if which == CARE_OF:
            return source, self.correspondent, packets.MOBILITY, message
        return owner.by_home_way(self.correspondent, packets.MOBILITY, message)

    def tested(self, packet: "packets.Packet", tunnelled: bool, now: int) -> None:
        """Take a Home Test or a Care-of Test. Raises Violation where nobody asked for it.

        A Home Test comes through the home agent, to the home address; a Care-of Test to the
        care-of address, and nothing is between (RFC 6275 section 11.6.2).
        """
        owner = self.owner
        home = packet.payload[_KIND_AT] == messages.HOME_TEST
        if home:
            there = packet.logical_destination == owner.home_address
            there = there and (tunnelled or owner.attachment == states.HOME)
        else:
            there = packet.logical_destination == self.procedure.care_of and not tunnelled
        if not there:
            raise Violation("unexpected", "a test's answer by another way than the test's")
        if not self.procedure.receive(HOME if home else CARE_OF, packet.payload):
            raise Violation("cookie", "a test's answer that nobody asked for")
        self.heard_at = now
        self.aimed = None  # the next update is made under other tokens
        self._waiting = False
        owner.emit("tested", self.correspondent, "home" if home else "care-of")

    def wakes_at(self) -> int | None:
        """As Binding.wakes_at."""
        at = self.transmit_at
        if self._waiting:  # what is due waits for an answer
            self.transmit_at = None
        soonest = Binding.wakes_at(self)
        self.transmit_at = at
        test = self.procedure.wakes_at(self.owner.has_home_way(), self.usable)
        if soonest is None or (test is not None and test < soonest):
            return test
        return soonest

    def unsent(self) -> None:
        """As Binding.unsent; a test that the platform refused is repeated in time."""
        if not self._drew_test:
            Binding.unsent(self)

    # What authorizes updates

    def prepare(self, care_of_address: bytes) -> None:
        """Nothing can be made ahead."""

    def attach(self, event: int, now: int, moved: bool) -> None:
        """As Binding.attach; where no way leads here it is as at home."""
        stood_for = self.state == states.RETURNING or self.state == states.AT_HOME
        if event == states.AWAY and not self.owner.ways.of(self.index):
            event = states.HOME
        if stood_for and self._vain and not moved:
            return
        self._vain = False
        if stood_for:
            self.retry_at = None
            if states.knows(self.state, event):
                self.feed(event, now)
        else:
            Binding.attach(self, event, now, moved)

    def begin(self, now: int) -> None:
        """As Binding.begin; a binding is deleted in the home address's name where no way is."""
        Binding.begin(self, now)
        if self.deleting and (self._vain or not self.ways):
            self.way = (ways.NATIVE, self.owner.home_address, None, 0)
            self.ways = [self.way]
            self.transmit_at = self.pace.allowed(now)
            self.why = None
        away = self.way is not None and self.way[1] != self.owner.home_address
        self.procedure.aim(self.way[1] if self.way is not None and away else None)

    def halt(self) -> None:
        """As Binding.halt; so are the tests."""
        Binding.halt(self)
        self._waiting = False
        self.procedure.cease()

    def aim(self, way: "Way", now: int) -> None:
        """As Binding.aim, under the tokens of now."""
        units = 0 if self.deleting else self._lifetime(way, now)
        self.update.aim(way, self.procedure.key(self.deleting), units)
        self.update.name(self.procedure.indices(self.deleting))
        self.aimed = way

    def authentic(self, sequence: int, header: "Octets") -> bool:
        """Whether an acknowledgement was made under the key of the update sent last."""
        key = self.update.key()
        way = self.pace.way_of(sequence) or self.way
        if not key or way is None:
            return False
        return keys.verify(key, way[1], self.correspondent, header)

    def refused(self, message: "messages.Message", now: int) -> None:
        """The correspondent doesn't know a nonce any more: test again, send again."""
        assert self.sequence is not None
        self.procedure.refused(message.status)
        self.aimed = None
        message.sequence = self.sequence  # nothing was wrong with that: go on behind it
        self.feed(states.OUTDATED, now, message)
