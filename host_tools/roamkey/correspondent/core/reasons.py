"""Why packets are dropped and updates refused, and what to do about each: one sentence each.

The one table of it: for `roamkey correspondent drops`, for metrics, and for whoever shows drops.
A test sees that every reason that the code counts stands here.
"""

#: packets that got no Binding Acknowledgement: reason -> what to do
DROPPED = {
    "authenticator": "Provision the board again if its key or nonces differ from the registry's; "
    "otherwise somebody is guessing, in vain.",
    "authorization data": "The sender uses no static key, or another implementation puts Binding "
    "Authorization Data elsewhere than last: compare its packet with docs/SPEC.md.",
    "care-of option": "The sender's option isn't that of the way it came: compare its packet with "
    "docs/SPEC.md.",
    "checksum": "Look for a device on the way that rewrites addresses (NAT66, NPTv6), or for bad "
    "memory or cabling.",
    "destination": "The packet inside the datagram is for another address than this daemon's: "
    "correct the board's correspondent, or the address that it is reached at.",
    "encapsulated": "Extension headers have no place inside UDP: compare the packet with "
    "docs/SPEC.md.",
    "encapsulation flag": "The sender doesn't say that it meant to send inside UDP: compare its "
    "packet with docs/SPEC.md.",
    "flood": "More came than is looked at: what is likeliest a node's own was served first; "
    "look at who sends it, and filter that.",
    "fragment": "The message came in pieces: see that the path's MTU is 1280 octets or more.",
    "headers": "Nothing honest has so many extension headers: filter the source if it goes on.",
    "home address": "Give the board a home address of global scope.",
    "hop limit": "Damaged, or made by hand: capture it and look with `roamkey decode`.",
    "ip options": "Nothing honest has IPv4 options: filter the source if it goes on.",
    "length": "Damaged, or made by hand: capture it and look with `roamkey decode`.",
    "message not for a correspondent": "A message for mobile nodes or home agents, or return "
    "routability, which isn't built: give the board a key for this correspondent.",
    "message type": "The sender speaks a newer protocol; it was told with Binding Error 2.",
    "no binding": "The node sends data but isn't registered, or no longer at this address: it was "
    "told with Binding Error 1 and registers again by itself.",
    "no home address": "None: an ordinary packet with Destination Options, not for this daemon.",
    "no key": "Provision the board for this correspondent address, in the registry that this "
    "daemon uses.",
    "option": "Damaged, or an option that must not be skipped: capture it and look with "
    "`roamkey decode`.",
    "outer source": "Datagrams from an address or port that can't be answered (link-local, "
    "loopback, port 0): filter them.",
    "payload protocol": "Damaged, or made by hand: capture it and look with `roamkey decode`.",
    "protocol": "Only signalling, UDP, TCP and ICMPv6 travel inside UDP: see what the board's "
    "application sends.",
    "receive buffer": "More came than could be served: look at the processor's load and at how "
    "long commits take, and spread the nodes over more correspondents if it goes on.",
    "registry": "The database can't be read or written: look for `trouble` in the log, and at its "
    "disk.",
    "registry behind": "The registry has forgotten numbers that this node has used, as after an "
    "older backup was restored: `roamkey registry restore` puts that right.",
    "routing": "A packet on its way to somebody else: nothing is forwarded here.",
    "too many guesses": "Wrong authenticators come for a node faster than its later keys are "
    "tried: somebody guesses, in vain; a board that has new keys gets through when that ends.",
    "truncated": "Damaged or cut short: look at the path's MTU, then with `roamkey decode`.",
    "udp checksum": "The datagrams came without a checksum: see what device on the way takes it "
    "out.",
    "udp socket": "Wrong checksums, or more than could be served: look at the processor's load "
    "and at who sends it.",
    "version": "None: it isn't IPv6.",
}

#: authentic updates that were answered with a status of 128 or above: reason -> what to do
REFUSED = {
    "care-of address": "The board registers an address that can't be reached from here: see what "
    "its network hands out.",
    "home registration": "The board takes this host for its home agent: correct its "
    "correspondent's address.",
    "no room for another binding": "Raise --bindings-max.",
    "refused by the administrator": "As you wished; `refuse` in the registry can be taken back.",
    "sequence": "A replay, or a board that lost its counter: it moves ahead by itself; if it goes "
    "on with no board about, somebody replays captured packets, in vain.",
}

#: data that the data plane could not pass on: reason -> what to do. Its "no binding" isn't here:
#: the daemon judges such packets, and counts them among its own.
DATA_PLANE = {
    "busy": "Data come faster than device or network take them: nothing to do unless it goes on.",
    "destination": "A node sends to another address inside UDP than the correspondent's: nothing "
    "is forwarded here.",
    "encapsulated": "Inside UDP there are no extension headers: a program of this host or of the "
    "node sends them; if neither does, filter the source.",
    "failed": "The kernel would not send: look at the host's routes and firewall.",
    "fragment": "Inside UDP nothing goes in fragments: let the program send shorter datagrams, "
    "or see that the path's MTU is 1328 octets or more.",
    "hop limit": "Damaged, or made by hand: capture it and look with `roamkey decode`.",
    "ip options": "Nothing honest has IPv4 options: filter the source if it goes on.",
    "length": "Damaged, or made by hand: capture it and look with `roamkey decode`.",
    "loop": "The care-of address or endpoint of a node is routed into the data plane's device "
    "again: see what its network hands out, and what else is provisioned with that address.",
    "not served": "A program of this host sends to an address behind the device that no node has, "
    "or whose node isn't registered.",
    "protocol": "The node sends another protocol than UDP, TCP or ICMPv6: nothing carries it.",
    "source": "A program of this host sends to a home address from another address than the "
    "correspondent's: let it bind to that one, or leave the choice to the kernel.",
    "too big": "The sender was told the path's MTU with ICMPv6 and sends smaller packets; if it "
    "goes on, something filters ICMPv6.",
    "truncated": "Damaged or cut short: look with `roamkey decode`.",
    "udp checksum": "The sender or a NAT on the way leaves out the UDP checksum: see what is new "
    "there.",
    "version": "None: it isn't IPv6.",
}
PASSED_ON = ("delivered", "late", "sent", "no binding")

_TABLES = {"dropped": DROPPED, "refused": REFUSED, "data plane": DATA_PLANE}
_UNKNOWN = "Unknown to this version: see whether daemon and command are of the same."


def advice(outcome: str, reason: str) -> str:
    """What to do about packets with this outcome ("dropped", "refused", "data plane")."""
    return _TABLES[outcome].get(reason, _UNKNOWN)
