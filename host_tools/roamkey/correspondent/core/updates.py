"""A Binding Update as it was received: what the checks ask of it.

Nearly all updates are of one layout, to the octet: that of docs/SPEC.md, which boards send. They
are read at fixed places; any other goes through the reader of all packets and messages. For the
same octets both give the same, or this one declines: a property that the tests hold it to. What
comes inside UDP is read by `inside`.
"""

import struct
from typing import Any, NamedTuple

from mip6 import keys, messages, packets
from roamkey.correspondent.core.entries import Inbound


class Update(NamedTuple):
    """A well-formed Binding Update with a right checksum.

    `header`: the message as received; `lifetime`: in units of four seconds; `alternate`: the
    address in its Alternate Care-of Address option, or, inside IPv4, in its IPv4 Care-of Address
    option (16 octets); None: it has none; `authorized`: Binding Authorization
    Data stands in it once, and last; `nonce_indices`: that of the home and of the care-of nonce,
    where it has that option, which a static key doesn't need.
    """

    home_address: bytes
    header: bytes | memoryview
    sequence: int
    flags: int
    lifetime: int
    alternate: bytes | None
    authorized: bool
    nonce_indices: tuple[int, int] | None = None


def from_message(packet: packets.Packet, message: Any) -> Update:
    """The update in a packet, decoded by the reader of all messages."""
    kinds = [kind for kind, _ in message.options]
    indices = message.option(messages.NONCE_INDICES)
    last = kinds[-1:] == [messages.BINDING_AUTHORIZATION_DATA]
    return Update(
        packet.logical_source,
        packet.payload,
        message.sequence,
        message.flags,
        message.lifetime,
        message.option(messages.ALTERNATE_CARE_OF_ADDRESS),
        last and kinds.count(messages.BINDING_AUTHORIZATION_DATA) == 1,
        _INDICES.unpack(indices) if indices is not None else None,
    )


_INDICES = struct.Struct(">HH")  # home, care-of: section 6.2.6
AUTHORIZATION = (messages.BINDING_AUTHORIZATION_DATA, bytes(keys.AUTHENTICATOR_OCTETS))
_LAID_OUT = messages.Message(messages.BINDING_UPDATE, [AUTHORIZATION]).encode()
FIELDS = struct.Struct(">HHH")  # sequence, flags, lifetime: section 6.1.7
FIELDS_AT = messages.CHECKSUM_AT + 2
_TYPE = _LAID_OUT[:3]  # payload protocol, length, type; the octet behind is reserved
BEHIND_AT = FIELDS_AT + FIELDS.size
_BEHIND_FIELDS = _LAID_OUT[BEHIND_AT : -keys.AUTHENTICATOR_OCTETS]
_BEHIND_END = BEHIND_AT + len(_BEHIND_FIELDS)
_OPTION = packets.home_address_option(b"", packets.MOBILITY)
_HOME_AT = len(_OPTION)
_MESSAGE_AT = packets.EXTENSION_OCTETS
_OCTETS = _MESSAGE_AT + len(_LAID_OUT)


def read_usual(inbound: Inbound, correspondent: bytes) -> Update | None:
    """The update of a node away, where it has the usual layout and a right checksum, else None."""
    payload = inbound.payload
    if len(payload) != _OCTETS or inbound.next_header != packets.DESTINATION_OPTIONS:
        return None
    header = payload[_MESSAGE_AT:]
    if (
        payload[:_HOME_AT] != _OPTION
        or header[:3] != _TYPE
        or header[BEHIND_AT:_BEHIND_END] != _BEHIND_FIELDS
    ):
        return None
    home = payload[_HOME_AT:_MESSAGE_AT]
    if packets.checksum(home, correspondent, packets.MOBILITY, header):  # 0 with the right field
        return None
    sequence, flags, lifetime = FIELDS.unpack_from(header, FIELDS_AT)
    return Update(home, header, sequence, flags, lifetime, None, True)
