"""Fragments of a packet that every way must take and one doesn't (RFC 8200 section 4.5).

A program may send 1280 octets wherever it likes; with the routing header these are 1304, and a
link of 1280 octets is too narrow. The kernel would fragment them only if it knew of that link.
"""

from collections.abc import Iterator

from mip6 import packets

_HEADER_OCTETS = 8
_MORE = 1


def split(body: bytes, path_mtu: int, identification: int) -> Iterator[bytes]:
    """The fragments of a packet, from their routing headers on; `body`: from its own on.

    `path_mtu`: what the way takes, 1280 at least. `identification` is for a packet that isn't a
    fragment yet; one that is becomes smaller ones.
    """
    at = packets.EXTENSION_OCTETS
    kind, first, more = body[0], 0, 0
    if kind == packets.FRAGMENT:
        kind, field = body[at], int.from_bytes(body[at + 2 : at + 4], "big")
        first, more = field & ~7, field & _MORE
        identification = int.from_bytes(body[at + 4 : at + 8], "big")
        at += _HEADER_OCTETS
    routing = bytes((packets.FRAGMENT,)) + body[1 : packets.EXTENSION_OCTETS]
    room = path_mtu - packets.IPV6_HEADER_OCTETS - packets.EXTENSION_OCTETS - _HEADER_OCTETS & ~7
    data = body[at:]
    for start in range(0, len(data), room):
        flag = _MORE if start + room < len(data) else more
        header = bytes((kind, 0)) + (first + start | flag).to_bytes(2, "big")
        yield routing + header + identification.to_bytes(4, "big") + data[start : start + room]
