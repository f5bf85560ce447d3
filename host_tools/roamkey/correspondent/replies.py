"""The answers of a correspondent: Binding Acknowledgement and Binding Error.

RFC 6275 sections 6.1.8, 6.1.9, 9.3.3, 9.5.4.
"""

from mip6 import keys, messages, packets
from roamkey.correspondent.entries import Inbound, Reply

_BLANK = bytes(keys.AUTHENTICATOR_OCTETS)
_NO_ADDRESS = bytes(keys.ADDRESS_OCTETS)


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
    if not _is_unicast(update.source):
        return None
    header = messages.Message(
        messages.BINDING_ACKNOWLEDGEMENT,
        [(messages.BINDING_AUTHORIZATION_DATA, _BLANK)],
        status=status,
        sequence=sequence,
        lifetime=lifetime // messages.LIFETIME_UNIT_S,
    ).encode()
    mac = keys.authenticator(kbm, care_of_address, correspondent, header)
    header = messages.with_checksum(
        header[: -keys.AUTHENTICATOR_OCTETS] + mac, correspondent, home_address
    )
    if update.source == home_address:
        return Reply(update.source, packets.MOBILITY, header)
    route = packets.routing_header(home_address, packets.MOBILITY)
    return Reply(update.source, packets.ROUTING, route + header, update.scope)


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
