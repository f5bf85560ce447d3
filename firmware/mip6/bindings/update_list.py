"""The Binding Update List (RFC 6275 section 11.1): a node's bindings at its correspondents.

How it works. The list holds a `Binding` for each correspondent and the one care-of address in use.
Its user says which address that is (`attach`, `detach`), hands over every packet received
(`receive`) and, whenever `wakes_at` has come and after every other call, draws packets with
`next_packet` until there is none. Packets are made when they are drawn: the first correspondent's
update is on its way before the second's is computed. The states and what moves between them stand
in states.py, what each action does in actions.py; which message is which event in answers.py.

No I/O: `now` is an argument, a whole number of milliseconds of a clock that never goes back.
"""

from .. import addresses, messages, packets
from ..compat import const
from ..errors import Violation
from . import states
from .answers import acknowledgement, binding_error, parameter_problem, unproven
from .binding import Binding
from .complaints import complaint
from .series import add_ways
from .ways import Ways

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..homeagent.registration import HomeRegistration
    from ..keystore.keyset import Peer
    from ..keystore.keystore import Keystore
    from ..protocols import Emit, Octets, Outgoing

KEEPALIVE_S = const(25)  # where the correspondent names no other
_COMPLAINTS_MS = const(1000)  # between errors that we send
_NEVER = const(-10000000)


def nowhere(kind: str, subject: bytes | None, detail: object) -> None:
    """Where events go that nobody wants."""


