"""What the daemon and the data plane say to each other, over a pair of SOCK_SEQPACKET sockets.

A message is a letter and its body. The first one from the data plane is READY or REFUSED; the
daemon closes its end to end it. Nothing here is a secret: the data plane knows addresses, no keys.
"""

import struct

from mip6 import packets
from roamkey.correspondent.core.endpoints import ENDPOINT_OCTETS

# Which plane: at its start
AUTO, KERNEL, TUN = "auto", "kernel", "tun"

# From the daemon
BINDINGS = b"B"  # records of BINDING
PACKET = b"P"  # source, next header, payload from its extension header on: see `client.deliver`

# From the data plane
READY = b"R"  # JSON: plane, why, interface, mtu, warning, own_address
REFUSED = b"E"  # a line of text
UNBOUND = b"U"  # records of OFFENDER
UNBOUND_INSIDE = b"V"  # records of OFFENDER_INSIDE
USED = b"H"  # home addresses that received data since the last such message
HEARD = b"I"  # home addresses that sent data since then
COUNTERS = b"C"  # JSON: the counters of `tally.Tally`, since the beginning

# Home address, care-of address, endpoint (zeros: reached natively), when it is over (by
# `clock.boot_ms`; 0: gone), which key it was made under (its row in the registry)
BINDING = struct.Struct(f"!16s16s{ENDPOINT_OCTETS}sQQ")
NATIVE = bytes(ENDPOINT_OCTETS)
OFFENDER = struct.Struct("!16s24s")  # source, and the Destination Options header
# Endpoint, and so many octets of the packet inside, its length made to fit: what answers it is no
# longer than this (docs/SPEC.md)
OFFENDER_INSIDE = struct.Struct(f"!{ENDPOINT_OCTETS}sB{packets.KEEPALIVE_OCTETS}s")
ADDRESS_OCTETS = 16
SOURCE_OCTETS = 17  # of PACKET: the address and the next header

RECORDS = 512  # in one message at most
MESSAGE_OCTETS = 1 << 16  # more than any message has, packets of PACKET included
