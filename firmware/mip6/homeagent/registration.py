"""The binding at the home agent (RFC 6275 section 11.7.1), under a static key (RFC 4285).

It is a binding like any other: the same states, numbers, retransmissions and ways. What differs is
what its updates say (flag H), what proves them (the MN-HA authentication option, whose SPI names
the key's generation), and what it is good for: while it stands, whatever isn't for a
correspondent with a binding of its own goes through the home agent, and comes that way.

A home agent that was provisioned without a key gets updates that nothing authenticates, and so is
believed whatever it, or anybody in its name, says (`keyed`). Its numbers are kept in
memory alone: there is no key whose life they guard.
"""

from .. import keys, messages, packets
from ..bindings import states, updates
from ..bindings.binding import Binding
from ..compat import const
from ..errors import Violation
from . import authenticator as mn_ha

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..bindings.update_list import BindingUpdateList
    from ..keystore.keyset import Peer
    from ..protocols import HmacKey, Octets, Outgoing

_NUMBERS = const(65536)
_NO_MAC = bytes(keys.AUTHENTICATOR_OCTETS)
_PADDING = bytes((messages.PADN, keys.AUTHENTICATOR_OCTETS))


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


class _Unauthenticated(updates.Update):
    """An update that nothing vouches for: where the MAC would be, there is padding."""

    def _authenticator(self) -> bytes:
        return _NO_MAC


class HomeRegistration(Binding):
    """The state of the home agent."""

    def __init__(self, owner: "BindingUpdateList", index: int, peer: "Peer", now: int) -> None:
        Binding.__init__(self, owner, index, peer, now)
        if not self.keyed:
            self.state = states.DETACHED
            self.why = None
            self.generation = 0
            self.keys = _Key(b"")  # type: ignore[assignment]  # of the same shape
            self._number = -1
            self.update = _Unauthenticated(
                owner.home_address,
                peer.correspondent,
                messages.FLAG_HOME_REGISTRATION,
                _PADDING,
            )

    def _ready_keys(self) -> "updates.PreparedKeys":
        if self.keyed:
            generation, key = self._owner.keystore.current(self.index)
            if self.keys is None or generation != self.generation:
                self._tell_generation(generation)
                assert key is not None
                self.keys = _Key(key)  # type: ignore[assignment]  # as above
                spi = mn_ha.SPI_OF_GENERATION_0 + generation
                self.update = updates.Update(
                    self._owner.home_address,
                    self.correspondent,
                    messages.FLAG_HOME_REGISTRATION,
                    mn_ha.OPTION + spi.to_bytes(4, "big"),
                    self._owner.home_address,
                )
        return self.keys  # type: ignore[return-value]  # made above, or from the start on

    def _proves(self, key: "HmacKey", care_of_address: bytes, header: "Octets") -> bool:
        return not self.keyed or mn_ha.verify(
            key, care_of_address, self._owner.home_address, header
        )

    # The tunnel

    def carry(self, destination: bytes, protocol: int, payload: "Octets") -> "Outgoing":
        """A whole packet in a packet to the home agent (RFC 6275 section 11.3.1); only while
        `data_way` is there."""
        assert self.data_way is not None
        _, care_of, outer, port = self.data_way
        whole = packets.ipv6_header(self._owner.home_address, destination, protocol, len(payload))
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

    # Numbers of a home agent without a key

    def _take(self) -> tuple[int, int]:
        if self.keyed:
            return Binding._take(self)
        self._number = (self._number + 1) % _NUMBERS
        return 0, self._number

    def counts(self, sequence: int) -> bool:
        """Whether an answer that names this number says that we are behind."""
        return not self.keyed or Binding.counts(self, sequence)

    def _remedy(self, message: "messages.Message") -> None:
        if self.keyed:
            Binding._remedy(self, message)
        else:
            self._number = message.sequence

    def _wait(self, now: int) -> int:
        return Binding._wait(self, now) if self.keyed else 0

    def _spend(self, tokens: int) -> None:
        if self.keyed:
            Binding._spend(self, tokens)

    def _warn(self) -> None:
        if self.keyed:
            Binding._warn(self)
