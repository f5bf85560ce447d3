"""What the daemon and the tunnel's process say to each other, beside what every data plane does
(`roamkey.correspondent.dataplane.control`)."""

import struct

# From the daemon
DETECT = b"D"  # home addresses, 16 octets each: is anybody else's on the home link?

# From the process
DETECTED = b"A"  # records of FOUND

FOUND = struct.Struct("!16s?")  # home address, whether it is free
ADDRESS_OCTETS = 16


def pack_told(which: str, most: int, interface: str) -> str:
    """What the process is told at its start: which plane, how many bindings at most, and the home
    link's interface."""
    return f"{which}/{most}/{interface}"


def unpack_told(told: str) -> tuple[str, int, str]:
    """The same, from that."""
    which, most, interface = told.split("/", 2)
    return which, int(most), interface
