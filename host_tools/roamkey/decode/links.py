"""From a frame of a link to the IP packet in it: IPv6, or IPv4, which may carry ours in UDP.

The octets are cut out here and not by dpkt's link classes: those read the packet as well and
don't give back the octets as captured, which checksum and authenticator are about.
"""

from collections.abc import Callable

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = (0x8100, 0x88A8, 0x9100)
_VLAN_OCTETS = 4
_FAMILY_IPV4 = 2
_FAMILIES_IPV6 = (10, 24, 28, 30)  # AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS


def _ethernet(frame: bytes) -> bytes | None:
    return _by_ethertype(frame, 12)


def _cooked(frame: bytes) -> bytes | None:
    return _by_ethertype(frame, 14)


def _cooked_v2(frame: bytes) -> bytes | None:
    tag = int.from_bytes(frame[:2], "big")
    if tag in _VLAN:  # the tag's remainder follows the header
        return _by_ethertype(frame, 22)
    return _ip(tag, frame[20:])


def _by_ethertype(frame: bytes, at: int) -> bytes | None:
    """What follows the EtherType at `at`, behind any VLAN tags; None where it isn't IP."""
    kind = int.from_bytes(frame[at : at + 2], "big")
    while kind in _VLAN:
        at += _VLAN_OCTETS
        kind = int.from_bytes(frame[at : at + 2], "big")
    return _ip(kind, frame[at + 2 :])


def _ip(kind: int, packet: bytes) -> bytes | None:
    """`packet` where its EtherType is IP's, and IPv4 looks like it."""
    return (
        packet if kind == _IPV6 or (kind == _IPV4 and packet[:1] and packet[0] >> 4 == 4) else None
    )


def _raw(frame: bytes) -> bytes | None:
    return frame if frame and frame[0] >> 4 in (4, 6) else None


def _family(frame: bytes) -> bytes | None:
    family = frame[:4]
    either = int.from_bytes(family, "little"), int.from_bytes(family, "big")
    if set(either) & set(_FAMILIES_IPV6):
        return frame[4:]
    return _ip(_IPV4, frame[4:]) if _FAMILY_IPV4 in either else None


#: What stands for the packet in a frame that is encrypted.
ENCRYPTED = bytes(1)

_SNAP = bytes.fromhex("aaaa03000000")
_DATA, _NO_DATA, _QOS = 0x08, 0x40, 0x80  # in the first octet: type and subtype
_TO_DS, _FROM_DS, _PROTECTED, _ORDER = 0x01, 0x02, 0x40, 0x80  # in the second
_AMSDU = 0x80  # in QoS Control: several packets in a frame


def _radiotap(frame: bytes) -> bytes | None:
    """Behind radiotap's header, whose flags tell of padding behind 802.11's."""
    octets = int.from_bytes(frame[2:4], "little")
    if len(frame) < octets or octets < 8:
        return None
    at, present = 4, 1 << 31
    first = int.from_bytes(frame[4:8], "little")
    while present >> 31 and at + 4 <= octets:
        present = int.from_bytes(frame[at : at + 4], "little")
        at += 4
    if first & 1:  # a time stamp, aligned
        at = (at + 7) // 8 * 8 + 8
    padded = bool(first & 2 and at < octets and frame[at] & 0x20)
    return _wifi(frame[octets:], padded)


def _wifi(frame: bytes, padded: bool = False) -> bytes | None:
    """An 802.11 frame: data alone may hold IP, behind LLC and SNAP."""
    if len(frame) < 24 or frame[0] & 0x0F != _DATA or frame[0] & _NO_DATA:
        return None
    if frame[1] & _PROTECTED:
        return ENCRYPTED
    at = 24 + (6 if frame[1] & _TO_DS and frame[1] & _FROM_DS else 0)
    if frame[0] & _QOS:
        if frame[at : at + 1] and frame[at] & _AMSDU:
            return None
        at += 2 + (4 if frame[1] & _ORDER else 0)
    if padded:
        at = (at + 3) // 4 * 4
    return _by_ethertype(frame, at + 6) if frame[at : at + 6] == _SNAP else None


#: link type (as in capture files) -> the IP packet in a frame, `ENCRYPTED`, or None
LINKS: dict[int, Callable[[bytes], bytes | None]] = {
    0: _family,  # NULL
    1: _ethernet,
    12: _raw,  # RAW as some systems number it
    14: _raw,
    101: _raw,
    105: _wifi,
    108: _family,  # LOOP
    113: _cooked,  # Linux "any" device
    127: _radiotap,  # Wi-Fi, monitor mode
    228: _raw,  # IPv4
    229: _raw,  # IPv6
    276: _cooked_v2,
}


def unframed(octets: bytes) -> bytes:
    """`octets` as they are if they begin with an IP packet, else without the Ethernet header."""
    if _is_whole(octets):
        return octets
    inner = _ethernet(octets)
    return inner or octets


def _is_whole(octets: bytes) -> bool:
    """Whether they begin with a whole IPv6 packet, or with an IPv4 header that sums up."""
    if len(octets) < 20 or octets[0] >> 4 != 4:
        return bool(_raw(octets)) and 40 + int.from_bytes(octets[4:6], "big") <= len(octets)
    header = octets[: 4 * (octets[0] & 15)]
    return len(header) >= 20 and int.from_bytes(header, "big") % 0xFFFF == 0
