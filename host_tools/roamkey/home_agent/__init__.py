"""The home agent: a node's home address is reached through it, wherever the node is (RFC 6275
section 10). What it shares with a correspondent (registry, bursts, events, status, UDP) is that
one's; here is what only a home agent does.

core       what it decides, without I/O: home registrations
daemon     the correspondent's loop, with duplicate address detection before a first answer
serving    what the host must have, and the parts put together
tunnel/    data: a process that tunnels, and defends the home addresses on the home link
settings   where it serves
"""
