"""What others say about our bindings: which message is which event of the state table, and which
is none because a check failed (errors.Violation, whose reason is counted)."""

from .. import messages, packets
from ..compat import const
from ..errors import Violation
from . import reasons, states

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Octets
    from .binding import Binding
    from .update_list import BindingUpdateList

# ICMPv6, RFC 4443
_PARAMETER_PROBLEM = const(4)
_UNRECOGNIZED_NEXT_HEADER = const(1)
_ICMP_ERROR_OCTETS = const(8)

_NEVER = const(-10000000)

#: Statuses after which no update is sent for a day (RFC 6275 section 11.7.3).
_BARRING = (messages.ADMINISTRATIVELY_PROHIBITED, messages.HOME_REGISTRATION_NOT_SUPPORTED)


def acknowledgement(
    bindings: "BindingUpdateList",
    binding: "Binding",
    packet: "packets.Packet",
    message: "messages.Message",
    now: int,
) -> None:
    """A Binding Acknowledgement: the answer to an update of ours, made under its key, or none."""
    behind = message.status == messages.SEQUENCE_OUT_OF_WINDOW
    if behind:
        fresh = message.sequence >= binding.numbers.peek(binding.index)
        event = states.OUTDATED
    else:
        fresh = binding.pace.sent_at(message.sequence) is not None
        accepted = message.status < 128 and (message.lifetime or binding.deleting)
        if message.status == messages.NOT_HOME_AGENT and binding is bindings.home_agent:
            accepted = binding.deleting  # there is none any more (RFC 6275 section 10.3.2)
        event = states.ACCEPTED if accepted else states.REJECTED
        if message.status in _BARRING:
            event = states.BARRING
    if not fresh or not states.knows(binding.state, event):
        replayed = not behind and message.sequence == binding.accepted
        raise Violation("replayed" if replayed else "old sequence", "not an answer to us")
    if not binding.authentic(message.sequence, packet.payload):
        if message.option(messages.BINDING_AUTHORIZATION_DATA) is None:
            binding.unsigned(now)
        raise Violation("authenticator", "wrong authenticator")
    bindings.emit("acknowledged", binding.correspondent, message.status)
    binding.heard_at = now
    binding.pace.unanswered = 0
    if behind:
        binding.feed(event, now, message)
    else:
        binding.feed(event, now, (message, binding.pace.sent_at(message.sequence)))


def binding_error(
    bindings: "BindingUpdateList",
    binding: "Binding",
    packet: "packets.Packet",
    message: "messages.Message",
    now: int,
) -> None:
    """A Binding Error (RFC 6275 section 6.1.9), which nothing vouches for."""
    if message.home_address != bindings.home_address:
        raise Violation("not for the home address", "Binding Error for another home address")
    if message.status == messages.UNKNOWN_BINDING:
        if binding.state == states.REGISTERING:
            binding.before = None  # the correspondent takes nothing from there any more
        unproven(binding, states.UNKNOWN, now)
    elif message.status == messages.UNRECOGNIZED_MESSAGE:
        _refuse_proven(binding)
        binding.feed(states.UNRECOGNIZED, now, reasons.BINDING_ERROR)
    else:
        raise Violation("unexpected", "Binding Error of unknown status")


def parameter_problem(bindings: "BindingUpdateList", payload: "Octets", now: int) -> None:
    """A Parameter Problem counts if it quotes our last update whole, its MAC included.

    Codes 0 and 2 come from any kernel without Mobile IPv6, even if a program beside it
    understands us (RFC 6275 section 11.3.5 means those without one).
    """
    problem = memoryview(payload)
    if len(problem) < _ICMP_ERROR_OCTETS + packets.IPV6_HEADER_OCTETS:
        raise Violation("truncated", "ICMPv6 error too short")
    if problem[0] != _PARAMETER_PROBLEM or problem[1] != _UNRECOGNIZED_NEXT_HEADER:
        raise Violation("expected parameter problem", "the kernel there has no Mobile IPv6")
    quoted = problem[_ICMP_ERROR_OCTETS:]
    binding = bindings.find(bytes(quoted[24:40]))
    if binding is None or quoted[8:24] != binding.update.source:
        raise Violation("unexpected", "ICMPv6 error about a stranger's packet")
    update = binding.update
    octets = len(update.payload)
    if quoted[6] != update.next_header or quoted[40 : 40 + octets] != update.payload:
        raise Violation("unexpected", "ICMPv6 error about something else than our update")
    # It points at the octet that says 135, or at the header that this octet announces.
    pointer = int.from_bytes(bytes(problem[4:8]), "big")
    expected = (6, 40) if update.next_header == packets.MOBILITY else (40, 64)
    if pointer not in expected:
        raise Violation("unexpected", "ICMPv6 error about something else than mobility")
    _refuse_proven(binding)
    binding.feed(states.UNRECOGNIZED, now, reasons.PARAMETER_PROBLEM)


def _refuse_proven(binding: "Binding") -> None:
    """Who answered under the key knows Mobile IPv6, whatever anybody says."""
    if binding.heard_at != _NEVER:
        raise Violation("unexpected", "not believed of a correspondent that has answered")
    if len(binding.ways) > 1:
        raise Violation("unexpected", "another way may lead to the correspondent")


def unproven(binding: "Binding", event: int, now: int) -> None:
    """An event that anybody could have caused may cost a sequence number only now and then."""
    if states.row(binding.state, event)[0] != states.DROP and not binding.unproven(now):
        raise Violation("too soon", "unauthenticated request again")
    binding.feed(event, now)
