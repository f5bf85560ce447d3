"""The binding at the home agent (RFC 6275 section 11.7.1), under a static key (RFC 4285).

It is a binding like any other: the same states, numbers, retransmissions and ways. What differs is
what its updates say (flag H), what proves them (the MN-HA authentication option, whose SPI names
the key's generation), and what it is good for: while it stands, whatever isn't for a
correspondent with a binding of its own goes through the home agent, and comes that way.

A home agent that was provisioned without a key gets updates that nothing authenticates, and so is
believed whatever it, or anybody in its name, says (`keyed`). Its numbers are kept in memory alone.
"""

from .. import keys, messages, packets
from ..bindings import states, updates
from ..bindings.binding import Binding
from ..compat import const
from ..errors import Violation
from . import authenticator as mn_ha
from .numbers import Numbers

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..keystore.keyset import Peer
    from ..protocols import HmacKey, Octets, Outgoing, Way
    from .update_list import HomeUpdateList

_NO_MAC = bytes(keys.AUTHENTICATOR_OCTETS)


class _Key:
    """The MN-HA key, prepared: the same for every care-of address."""

    def __init__(self, key: bytes) -> None:
        self._key = keys.hmac_key(key)

    def registration(self, care_of_address: bytes) -> "HmacKey":
        """The key of updates for a care-of address."""
        return self._key

    def deletion(self) -> "HmacKey":
        """The key of updates that delete the binding."""
        return self._key

    def forget(self, care_of_address: bytes) -> None:
        """Nothing is kept for an address."""


class _Registration(updates.Update):
    """A Binding Update with flag H, under a key whose SPI (RFC 4285 section 5) is given."""

    flags = messages.FLAG_HOME_REGISTRATION

    def __init__(self, home_address: bytes, home_agent: bytes, spi: int) -> None:
        self.last = mn_ha.OPTION + spi.to_bytes(4, "big")
        updates.Update.__init__(self, home_address, home_agent)

    def aim(self, way: "Way", key: "HmacKey", lifetime: int) -> None:
        """As Update.aim; the MAC covers the home address."""
        updates.Update.aim(self, way, key, lifetime)
        self._addresses = way[1] + self.home_address


class _Unauthenticated(updates.Update):
    """An update that nothing vouches for: where the MAC would be, there is padding."""

    flags = messages.FLAG_HOME_REGISTRATION
    last = bytes((messages.PADN, keys.AUTHENTICATOR_OCTETS))

    def number(self, sequence: int) -> None:
        """As Update.number."""
        updates.Update.number(self, sequence)
        header = self._layout.header
        self._layout.mac[:] = _NO_MAC
        header[messages.CHECKSUM_AT] = header[messages.CHECKSUM_AT + 1] = 0
        value = packets.checksum(self.home_address, self.correspondent, packets.MOBILITY, header)
        header[messages.CHECKSUM_AT] = value >> 8
        header[messages.CHECKSUM_AT + 1] = value & 255


class HomeRegistration(Binding):
    """The state of the home agent."""

    def __init__(self, owner: "HomeUpdateList", index: int, peer: "Peer", now: int) -> None:
        Binding.__init__(self, owner, index, peer, now)
        self.keyed = bool(peer.generations)
        if not self.keyed:
            self.state = states.DETACHED
            self.why = None
            self.numbers = Numbers()
            self.generation = 0
            self.keys = _Key(b"")  # type: ignore[assignment]  # of the same shape
            self.update = _Unauthenticated(owner.home_address, peer.correspondent)

    def _ready_keys(self) -> "updates.PreparedKeys":
        generation, key = self.numbers.current(self.index)
        if self.keys is None or generation != self.generation:
            self.owner.emit("generation", self.correspondent, generation)
            self.generation = generation
            assert key is not None
            spi = mn_ha.SPI_OF_GENERATION_0 + generation
            self.update = _Registration(self.owner.home_address, self.correspondent, spi)
            self.keys = _Key(key)  # type: ignore[assignment]  # as above
        return self.keys  # type: ignore[return-value]  # as above

    def authentic(self, sequence: int, header: "Octets") -> bool:
        """As Binding.authentic; the key is the same for each address."""
        if not self.keyed:
            return True
        way = self.pace.way_of(sequence)
        key, home = self._ready_keys().deletion(), self.owner.home_address
        ways = self.ways if way is None else [way]
        return any(mn_ha.verify(key, one[1], home, header) for one in ways)

    # The tunnel

    def carry(self, destination: bytes, protocol: int, payload: "Octets") -> "Outgoing":
        """A whole packet in a packet to the home agent (RFC 6275 section 11.3.1); only while
        `data_way` is there."""
        assert self.data_way is not None
        _, care_of, outer, port = self.data_way
        whole = packets.ipv6_header(self.owner.home_address, destination, protocol, len(payload))
        whole += payload
        if outer is None:
            return care_of, self.correspondent, packets.IPV6, whole
        return care_of, outer, packets.ENCAPSULATED + port, whole

    def unwrap(self, source: bytes, payload: "Octets") -> "packets.Packet":
        """The packet in a packet from an address (RFC 6275 section 11.3.3). Raises Violation."""
        if source != self.correspondent:
            raise Violation("tunnel", "a packet in a packet, and not from the home agent")
        if not self.passes_on():
            raise Violation("tunnel", "a packet in a packet, and no binding at the home agent")
        octets = memoryview(payload)
        if len(octets) < packets.IPV6_HEADER_OCTETS or octets[0] >> 4 != 6:
            raise Violation("tunnel", "no packet in a packet")
        end = packets.IPV6_HEADER_OCTETS + (octets[4] << 8 | octets[5])
        if end > len(octets):
            raise Violation("truncated", "a packet in a packet shorter than it says")
        return packets.parse_payload(
            octets[6],
            octets[packets.IPV6_HEADER_OCTETS : end],
            bytes(octets[8:24]),
            bytes(octets[24:40]),
            octets[7],
        )

    def passes_on(self) -> bool:
        """Whether it may hold a binding: the answer that says so may be on its way."""
        return self.data_way is not None or self.state == states.REGISTERING
