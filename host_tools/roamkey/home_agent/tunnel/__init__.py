"""Data between home addresses and nodes, and the defence of home addresses on the home link.

    home link ── kernel (a router) ── TUN device ── this process ══ tunnel ══ care-of address

The kernel routes what is for a home address into the device, by a route for each bound node; the
packet goes on inside an IPv6 packet (RFC 2473, RFC 6275 section 10.4.2), or whole inside UDP. What
comes through the tunnel from a bound care-of address, with the bound home address as its source
(section 10.4.5), enters the kernel through the device, and is routed like any packet.

    home link ── kernel (a router) ── its own tunnels ══ care-of address

Where the kernel has tunnels and can check what comes out of them, they carry what goes natively.

So that packets for a home address come here at all, its place on the home link is taken: neighbour
solicitations for it are answered (section 10.4.1). That ends with this process, however it ends.

It is a process of its own for the reasons of `roamkey.correspondent.dataplane`, and is built of
that one's parts.

choice     which: the kernel's tunnels, or the TUN device alone
process    the loop: the correspondent's, with the home link
kernel     the same where the kernel carries what goes natively
offload    bindings in the kernel: followed, counted, looked after
device     the device of its tunnels
vetted     what the kernel asks of each packet of them
ebpf       programs and maps of the kernel's own
forward    the way of a packet, both directions
inside     the same inside UDP, inward
narrow     ways too narrow: what routers say of the tunnel
homelink   the home link: duplicate address detection, advertisements, answers
neighbours Neighbour Discovery's messages, made and read; no I/O
groups     the multicast groups that solicitations are sent to
control    what daemon and process say to each other beside the usual
"""
