"""Tunnels that are too narrow for a packet: what routers say of them (RFC 2473 section 7.1).

They say it to us, where the tunnel begins. A report is believed where it quotes a packet of ours
to the care-of address that the inner packet's home address is bound to; so who doesn't see the
tunnel has to know both.
"""

import socket

from mip6 import packets
from roamkey.correspondent.dataplane.path_mtu import PathMtu
from roamkey.correspondent.dataplane.table import LEAST_MTU
from roamkey.home_agent.tunnel.forward import TUNNELLED

_QUOTED = 8  # where the packet begins that was too big
_INNER = _QUOTED + packets.IPV6_HEADER_OCTETS
_OCTETS = _INNER + packets.IPV6_HEADER_OCTETS


class TunnelMtu(PathMtu):
    """As `PathMtu`, for what is tunnelled."""

    octets = _OCTETS

    def _note(self, report: bytes, now: int) -> None:
        quoted = report[_QUOTED:]
        if (
            len(report) < _OCTETS
            or quoted[6] != TUNNELLED.protocol
            or quoted[8:24] != self._address
        ):
            return
        entry = self._table.by_home.get(report[_INNER + 24 : _OCTETS])
        mtu = int.from_bytes(report[4:8], "big")
        there = socket.inet_ntop(socket.AF_INET6, quoted[24:40])
        if entry is not None and entry.care_of_text == there and mtu >= LEAST_MTU:
            entry.narrow(mtu, now)
            self._narrowed(entry)
