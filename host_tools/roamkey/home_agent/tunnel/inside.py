"""What comes through the tunnel inside UDP: whole IPv6 packets, from bound endpoints.

The daemon's socket gets what is for the home agent itself of signalling and keepalives; all else
comes here (`CHOICE`). Who sends from another endpoint than the one that is bound may be a node
whose NAT forgot it: it is told so as for a keepalive, which the daemon has the rule for.
"""

import os
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent import bpf, encapsulation
from roamkey.correspondent.dataplane import tally
from roamkey.correspondent.dataplane.inside import Inside
from roamkey.home_agent.tunnel.forward import reason

_BURST = 64
_ANCILLARY = 128
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

    def inward(self, device: int, now: int) -> None:
        """Pass into the device what nodes sent."""
        view, into, told = self._view, self._into, self._told
        by_home, counters = self._table.by_home, told.counters
        delivered = total = 0
        try:
            for _ in range(_BURST):
                octets, ancillary, _, source = self._udp.recvmsg_into(into, _ANCILLARY)
                if octets < packets.IPV6_HEADER_OCTETS:
                    counters[encapsulation.cut(octets)] += 1
                    continue
                why = tally.FRAGMENT if len(ancillary) != 1 else reason(view, octets)
                if why is not None:
                    counters[why] += 1
                    continue
                entry = by_home.get(bytes(view[_SOURCE]))
                if entry is None or entry.outer != source[:2] or entry.expires_ms <= now:
                    counters[tally.UNBOUND] += 1
                    self._tell_unbound(octets, ancillary[0][2], source)
                    continue
                try:
                    os.write(device, view[:octets])
                except OSError as error:
                    told.count(error)
                    continue
                told.heard.add(entry.home_address)
                delivered += 1
                total += octets
        except BlockingIOError:
            return
        except OSError as error:  # an error that waited at the socket
            told.count(error)
        finally:
            counters[tally.DELIVERED] += delivered
            told.octets[0] += total

    def _tell_unbound(self, octets: int, info: bytes, source: tuple[str, int, int, int]) -> None:
        """As the keepalive that it might have been, no longer than it was."""
        home = bytes(self._view[_SOURCE])
        keepalive = packets.keepalive(home, self._table.address)
        self._view[: len(keepalive)] = keepalive
        super()._tell_unbound(octets, info, source)
