"""The answers of a correspondent: Binding Acknowledgement, Binding Error, Home and Care-of Test.

RFC 6275 sections 6.1.5 to 6.1.9, 9.3.3, 9.4, 9.5.4. An acknowledgement is laid out once, by the
encoder that lays out every message, and filled in for each use: that takes a third of encoding it
afresh, and a busy daemon does little else.
"""

import struct
from functools import cache

from mip6 import keys, messages, packets
from mip6.limits import ADDRESS_OCTETS, LIFETIME_UNIT_S
from roamkey.correspondent.core.entries import ENCAPSULATED, Inbound, Reply

_NO_ADDRESS = bytes(ADDRESS_OCTETS)

_AUTHORIZATION = (messages.BINDING_AUTHORIZATION_DATA, bytes(keys.AUTHENTICATOR_OCTETS))
_LAID_OUT = messages.Message(messages.BINDING_ACKNOWLEDGEMENT, [_AUTHORIZATION]).encode()
_FIELDS = struct.Struct(">BBHH")  # status, flags, sequence, lifetime: section 6.1.8
_FIELDS_AT = messages.CHECKSUM_AT + 2
_BEFORE_FIELDS = _LAID_OUT[:_FIELDS_AT]
_BEHIND_FIELDS = _LAID_OUT[_FIELDS_AT + _FIELDS.size : -keys.AUTHENTICATOR_OCTETS]
_ROUTE = packets.routing_header(b"", packets.MOBILITY)

_NAT = struct.Struct(">HI")  # F and reserved bits, refresh time: RFC 5555 section 3.2.2


@cache
def _layout(nat_refresh_s: int | None) -> tuple[bytes, bytes]:
    """What stands before the fields, and what behind; with NAT Detection for a refresh time."""
    if nat_refresh_s is None:
        return _BEFORE_FIELDS, _BEHIND_FIELDS
    options = [nat_detection(nat_refresh_s), _AUTHORIZATION]
    octets = messages.Message(messages.BINDING_ACKNOWLEDGEMENT, options).encode()
    behind = octets[_FIELDS_AT + _FIELDS.size : -keys.AUTHENTICATOR_OCTETS]
    return octets[:_FIELDS_AT], behind


def acknowledgement(
    correspondent: bytes,
    update: Inbound,
    home_address: bytes,
    care_of_address: bytes,
    kbm: bytes,
    status: int,
    sequence: int,
    lifetime: int,
    nat_refresh_s: int = 0,
) -> Reply | None:
    """The authenticated answer to a Binding Update; None where its source can't be answered.

    It goes to where the update came from, whatever address that registers (section 9.5.4): to a
    node at home as it is, to one away behind a type 2 routing header, to an endpoint inside UDP.
    There a NAT shows where the outer source isn't the care-of address; the node is told to send
    something each `nat_refresh_s`. That and `lifetime` in seconds.
    """
    if not is_unicast(update.source):
        return None
    before, behind = _layout(nat_refresh_s if is_behind_nat(update, care_of_address) else None)
    fields = _FIELDS.pack(status, 0, sequence, lifetime // LIFETIME_UNIT_S) + behind
    mac = keys.hmac_sha1(kbm, care_of_address, correspondent, before, fields)
    header = fields + mac[: keys.AUTHENTICATOR_OCTETS]
    checksum = packets.checksum(correspondent, home_address, packets.MOBILITY, before + header)
    header = before[: messages.CHECKSUM_AT] + checksum.to_bytes(2, "big") + header
    return back(correspondent, update, home_address, header)


def back(correspondent: bytes, update: Inbound, home_address: bytes, header: bytes) -> Reply:
    """A Mobility Header, its checksum made, to where an update came from."""
    source = update.source
    if update.endpoint:
        return inside_udp(correspondent, home_address, header, update.endpoint)
    if source == home_address:
        return Reply(source, packets.MOBILITY, header, update.scope)
    return Reply(source, packets.ROUTING, _ROUTE + home_address + header, update.scope)


def refusal(
    correspondent: bytes, update: Inbound, home_address: bytes, status: int, sequence: int
) -> Reply | None:
    """What a node is told whose nonces aren't recognized: no key vouches for it (section 9.5.4).
    Shorter than any update that has nonce indices and an authenticator."""
    if not is_unicast(update.source):
        return None
    header = messages.Message(
        messages.BINDING_ACKNOWLEDGEMENT, status=status, sequence=sequence
    ).encode()
    header = messages.with_checksum(header, correspondent, home_address)
    return back(correspondent, update, home_address, header)


def test(correspondent: bytes, init: Inbound, header: bytes) -> Reply:
    """A Home or Care-of Test, its checksum not made, to where its Init came from: by the
    interface that that came in by, and so past any binding (section 6.1)."""
    header = messages.with_checksum(header, correspondent, init.source)
    return Reply(init.source, packets.MOBILITY, header, init.scope)


def is_behind_nat(update: Inbound, care_of_address: bytes) -> bool:
    """Whether the address that an update came from isn't the one that it registers."""
    return bool(update.endpoint) and update.source != care_of_address


def nat_detection(nat_refresh_s: int) -> tuple[int, bytes]:
    """The option that tells a node of a NAT on its way."""
    return messages.NAT_DETECTION, _NAT.pack(0, nat_refresh_s)


def binding_error(
    correspondent: bytes, offender: Inbound, home_address: bytes | None, status: int
) -> Reply | None:
    """The answer to a packet that needs a binding it hasn't, or to an unknown message type.

    It goes straight to the packet's source; None where that can't be answered (section 9.3.3).
    Inside UDP it goes to the home address claimed, and never without as many octets as it has.
    """
    if not may_be_answered(offender):
        return None
    header = messages.Message(
        messages.BINDING_ERROR, status=status, home_address=home_address or _NO_ADDRESS
    ).encode()
    if offender.endpoint and home_address is not None:
        header = messages.with_checksum(header, correspondent, home_address)
        return inside_udp(correspondent, home_address, header, offender.endpoint)
    header = messages.with_checksum(header, correspondent, offender.source)
    return Reply(offender.source, packets.MOBILITY, header, offender.scope)


def may_be_answered(offender: Inbound) -> bool:
    """Whether a Binding Error may answer a packet."""
    if offender.endpoint and len(offender.payload) < packets.KEEPALIVE_OCTETS:
        return False
    return is_unicast(offender.source)


def inside_udp(correspondent: bytes, home_address: bytes, header: bytes, endpoint: bytes) -> Reply:
    """A Mobility Header, its checksum made, to a home address behind an endpoint."""
    inner = packets.ipv6_header(correspondent, home_address, packets.MOBILITY, len(header))
    return Reply(endpoint[:ADDRESS_OCTETS], ENCAPSULATED, inner + header, 0, endpoint)


def is_unicast(address: bytes) -> bool:
    """Whether an IPv6 address can be one host's."""
    return address[0] != 0xFF and address != _NO_ADDRESS
