"""The answers of a correspondent: Binding Acknowledgement and Binding Error.

RFC 6275 sections 6.1.8, 6.1.9, 9.3.3, 9.5.4. An acknowledgement is laid out once, by the encoder
that lays out every message, and filled in for each use: that takes a third of encoding it afresh,
and a busy daemon does little else.
"""

import struct

from mip6 import keys, messages, packets
from mip6.limits import ADDRESS_OCTETS, LIFETIME_UNIT_S
from roamkey.correspondent.core.entries import Inbound, Reply

_NO_ADDRESS = bytes(ADDRESS_OCTETS)

_LAID_OUT = messages.Message(
    messages.BINDING_ACKNOWLEDGEMENT,
    [(messages.BINDING_AUTHORIZATION_DATA, bytes(keys.AUTHENTICATOR_OCTETS))],
).encode()
_FIELDS = struct.Struct(">BBHH")  # status, flags, sequence, lifetime: section 6.1.8
_FIELDS_AT = messages.CHECKSUM_AT + 2
_BEFORE = _LAID_OUT[: messages.CHECKSUM_AT]
_BEFORE_FIELDS = _LAID_OUT[:_FIELDS_AT]
_BEHIND_FIELDS = _LAID_OUT[_FIELDS_AT + _FIELDS.size : -keys.AUTHENTICATOR_OCTETS]
_ROUTE = packets.routing_header(b"", packets.MOBILITY)


def acknowledgement(
    correspondent: bytes,
    update: Inbound,
    home_address: bytes,
    care_of_address: bytes,
    kbm: bytes,
    status: int,
    sequence: int,
    lifetime: int,
) -> Reply | None:
    """The authenticated answer to a Binding Update; None where its source can't be answered.

    It goes to where the update came from, whatever address that registers (section 9.5.4): to a
    node at home as it is, to one away behind a type 2 routing header. `lifetime` in seconds.
    """
    source = update.source
    if not _is_unicast(source):
        return None
    fields = _FIELDS.pack(status, 0, sequence, lifetime // LIFETIME_UNIT_S) + _BEHIND_FIELDS
    mac = keys.hmac_sha1(kbm, care_of_address, correspondent, _BEFORE_FIELDS, fields)
    header = fields + mac[: keys.AUTHENTICATOR_OCTETS]
    checksum = packets.checksum(
        correspondent, home_address, packets.MOBILITY, _BEFORE_FIELDS + header
    )
    header = _BEFORE + checksum.to_bytes(2, "big") + header
    if source == home_address:
        return Reply(source, packets.MOBILITY, header, update.scope)
    return Reply(source, packets.ROUTING, _ROUTE + home_address + header, update.scope)


def binding_error(
    correspondent: bytes, offender: Inbound, home_address: bytes | None, status: int
) -> Reply | None:
    """The answer to a packet that needs a binding it hasn't, or to an unknown message type.

    It goes straight to the packet's source; None where that can't be answered (section 9.3.3).
    """
    if not _is_unicast(offender.source):
        return None
    header = messages.Message(
        messages.BINDING_ERROR, status=status, home_address=home_address or _NO_ADDRESS
    ).encode()
    header = messages.with_checksum(header, correspondent, offender.source)
    return Reply(offender.source, packets.MOBILITY, header, offender.scope)


def _is_unicast(address: bytes) -> bool:
    return address[0] != 0xFF and address != _NO_ADDRESS