class BindingUpdateList:
    """The bindings of one home address. `keystore`: a loaded keystore.Keystore.

    `bindings`: in the order of the credentials. `care_of`: the address in use (16 octets), the
    home address itself at home, or None. `emit(kind, address or None, detail or None)` is called
    with what happens, a short fixed word first. `drops`: what was dropped, counted by reason.
    `keepalive_s`: seconds of silence after which a port at a NAT is kept; 0: never. `native`,
    `udp`: whether the platform has these ways. With a home agent: homeagent/update_list.py.
    """

    home_agent: "HomeRegistration | None" = None

    def __init__(
        self,
        keystore: "Keystore",
        now: int,
        emit: "Emit" = nowhere,
        native: bool = True,
        udp: bool = False,
    ) -> None:
        self.keystore = keystore
        credentials = keystore.credentials
        assert credentials is not None
        self.home_address = credentials.home_address
        self.ways = Ways(
            credentials.peers,
            self.home_address,
            native and credentials.native,
            udp,
            credentials.home_agent,
        )
        self.keepalive_s = KEEPALIVE_S
        self.care_of: bytes | None = None
        self.drops: dict[str, int] = {}
        self.emit = emit
        self.closing = False
        self.uplink: str | None = None  # that the address in use is on, for the log
        self.valid_until: int | None = None  # of the address in use, milliseconds; None: for ever
        # whether the address in use stays usable, on another uplink, beside what `attach` is told
        self.overlaps = False
        self._reply: "Outgoing | None" = None  # an error that is due to somebody
        self._complained_at = _NEVER
        self._drawn: Binding | None = None  # whose update next_packet gave last
        self._carrying: Binding | None = None  # whose data carry() made ready last
        self._options: dict[int, bytes] = {}  # protocol -> header with the Home Address option
        self.bindings = [
            self._make(index, peer, now) for index, peer in enumerate(credentials.peers)
        ]

    def _make(self, index: int, peer: "Peer", now: int) -> Binding:
        return Binding(self, index, peer, now)

    @property
    def attachment(self) -> int:
        """The event that says where the node is."""
        if self.care_of is None:
            return states.LOST
        return states.HOME if self.care_of == self.home_address else states.AWAY

    @property
    def closed(self) -> bool:
        """Whether a shutdown has come to its end with every correspondent."""
        return all(binding.state == states.CLOSED for binding in self.bindings)

    def find(self, correspondent: "Octets") -> "Binding | None":
        """The Binding of a correspondent (16 octets), or None."""
        for binding in self.bindings:
            if binding.correspondent == correspondent:
                return binding
        return None

    def attach(
        self, care_of_address: bytes, now: int, ipv4: bytes | None = None, network: str = ""
    ) -> None:
        """Use this address (16 octets) from now on; the home address itself means: at home.

        `ipv4`: an IPv4 address of the same uplink, beside an IPv6 one; `network`: what the network
        is remembered by.
        """
        ipv6 = None if addresses.is_ipv4(care_of_address) else care_of_address
        moved = care_of_address != self.care_of
        if not self.ways.at(network, ipv6, ipv4 if ipv6 else care_of_address) and not moved:
            return
        self.care_of = care_of_address
        if moved:
            self.emit("attached", care_of_address, self.uplink)
        for binding in self.bindings:
            back = binding.holds(care_of_address, now) and states.knows(binding.state, states.BACK)
            binding.attach(states.BACK if back else self.attachment, now, moved)
        self.overlaps = False

    def again(self, now: int) -> None:
        """What found no way, or no answer, may find one now."""
        self.ways.ask_again()
        for binding in self.bindings:
            if binding.state == states.REGISTERING and binding.transmit_at is not None:
                binding.transmit_at = binding.pace.allowed(now)

    def more_ways(self, now: int) -> None:
        """A name was looked up, and there is news."""
        for binding in self.bindings:
            add_ways(binding, now)

    def detach(self, now: int) -> None:
        """There is no address to use."""
        if self.care_of is not None:
            self.care_of = None
            self.emit("detached", None, None)
            for binding in self.bindings:
                binding.feed(states.LOST, now)

    def shutdown(self, now: int) -> None:
        """Delete all bindings; `closed` says when that is done."""
        self.closing = True
        for binding in self.bindings:
            binding.feed(states.SHUTDOWN, now)

    def prepare(self, care_of_address: bytes) -> None:
        """Compute the keys for an address that is usable but not in use yet."""
        if care_of_address != self.home_address:
            for binding in self.bindings:
                binding.prepare(care_of_address)

    def left(self, address: bytes) -> None:
        """An address is gone: nothing leaves from it any more. `forget` follows."""
        for binding in self.bindings:
            if binding.before is not None and binding.before[1] == address:
                binding.before = None

    def forget(self, care_of_address: bytes) -> None:
        """An address is gone."""
        for binding in self.bindings:
            binding.forget(care_of_address)

    def next_packet(self, now: int) -> "Outgoing | None":
        """The next packet to send now: (source, destination, next header, payload), or None.

        `payload` begins with the header of type `next header` and is valid until the next call.
        """
        self._drawn = None
        if self._reply is not None:
            return self._take_reply()
        for binding in self._active():
            packet = binding.run(now)
            if packet is not None:
                self._drawn = binding
                return packet
        for binding in self.bindings:
            packet = binding.keepalive(now)
            if packet is not None:
                return packet
        return None

    def _active(self) -> list[Binding]:
        """Those that may send now."""
        return self.bindings

    def _take_reply(self) -> "Outgoing | None":
        reply, self._reply = self._reply, None
        return reply

    def unsent(self) -> None:
        """The platform refused the packet drawn last: it costs no number."""
        if self._drawn is not None:
            self._drawn.unsent()

    def serves(self, destination: bytes) -> bool:
        """Whether data may ever go there: to a correspondent."""
        return self.find(destination) is not None

    def reaches(self, destination: bytes) -> bool:
        """Whether data can go there: the node is at home, bound at this correspondent, or was on
        an uplink that is still there."""
        if self.attachment == states.HOME:
            return True
        binding = self.find(destination)
        return binding is not None and binding.data_way is not None

    def settled(self, destination: bytes) -> bool:
        """Whether data go there from where the node is now."""
        binding = self.find(destination)
        return self.attachment == states.HOME or (binding is not None and binding.usable)

    def carry(self, destination: bytes, protocol: int, payload: bytes) -> "Outgoing":
        """A packet that carries data from the home address, as `next_packet` gives them.

        `payload` begins with the header of `protocol`; its checksum covers the home address. Only
        while `reaches` says so.
        """
        if self.attachment == states.HOME:
            return self.home_address, destination, protocol, payload
        binding = self.find(destination)
        assert binding is not None and binding.data_way is not None
        _, care_of, outer, port = binding.data_way
        if care_of == self.home_address:
            return care_of, destination, protocol, payload
        if outer is not None:
            octets = len(payload)
            if octets >= packets.KEEPALIVE_OCTETS - packets.IPV6_HEADER_OCTETS:
                self._carrying = binding
            whole = packets.ipv6_header(self.home_address, destination, protocol, octets) + payload
            return care_of, outer, packets.ENCAPSULATED + port, whole
        option = self._options.get(protocol)
        if option is None:
            option = packets.home_address_option(self.home_address, protocol)
            self._options[protocol] = option
        return care_of, destination, packets.DESTINATION_OPTIONS, option + payload

    def carried(self, now: int) -> None:
        """What `carry` made has left. It takes the place of a keepalive where it is as long as the
        error that says "no binding": so a NAT's other port shows."""
        if self._carrying is not None:
            self._carrying.spoke(now)
            self._carrying = None

    def wakes_at(self) -> int | None:
        """When `next_packet` has to be called again though nothing happened, or None."""
        soonest = None
        for binding in self._active():
            at = binding.wakes_at()
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        return soonest

    def receive(
        self, source: bytes, destination: bytes, next_header: int, payload: "Octets", now: int
    ) -> "packets.Packet | None":
        """Take a packet from the network; returns it parsed if it isn't ours but the user's data.

        Addresses as in the IPv6 header; `payload` from the header of type `next_header` on; or a
        datagram's outer source and data, `next_header` being packets.ENCAPSULATED and its source
        port. Whatever is wrong is counted.
        """
        try:
            if next_header == packets.ICMPV6:
                parameter_problem(self, payload, now)
                return None
            packet = self._read(source, destination, next_header, payload)
            if packet.protocol != packets.MOBILITY:
                return self._data(packet)
            self._mobility(packet, (next_header, payload), now)
        except Violation as violation:
            self.drop(violation.reason)
        return None

    def _read(
        self, source: bytes, destination: bytes, next_header: int, payload: "Octets"
    ) -> "packets.Packet":
        """What is inside a datagram comes from where its sender is reached, or isn't taken."""
        if next_header < packets.ENCAPSULATED:
            return packets.parse_payload(next_header, payload, source, destination)
        packet = packets.parse_encapsulated(payload)
        binding = self.find(packet.source)
        if binding is None:
            raise Violation("unknown correspondent", "a datagram from a stranger")
        if not self._comes(binding, source, next_header - packets.ENCAPSULATED):
            raise Violation("endpoint", "a datagram from elsewhere than the correspondent")
        return packet

    def _comes(self, binding: Binding, outer: bytes, port: int) -> bool:
        """Whether a datagram from there may be this peer's."""
        before = binding.before
        if before is not None and before[2] == outer and before[3] == port:
            return True
        return any(way[2] == outer and way[3] == port for way in binding.ways)

    def _data(self, packet: "packets.Packet") -> "packets.Packet":
        """Data are the user's if they were sent to the home address, and by who they say: with no
        binding here of the sender's, a Home Address option means nothing (RFC 6275 9.3.1)."""
        if packet.home_address is not None:
            raise Violation("no binding", "a Home Address option without a binding")
        if packet.logical_destination != self.home_address:
            raise Violation("not for the home address", "data to another address")
        return packet

    def _mobility(self, packet: "packets.Packet", whole: "tuple[int, Octets]", now: int) -> None:
        if not packet.checksum_ok():
            raise Violation("checksum", "wrong checksum")
        try:
            message = messages.decode(packet.payload)
        except Violation as violation:
            self._complain(packet, whole, violation.reason, now)
            raise
        binding = self.find(packet.source)
        if binding is None:
            raise Violation("unknown correspondent", "mobility message from a stranger")
        self._message(binding, packet, message, now)

    def _message(
        self, binding: Binding, packet: "packets.Packet", message: "messages.Message", now: int
    ) -> None:
        """What a correspondent says."""
        if message.kind == messages.BINDING_ERROR:
            binding_error(self, binding, packet, message, now)
            return
        if packet.logical_destination != self.home_address:
            raise Violation("not for the home address", "mobility message to another address")
        if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
            self._acknowledgement(binding, packet, message, now)
        elif message.kind == messages.BINDING_REFRESH_REQUEST:
            unproven(binding, states.REQUESTED, now)
        else:
            raise Violation("unexpected", "a message that a mobile node doesn't take")

    _acknowledgement = acknowledgement

    def _complain(
        self, packet: "packets.Packet", whole: "tuple[int, Octets]", reason: str, now: int
    ) -> None:
        """Have the sender of what can't be read told so, once a second at most."""
        if now - self._complained_at >= _COMPLAINTS_MS:
            reply = complaint(packet, whole, reason)
            if reply is not None:
                self._reply = reply
                self._complained_at = now

    def drop(self, reason: str) -> None:
        """Count what was dropped."""
        self.drops[reason] = self.drops.get(reason, 0) + 1
