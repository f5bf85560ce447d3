"""What comes through the tunnel inside UDP: whole IPv6 packets, from bound endpoints.

The daemon's socket gets what is for the home agent itself of signalling and keepalives; all else
comes here (`CHOICE`). Who sends from another endpoint than the one that is bound may be a node
whose NAT forgot it: it is told so as for a keepalive, which the daemon has the rule for.
"""

from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent import bpf, encapsulation
from roamkey.correspondent.dataplane import tally
from roamkey.correspondent.dataplane.inside import Inside
from roamkey.home_agent.tunnel.forward import reason

_SOURCE = slice(8, 24)
_DESTINATION_AT = 24
_NEXT_HEADER_AT = 6
_WORD_OCTETS = 4
_FOR_THE_DAEMON = (packets.MOBILITY, packets.NO_NEXT_HEADER)
_ADDRESS_OCTETS = 16


def choice(address: IPv6Address) -> list[bpf.Instruction]:
    """What tells the kernel which socket at our port is a datagram's, in place of a
    correspondent's: 0 the daemon's, 1 this process's. It sees a datagram from its payload on."""
    words = [
        int.from_bytes(address.packed[at : at + _WORD_OCTETS], "big")
        for at in range(0, _ADDRESS_OCTETS, _WORD_OCTETS)
    ]
    program: list[bpf.Instruction] = []
    for number, word in enumerate(words):
        program += [
            (bpf.LOAD_WORD, 0, 0, _DESTINATION_AT + _WORD_OCTETS * number),
            # the last "return 1" comes behind: two for each word that is left, and 4 more
            (bpf.JUMP_EQUAL, 0, 2 * (len(words) - 1 - number) + 4, word),
        ]
    program += [
        (bpf.LOAD_OCTET, 0, 0, _NEXT_HEADER_AT),
        (bpf.JUMP_EQUAL, 1, 0, _FOR_THE_DAEMON[0]),
        (bpf.JUMP_EQUAL, 0, 1, _FOR_THE_DAEMON[1]),
        (bpf.RETURN, 0, 0, 0),
        (bpf.RETURN, 0, 0, 1),
    ]
    return program


class TunnelInside(Inside):
    """As `Inside`, for packets to anywhere."""

    def _refusal(
        self, packet: memoryview, name: bytearray, is_fragment: bool, now: int
    ) -> str | None:
        octets = len(packet)
        if octets < packets.IPV6_HEADER_OCTETS:
            return encapsulation.cut(octets)
        why = tally.FRAGMENT if is_fragment else reason(packet, octets)
        if why is not None:
            return why
        entry = self._table.by_home.get(bytes(packet[_SOURCE]))
        is_there = entry is not None and entry.peer == name and entry.expires_ms > now
        return None if is_there else tally.UNBOUND

    def _tell_unbound(self, packet: memoryview, local: bytes, name: bytearray) -> None:
        """As the keepalive that it might have been, no longer than it was."""
        keepalive = packets.keepalive(bytes(packet[_SOURCE]), self._table.address)
        head = memoryview(bytearray(keepalive[: len(packet)]))
        super()._tell_unbound(head, local, name)
