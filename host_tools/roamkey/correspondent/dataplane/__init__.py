"""The data plane: programs on this host talk to home addresses as if the nodes were there.

    program ── kernel ── TUN device ── this process ── raw sockets ── care-of address

Outward, the kernel routes what is for a home address into the TUN device, by a route for each
bound node; the packet goes on to the care-of address behind a type 2 routing header. Inward,
packets with a Home Address option are checked against the binding, lose the option, and enter the
kernel through the TUN device with the home address as their source. Transport checksums cover the
home address and ours on both sides (RFC 6275 sections 6.3 and 6.4), so none is touched.

Where a node is reached inside UDP (docs/SPEC.md), packets pass as they are, as the payload of
datagrams, by a socket at the daemon's port; and where no interface of this host has the
correspondent address, the device has it.

It is a process of its own, for three reasons: signalling never waits for data nor data for a
commit; it holds no key; and it outlives a daemon that is killed by just long enough to tidy up.

lasting    the daemon's end: one process after the other, where one ends
choice     which plane: the kernel's own Mobile IPv6, or the device alone
client     one process, as the daemon sees it
process    the loop
control    what the two say to each other
kernel     the same process where the kernel carries what goes natively
guard      what sweeps where that one is killed
offload    bindings in the kernel: followed, counted, looked after
bound      one binding there, and what passed
reports    what the kernel says of packets that nobody is bound for
inkernel   what of ours it has, whether it takes any
xfrm       the messages of all that
table      home addresses, where they are, and the sockets to there
forward    the way of a packet, both directions
inside     the same inside UDP, inward
tally      what became of packets
filters    which raw socket takes which packet, decided in the kernel
tun        the device
routes     a route for each bound home address
host       what the data plane rests on and others may change: looked at, and mended
firewall   the kernel's own answers to packets that it doesn't know, suppressed
path_mtu   ways too narrow: what routers say, how a program is told, fragments
outer_mtu  what routers say of ways inside UDP
"""
