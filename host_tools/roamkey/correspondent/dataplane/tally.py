"""What became of packets, as counted, and whose they were."""

import errno

from roamkey.correspondent import encapsulation

DELIVERED = "delivered"  # inward, into the kernel
LATE = "late"  # inward, from where the node was a moment ago: delivered, too
SENT = "sent"  # outward
UNBOUND = "no binding"
SOURCE = "source"  # outward, from another address of this host than ours
TOO_BIG = "too big"
BUSY = "busy"  # a queue was full
FAILED = "failed"
LOOP = "loop"  # has been through here before, or would be again
NOT_SERVED = "not served"  # routed into the device, and nobody's home address

# Of packets inside UDP; inward all of them, outward what a node would drop as well
TRUNCATED = encapsulation.TRUNCATED
IP_OPTIONS = encapsulation.IP_OPTIONS
UDP_CHECKSUM = encapsulation.UDP_CHECKSUM
LENGTH = "length"
VERSION = "version"
HOP_LIMIT = "hop limit"
FRAGMENT = encapsulation.FRAGMENT
ENCAPSULATED = "encapsulated"  # an extension header inside
DESTINATION = "destination"  # inside, another one than ours
PROTOCOL = "protocol"  # inside, neither UDP nor TCP nor ICMPv6

NAMES = (
    DELIVERED, LATE, SENT, UNBOUND, SOURCE, LOOP, TOO_BIG, BUSY, FAILED, NOT_SERVED, TRUNCATED,
    IP_OPTIONS, UDP_CHECKSUM, LENGTH, VERSION, HOP_LIMIT, FRAGMENT, ENCAPSULATED, DESTINATION,
    PROTOCOL,
)  # fmt: skip

# Of a home agent's tunnel
OF_THE_LINK = "of the link"  # Neighbour Discovery, which no tunnel carries

_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)


class Tally:
    """`counters`: by the names above; `octets`: of inner packets, inward and outward; `heard`:
    home addresses that data came from, `used`: that data went to; take them out."""

    def __init__(self, *more: str) -> None:
        """Nothing yet. `more`: further names."""
        self.counters = dict.fromkeys((*NAMES, *more), 0)
        self.octets = [0, 0]
        self.used: set[bytes] = set()
        self.heard: set[bytes] = set()

    def deliver(self, home_address: bytes, count: int, octets: int) -> None:
        """The kernel took so many packets of a node, with so many octets."""
        self.heard.add(home_address)
        self.counters[DELIVERED] += count
        self.octets[0] += octets

    def count(self, error: OSError) -> None:
        """The kernel didn't take a packet."""
        self.counters[BUSY if error.errno in _FULL else FAILED] += 1
