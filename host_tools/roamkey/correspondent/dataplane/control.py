"""What the daemon and the data plane say to each other, over a pair of SOCK_SEQPACKET sockets.

A message is a letter and its body. The first one from the data plane is READY or REFUSED; the
daemon closes its end to end it. Nothing here is a secret: the data plane knows addresses, no keys.
"""

import struct

# From the daemon
BINDINGS = (
    b"B"  # records: home address, care-of address, when it is over (by `clock.boot_ms`; 0: gone)
)
PACKET = b"P"  # source, next header, payload from its extension header on: see `client.deliver`

# From the data plane
READY = b"R"  # JSON: interface, mtu, warning
REFUSED = b"E"  # a line of text
UNBOUND = b"U"  # records: source, and 24 octets of the Destination Options header
USED = b"H"  # home addresses that received or sent data since the last such message
COUNTERS = b"C"  # JSON: the counters of `forward.Counters`, since the beginning

BINDING = struct.Struct("!16s16sQ")
OFFENDER = struct.Struct("!16s24s")
ADDRESS_OCTETS = 16
SOURCE_OCTETS = 17  # of PACKET: the address and the next header

RECORDS = 512  # in one message at most
MESSAGE_OCTETS = 1 << 16  # more than any message has, packets of PACKET included
