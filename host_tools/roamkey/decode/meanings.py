"""What the numbers of RFC 6275 mean to the person in the field, and what to do about them."""

from functools import lru_cache

from mip6 import addresses, messages, packets
from mip6.status import STATUSES

TCP = 6
IPV6_IN_IPV6 = 41  # a tunnel, RFC 2473

_BOTH_ENDS = (
    "the node's tokens are too old: it runs return routability again; with a preconfigured key, "
    "check both ends' keys"
)
#: What to do about a status of a Binding Acknowledgement
_ADVICE = {
    messages.ACCEPTED_PREFIX_DISCOVERY: "the home network was renumbered: check the home address",
    messages.REASON_UNSPECIFIED: "look into the correspondent's log",
    messages.ADMINISTRATIVELY_PROHIBITED: "allow this home address at the correspondent",
    messages.INSUFFICIENT_RESOURCES: (
        "the correspondent is full: raise its limit or remove stale bindings"
    ),
    messages.HOME_REGISTRATION_NOT_SUPPORTED: (
        "the update carried the H flag, but the peer is no home agent"
    ),
    messages.NOT_HOME_SUBNET: "the home address isn't of a prefix that this home agent serves",
    messages.NOT_HOME_AGENT: "register with another home agent",
    messages.DUPLICATE_ADDRESS: "another node uses the home address on the home link",
    messages.SEQUENCE_OUT_OF_WINDOW: (
        "the sequence here is the last one accepted: the node goes on above it; "
        "if this repeats, renew the key"
    ),
    messages.EXPIRED_HOME_NONCE: _BOTH_ENDS,
    messages.EXPIRED_CARE_OF_NONCE: _BOTH_ENDS,
    messages.EXPIRED_NONCES: _BOTH_ENDS,
    messages.TYPE_CHANGE_DISALLOWED: "delete the binding before changing the H flag",
    messages.INVALID_CARE_OF_ADDRESS: "the care-of address isn't one that the peer can send to",
}

#: Status of a Binding Acknowledgement (section 6.1.8) -> (name, what to do; "" where nothing is).
#: The board has the names too, but where it has no need of one, or says it with other words.
ACKNOWLEDGEMENT_STATUS = {
    status: (name, _ADVICE.get(status, ""))
    for status, name in {
        **STATUSES,
        messages.ACCEPTED: "accepted",
        messages.ACCEPTED_PREFIX_DISCOVERY: "accepted, prefix discovery necessary",
        messages.REASON_UNSPECIFIED: "refused, reason unspecified",
        messages.SEQUENCE_OUT_OF_WINDOW: "sequence number out of window",
    }.items()
}

#: Status of a Binding Error (section 6.1.9), likewise
ERROR_STATUS = {
    messages.UNKNOWN_BINDING: (
        "unknown binding for the Home Address option",
        "the correspondent holds no binding: the node registers again",
    ),
    messages.UNRECOGNIZED_MESSAGE: (
        "unrecognized Mobility Header type",
        "the peer doesn't know this message: it has no route optimization",
    ),
}

#: kind -> letters of its flags (sections 6.1.7 and 6.1.8)
FLAGS = {
    messages.BINDING_UPDATE: (
        ("A", messages.FLAG_ACKNOWLEDGE, "acknowledge"),
        ("H", messages.FLAG_HOME_REGISTRATION, "home registration"),
        ("L", messages.FLAG_LINK_LOCAL, "link-local compatibility"),
        ("K", messages.FLAG_KEY_MANAGEMENT, "key management"),
        ("F", messages.FLAG_UDP_ENCAPSULATION, "UDP encapsulation"),
    ),
    messages.BINDING_ACKNOWLEDGEMENT: (("K", messages.FLAG_BA_KEY_MANAGEMENT, "key management"),),
}

#: Options that the messages carry opaquely (IANA's registry of mobility options)
OTHER_OPTIONS = {
    messages.PAD1: "Pad1",
    messages.PADN: "PadN",
    6: "Mobile Network Prefix",
    8: "Mobile Node Identifier",
    10: "Replay Protection",
    19: "Vendor Specific",
}

PROTOCOLS = {
    TCP: "TCP",
    IPV6_IN_IPV6: "IPv6",
    packets.UDP: "UDP",
    50: "ESP",
    51: "AH",
    packets.ICMPV6: "ICMPv6",
    packets.NO_NEXT_HEADER: "no next header",
    packets.MOBILITY: "Mobility Header",
}

#: (type, code) -> (name, what it means here), RFC 4443; a code of None stands for any
ICMPV6_ERRORS = {
    (1, None): ("Destination Unreachable", "the packet didn't arrive"),
    (2, None): ("Packet Too Big", "the path carries smaller packets only"),
    (3, None): ("Time Exceeded", "a loop, or a hop limit too low"),
    (4, 0): (
        "Parameter Problem, erroneous header field",
        "expected of a kernel without Mobile IPv6: no harm",
    ),
    (4, 1): (
        "Parameter Problem, unrecognized next header",
        "where it points at the Mobility Header, the peer doesn't support it",
    ),
    (4, 2): (
        "Parameter Problem, unrecognized option",
        "expected of a kernel without Mobile IPv6: no harm",
    ),
}

#: Likewise, RFC 792
ICMP_ERRORS = {
    (3, 1): ("Destination Unreachable, host", "the correspondent's host is down, or not there"),
    (3, 3): (
        "Destination Unreachable, port",
        "nobody takes UDP there: is the correspondent running? at a node, its port changed",
    ),
    (3, 4): ("Fragmentation Needed", "the path carries smaller packets only"),
    (3, 13): ("Destination Unreachable, prohibited", "a firewall on the path refuses UDP 4191"),
    (3, None): ("Destination Unreachable", "the packet didn't arrive"),
    (11, None): ("Time Exceeded", "a loop, or a hop limit too low"),
}


@lru_cache(maxsize=4096)
def text_of(address: bytes) -> str:
    """An address of 16 octets as text, an IPv4-mapped one in dots."""
    return addresses.text(address)


def duration(seconds: int) -> str:
    """A number of seconds (not negative) in words: "7 min", "3 d 49 min"."""
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"
