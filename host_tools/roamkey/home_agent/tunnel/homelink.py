"""The home link: is an address free there, and holding its place while its node is away.

- Duplicate address detection (RFC 6275 section 10.3.1, RFC 4862 section 5.4): one solicitation,
  then a second in which nobody may answer for the address, or ask for it to be its own.
- When a node is bound all neighbours are told, three times (section 10.4.1, RFC 4861 section
  7.2.6); from then on, until it isn't bound any more, whoever asks is answered, also those who
  want the address for themselves: they find that it is taken.

Frames are heard and sent by a packet socket, so no setting of the host's has to be changed, and
nothing stays when this process ends.
"""

import fcntl
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path

from roamkey.correspondent import bpf
from roamkey.errors import SystemRefusedError
from roamkey.home_agent.tunnel import neighbours
from roamkey.home_agent.tunnel.groups import Groups

DETECTION_S = 1.0  # RetransTimer, RFC 4861 section 10; DupAddrDetectTransmits is 1
_ADVERTISEMENTS = 3  # MAX_NEIGHBOR_ADVERTISEMENT
_BETWEEN_S = 1.0
_SOURCE_S = 1.0  # so long an address of ours is believed to be there
_AT_ONCE = 64  # frames heard, or advertisements sent, before others have their turn
_OCTETS_MAX = 512  # no neighbour's message is longer
_ETHERNET_OCTETS = 6
_IPV6 = 0x86DD
_PACKET_OUTGOING = 4
_NONCE_OCTETS = 6
_NEXT_HEADER_AT, _TYPE_AT = 6, 40
_LINK_LOCAL = "fe80"
_ARPHRD_ETHER = 1
_SIOCGIFHWADDR = 0x8927
_IFREQ = struct.Struct("16sH14s8x")

_FILTER: list[bpf.Instruction] = [
    (bpf.LOAD_OCTET, 0, 0, _NEXT_HEADER_AT),
    (bpf.JUMP_EQUAL, 0, 4, 58),
    (bpf.LOAD_OCTET, 0, 0, _TYPE_AT),
    (bpf.JUMP_EQUAL, 1, 0, neighbours.SOLICITATION),
    (bpf.JUMP_EQUAL, 0, 1, neighbours.ADVERTISEMENT),
    (bpf.RETURN, 0, 0, _OCTETS_MAX),
    (bpf.RETURN, 0, 0, 0),
]


