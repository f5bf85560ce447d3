"""The Binding Update List of a node with a home agent (RFC 6275 sections 11.1 and 11.3).

What it has beside the usual one: the registration at the home agent, correspondents without a key
(return routability), and the tunnel, by which data go to and come from all others.
"""

from .. import messages, packets
from ..bindings import states
from ..bindings.binding import Binding
from ..bindings.update_list import BindingUpdateList, nowhere
from ..compat import const
from ..errors import Violation
from .registration import HomeRegistration

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..keystore.keyset import Peer
    from ..keystore.keystore import Keystore
    from ..protocols import Emit, Octets, Outgoing

_TOLD_IN_VAIN = const(3)  # updates
_TESTS = (messages.HOME_TEST, messages.CARE_OF_TEST)

#: Statuses that no authenticator can vouch for (section 6.1.8).
_EXPIRED = (messages.EXPIRED_HOME_NONCE, messages.EXPIRED_CARE_OF_NONCE, messages.EXPIRED_NONCES)


class HomeUpdateList(BindingUpdateList):
    """As BindingUpdateList. `home_agent`: the registration there. `random(octets)`: what nobody
    can guess, for return routability."""

    home_agent: HomeRegistration

    def __init__(
        self,
        keystore: "Keystore",
        now: int,
        emit: "Emit" = nowhere,
        native: bool = True,
        udp: bool = False,
        random: "Callable[[int], bytes] | None" = None,
    ) -> None:
        self.random = random
        self._tunnelled = False  # whether what is received came through the home agent
        self._told = False  # the neighbours, that the home address is ours again
        BindingUpdateList.__init__(self, keystore, now, emit, native, udp)

    def _make(self, index: int, peer: "Peer", now: int) -> Binding:
        """What peer `index` has. A load point: there may be none without a key."""
        if index == self.keystore.credentials.home_agent:  # type: ignore[union-attr]  # there are
            self.home_agent = HomeRegistration(self, index, peer, now)
            return self.home_agent
        if peer.generations:
            return Binding(self, index, peer, now)
        from ..routability.binding import RoutedBinding

        return RoutedBinding(self, index, peer, now)

    def _active(self) -> list[Binding]:
        """At home the home agent is told first (RFC 6275 section 11.5.5): while it defends the
        home address, the answers of others go to it. One that says nothing isn't waited for."""
        agent = self.home_agent
        if agent.state != states.RETURNING or agent.pace.unanswered >= _TOLD_IN_VAIN:
            return self.bindings
        return [one for one in self.bindings if one is agent or one.state != states.RETURNING]

    def to_announce(self) -> bool:
        """Whether the neighbours are to be told now that the home address is ours: once the home
        agent has let go of it (section 11.5.5), once."""
        free = self.attachment == states.HOME and self.home_agent.state == states.AT_HOME
        news = free and not self._told
        self._told = free
        return news

    # Data

    def serves(self, destination: bytes) -> bool:
        """Whether data may ever go there: to anybody."""
        return True

    def reaches(self, destination: bytes) -> bool:
        """Whether data can go there, by a binding there or through the home agent."""
        return BindingUpdateList.reaches(self, destination) or self.has_home_way()

    def settled(self, destination: bytes) -> bool:
        """Whether data go there from where the node is now."""
        return BindingUpdateList.settled(self, destination) or self.home_agent.usable

    def carry(self, destination: bytes, protocol: int, payload: bytes) -> "Outgoing":
        """As BindingUpdateList.carry; what has no way of its own goes through the home agent."""
        binding = self.find(destination)
        if binding is None or binding is self.home_agent or binding.data_way is None:
            return self.by_home_way(destination, protocol, payload)
        return BindingUpdateList.carry(self, destination, protocol, payload)

    def has_home_way(self) -> bool:
        """Whether packets may leave from the home address to anybody: at home, or through the
        home agent."""
        return self.attachment == states.HOME or self.home_agent.data_way is not None

    def by_home_way(self, destination: bytes, protocol: int, payload: "Octets") -> "Outgoing":
        """A packet that leaves that way; only while there is one."""
        if self.attachment == states.HOME:
            return self.home_address, destination, protocol, payload
        if len(payload) >= packets.KEEPALIVE_OCTETS - packets.IPV6_HEADER_OCTETS:
            self._carrying = self.home_agent
        return self.home_agent.carry(destination, protocol, payload)

    # What comes

    def _read(
        self, source: bytes, destination: bytes, next_header: int, payload: "Octets"
    ) -> "packets.Packet":
        """As BindingUpdateList._read; the home agent passes on what others send."""
        self._tunnelled = next_header == packets.IPV6
        if self._tunnelled:
            return self.home_agent.unwrap(source, payload)
        if next_header >= packets.ENCAPSULATED:
            packet = packets.parse_encapsulated(payload)
            agent, binding = self.home_agent, self.find(packet.source)
            port = next_header - packets.ENCAPSULATED
            direct = binding is not None and self._comes(binding, source, port)
            if not direct and agent.passes_on() and self._comes(agent, source, port):
                self._tunnelled = True
                return packet
        return BindingUpdateList._read(self, source, destination, next_header, payload)

    def _complain(
        self, packet: "packets.Packet", whole: "tuple[int, Octets]", reason: str, now: int
    ) -> None:
        if not self._tunnelled:
            BindingUpdateList._complain(self, packet, whole, reason, now)

    def _message(
        self, binding: Binding, packet: "packets.Packet", message: "messages.Message", now: int
    ) -> None:
        if hasattr(binding, "procedure") and message.kind in _TESTS:
            binding.tested(packet, self._tunnelled, now)  # type: ignore[attr-defined]  # it has one
            return
        deleted = binding.deleting and message.kind == messages.BINDING_ACKNOWLEDGEMENT
        if self._tunnelled and not (deleted and hasattr(binding, "procedure")):
            raise Violation("unexpected", "signalling through the home agent")
        BindingUpdateList._message(self, binding, packet, message, now)

    def _acknowledgement(
        self, binding: Binding, packet: "packets.Packet", message: "messages.Message", now: int
    ) -> None:
        if not hasattr(binding, "procedure") or message.status not in _EXPIRED:
            BindingUpdateList._acknowledgement(self, binding, packet, message, now)
            return
        awaited = binding.pace.sent_at(message.sequence) is not None
        if not awaited or not states.knows(binding.state, states.OUTDATED):
            raise Violation("old sequence", "not an answer to us")
        self.emit("acknowledged", binding.correspondent, message.status)
        binding.heard_at = now
        binding.pace.unanswered = 0
        binding.refused(message, now)  # type: ignore[attr-defined]  # as above
