"""What the daemon and the tunnel's process say to each other, beside what every data plane does
(`roamkey.correspondent.dataplane.control`)."""

import struct

# From the daemon
DETECT = b"D"  # home addresses, 16 octets each: is anybody else's on the home link?

# From the process
DETECTED = b"A"  # records of FOUND

FOUND = struct.Struct("!16s?")  # home address, whether it is free
ADDRESS_OCTETS = 16