class HomeLink:
    """Of one interface. Select on it, then `hear`; call `turn` at `wakes_at`, or before.

    `found(home_address, is_free)` is called when a detection is over. `counters`: what was done.
    """

    def __init__(self, interface: str, found: Callable[[bytes, bool], None]) -> None:
        """Listen there from now on. Raises SystemRefusedError."""
        self.interface = interface
        self._found = found
        self._held: set[bytes] = set()
        self._detecting: dict[bytes, tuple[float, bytes]] = {}  # until when, and the nonce
        self._due: deque[bytes] = deque()  # detections that are to begin
        self._heap: list[tuple[float, bytes, int]] = []  # when, whose, how often still
        self.counters = dict.fromkeys(
            ("detected", "duplicates", "advertised", "answered", "send errors"), 0
        )
        self._source: bytes | None = None  # what we say is from
        self._source_until = 0.0
        self._open()

    def _open(self) -> None:
        try:
            self.index = socket.if_nametoindex(self.interface)
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, 0
            )  # of no protocol: nothing comes before the filter is there
        except PermissionError:
            raise SystemRefusedError("the home link needs root, or CAP_NET_RAW") from None
        except OSError as error:
            text = f"home link {self.interface}: {error.strerror}"
            raise SystemRefusedError(text) from None
        try:
            self._socket.setblocking(False)
            bpf.attach(self._socket, _FILTER)
            self._socket.bind((self.interface, _IPV6))
        except OSError as error:
            self._socket.close()
            text = f"home link {self.interface}: {error.strerror}"
            raise SystemRefusedError(text) from None
        self._link_layer = link_layer_of(self.interface)
        self._groups = Groups(self.index)

    def close(self) -> None:
        """Hold nothing any more: the neighbours aren't told, the nodes do that themselves."""
        self._socket.close()
        self._groups.close()

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def wakes_at(self) -> float:
        """When to call `turn` at the latest (`time.monotonic()`); infinity: not before something
        else happens."""
        if self._due:
            return 0.0
        return self._heap[0][0] if self._heap else float("inf")

    # --- what is asked for

    def detect(self, home_address: bytes) -> None:
        """Find out whether an address is free; one that is held already is."""
        if home_address in self._held:
            self._found(home_address, True)
        elif home_address not in self._detecting and home_address not in self._due:
            self._due.append(home_address)

    def hold(self, home_address: bytes) -> None:
        """Its node is away from now on: have its packets come here."""
        if home_address in self._held:
            return
        self._held.add(home_address)
        with suppress(OSError):  # where it fails, those who have asked before still come here
            self._groups.add(home_address)
        heappush(self._heap, (time.monotonic(), home_address, _ADVERTISEMENTS))

    def let_go(self, home_address: bytes) -> None:
        """Its node is at home, or nowhere."""
        if home_address in self._held:
            self._held.discard(home_address)
            with suppress(OSError):
                self._groups.remove(home_address)

    def look(self) -> bool:
        """See that the interface is the one that it was; where it was made anew, or has another
        address, all neighbours are told anew: then it is True, and there is another descriptor."""
        try:
            index = socket.if_nametoindex(self.interface)
            if (index, link_layer_of(self.interface)) == (self.index, self._link_layer):
                return False
        except (OSError, SystemRefusedError):
            return False  # it may come back
        before, groups = self._socket, self._groups
        try:
            self._open()
        except SystemRefusedError:
            self._socket, self._groups = before, groups
            return False
        before.close()
        groups.close()
        held, self._held = self._held, set()
        for home in held:
            self.hold(home)
        return True

    # --- what happens

    def turn(self) -> None:
        """Begin detections, end those whose time is over, tell neighbours."""
        now = time.monotonic()
        for _ in range(min(len(self._due), _AT_ONCE)):
            self._begin(self._due.popleft(), now)
        for _ in range(_AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                return
            _, home, left = heappop(self._heap)
            if not left:
                self._end(home, True, now)
            elif home in self._held:
                self._advertise(home, None, neighbours.link_layer_of(neighbours.ALL_NODES))
                self.counters["advertised"] += 1
                if left > 1:
                    heappush(self._heap, (now + _BETWEEN_S, home, left - 1))

    def hear(self) -> None:
        """Read what neighbours say, and answer for the addresses that are held."""
        for _ in range(_AT_ONCE):
            try:
                packet, (_, _, kind, _, sender) = self._socket.recvfrom(_OCTETS_MAX)
            except BlockingIOError:
                return
            except OSError:  # the interface is down
                return
            if kind == _PACKET_OUTGOING:
                continue
            told = neighbours.read(packet)
            if told is None:
                continue
            detecting = self._detecting.get(told.target)
            if detecting is not None:
                is_ours = told.nonce == detecting[1]
                if (told.kind == neighbours.ADVERTISEMENT or told.detects) and not is_ours:
                    self._end(told.target, False, None)
            elif told.target in self._held and told.kind == neighbours.SOLICITATION:
                to = told.link_layer[:_ETHERNET_OCTETS] or sender
                if told.detects:
                    to = neighbours.link_layer_of(neighbours.ALL_NODES)
                self._advertise(told.target, told.source, to)
                self.counters["answered"] += 1

    def _begin(self, home: bytes, now: float) -> None:
        nonce = os.urandom(_NONCE_OCTETS)
        try:
            self._groups.add(home)
        except OSError:
            self.counters["send errors"] += 1
            return  # the daemon asks again
        to = neighbours.link_layer_of(neighbours.solicited_node(home))
        if not self._send(neighbours.detection(home, nonce), to):
            self._groups.remove(home)
            return
        self._detecting[home] = now + DETECTION_S, nonce
        heappush(self._heap, (now + DETECTION_S, home, 0))

    def _end(self, home: bytes, is_free: bool, now: float | None) -> None:
        """A detection is over; `now`: its time may be."""
        one = self._detecting.get(home)
        if one is None or (now is not None and one[0] > now):
            return
        del self._detecting[home]
        with suppress(OSError):
            self._groups.remove(home)
        self.counters["detected"] += 1
        self.counters["duplicates"] += not is_free
        self._found(home, is_free)

    def _advertise(self, home: bytes, to: bytes | None, link_layer: bytes) -> None:
        now = time.monotonic()
        if now >= self._source_until:
            self._source, self._source_until = link_local_of(self.index), now + _SOURCE_S
        if self._source is not None:
            packet = neighbours.advertisement(self._source, home, self._link_layer, to)
            self._send(packet, link_layer)

    def _send(self, packet: bytes, link_layer: bytes) -> bool:
        try:
            self._socket.sendto(packet, (self.interface, _IPV6, 0, 0, link_layer))
        except OSError:
            self.counters["send errors"] += 1
            return False
        return True


def link_layer_of(interface: str) -> bytes:
    """The interface's Ethernet address. Raises SystemRefusedError."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        try:
            told = fcntl.ioctl(one, _SIOCGIFHWADDR, _IFREQ.pack(interface.encode(), 0, b""))
        except OSError as error:
            raise SystemRefusedError(f"home link {interface}: {error.strerror}") from None
    _, kind, address = _IFREQ.unpack(told)
    if kind != _ARPHRD_ETHER:
        raise SystemRefusedError(f"home link {interface}: no Ethernet, or what looks like it")
    return bytes(address[:_ETHERNET_OCTETS])


def link_local_of(index: int) -> bytes | None:
    """A link-local address of an interface, or None."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            fields = line.split()
            if int(fields[1], 16) == index and fields[0].startswith(_LINK_LOCAL):
                return bytes.fromhex(fields[0])
    return None
