"""The way of a packet through the tunnel, both directions (RFC 2473; RFC 6275 section 10.4).

A packet goes as it is, as the payload of another: nothing is rewritten, so whatever travels in
IPv6 travels here, fragments, extension headers and Home Test Inits too. The kernel, which routes
it into the device and out of it, takes one off its hop limit, as of any packet that is forwarded.
"""

import os
import socket
from collections.abc import Iterator

from mip6 import packets
from roamkey.correspondent.dataplane import path_mtu, tally
from roamkey.correspondent.dataplane.forward import Forwarder
from roamkey.correspondent.dataplane.table import LEAST_MTU, Entry, Native

TUNNELLED = Native(41, packets.IPV6_HEADER_OCTETS, 0, False)  # IPv6 in IPv6

_BURST = 64
_OCTETS_MAX = 65536
_FRAGMENT_OCTETS = 8  # the header
_VERSION = 6
_SOURCE = slice(8, 24)
_HOME = slice(24, 40)
_TYPE_AT = packets.IPV6_HEADER_OCTETS
_OF_THE_LINK = range(133, 138)  # Neighbour Discovery, RFC 4861
_LINK_LOCAL = 0xFE80
_MULTICAST = 0xFF


class TunnelForwarder(Forwarder):
    """As `Forwarder`, whose raw socket is one of protocol 41."""

    _pieces: socket.socket | None = None  # what sends fragments, once there are any

    def _open_buffers(self) -> None:
        """One for all packets: none waits for another."""
        self._buffer = bytearray(_OCTETS_MAX)
        self._view = memoryview(self._buffer)
        self._whole = [self._buffer]

    def use(self, device: int) -> None:
        """Go on with another device."""
        self._device = device

    def outward(self, now: int) -> bool:
        """Take what the kernel routed into the device; True if there may be more."""
        device, into, buffer, view = self._device, self._whole, self._buffer, self._view
        by_home, used = self._table.by_home, self._told.used
        counters = self._told.counters
        sent = total = 0
        try:
            for _ in range(_BURST):
                octets = os.readv(device, into)
                entry = by_home.get(bytes(view[_HOME]))
                if entry is None or entry.expires_ms <= now:
                    counters[tally.NOT_SERVED if entry is None else tally.UNBOUND] += 1
                    continue
                if self._is_ours(octets):
                    counters[tally.LOOP] += 1
                    continue
                if buffer[6] == packets.ICMPV6 and buffer[_TYPE_AT] in _OF_THE_LINK:
                    counters[tally.OF_THE_LINK] += 1  # RFC 6275 section 10.4.2
                    continue
                if octets > entry.mtu:
                    if now < entry.mtu_until_ms:
                        self._squeeze(entry, view[:octets])
                        continue
                    entry.widen()
                try:
                    (entry.send or self._table.connect(entry))(view[:octets])
                except OSError as error:
                    if not self._send_again(entry, view[:octets], error, now):
                        continue
                used.add(entry.home_address)
                sent += 1
                total += octets
        except BlockingIOError:
            return False
        except OSError:  # somebody took the device away
            return False
        finally:
            counters[tally.SENT] += sent
            self._told.octets[1] += total
        return True

    def _is_ours(self, octets: int) -> bool:
        """Whether this program made it: the way to a node leads into the device."""
        if self._view[_SOURCE] != self._table.address:
            return False
        kind = self._buffer[6]
        return kind == TUNNELLED.protocol or (
            kind == packets.UDP and bytes(self._view[40:42]) == self._port
        )

    def inward(self, now: int) -> bool:
        """Take what nodes sent through the tunnel; True if there may be more."""
        device, view, into = self._device, self._view, self._buffer
        by_home, heard, counters = self._table.by_home, self._told.heard, self._told.counters
        delivered = total = 0
        try:
            for _ in range(_BURST):
                octets, source = self._raw.recvfrom_into(into)
                why = reason(view, octets)
                if why is not None:
                    counters[why] += 1
                    continue
                # Section 10.4.5: the tunnel's other end is where the node is bound to be.
                entry = by_home.get(bytes(view[_SOURCE]))
                if entry is None or entry.care_of_text != source[0] or entry.expires_ms <= now:
                    counters[tally.UNBOUND] += 1
                    continue
                try:
                    os.write(device, view[:octets])
                except OSError as error:
                    self._told.count(error)
                    continue
                heard.add(entry.home_address)
                delivered += 1
                total += octets
        except BlockingIOError:
            return False
        except OSError as error:  # an error that waited at the socket
            self._told.count(error)
        finally:
            counters[tally.DELIVERED] += delivered
            self._told.octets[0] += total
        return True

    def deliver(self, source: bytes, next_header: int, payload: bytes, now: int) -> None:
        """Nothing but tunnelled packets is a home agent's."""

    def _send_in_fragments(self, entry: Entry, packet: memoryview) -> None:
        """The tunnel's packet goes in fragments (RFC 2473 section 7.2 b), made here: the kernel
        believes what it hears of narrow ways only for sockets that are connected."""
        if self._pieces is None:
            self._pieces = self._table.open(packets.FRAGMENT)
        self._fragmented = (self._fragmented + 1) & 0xFFFFFFFF
        mtu = max(LEAST_MTU, entry.path_mtu)
        for fragment in split(bytes(packet), mtu, self._fragmented):
            self._pieces.sendto(fragment, (entry.care_of_text, 0))

    def _heeds(self, kind: int) -> bool:
        """Who sends isn't this host's kernel, and may send fragments: they pass here."""
        return True

    def _tell_too_big(self, entry: Entry, offender: bytes, mtu: int) -> None:
        """From us, where the tunnel begins (RFC 2473 section 8)."""
        os.write(self._device, path_mtu.packet_too_big(self._table.address, offender, mtu))


def split(packet: bytes, path_mtu: int, identification: int) -> Iterator[bytes]:
    """The fragments of the tunnel's packet, from their fragment headers on (RFC 8200 section
    4.5). `path_mtu`: 1280 at least."""
    room = path_mtu - packets.IPV6_HEADER_OCTETS - _FRAGMENT_OCTETS & ~7
    for start in range(0, len(packet), room):
        more = start + room < len(packet)
        place = (start | more).to_bytes(2, "big")
        head = bytes((TUNNELLED.protocol, 0)) + place + identification.to_bytes(4, "big")
        yield head + packet[start : start + room]


def reason(view: memoryview, octets: int) -> str | None:
    """Why what came through the tunnel can't be passed on; None where it can."""
    if octets < packets.IPV6_HEADER_OCTETS:
        return tally.TRUNCATED
    if view[0] >> 4 != _VERSION:
        return tally.VERSION
    length = packets.IPV6_HEADER_OCTETS + (view[4] << 8 | view[5])
    if length != octets:
        return tally.TRUNCATED if length > octets else tally.LENGTH
    if not view[7]:
        return tally.HOP_LIMIT
    if view[24] == _MULTICAST or (view[24] << 8 | view[25] & 0xC0) == _LINK_LOCAL:
        return tally.DESTINATION  # of the home link's own: RFC 6275 section 10.4.4 isn't built
    return None
