"""The home address on a Wi-Fi station, where a home agent defends it while the node is away.

As ports/homelink.py has it for Linux: the node knows its home link by the prefix, and uses the
home address there without duplicate address detection, which would find the home agent (RFC 6275
section 11.5.4). Beside the address that lwIP forms there it is a static one, of which lwIP keeps
no more: each other one that is set takes it away (MicroPython 1.28, extmod/network_lwip.c), and
the next look puts it back.
"""

import socket

from .. import addresses, packets
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..ports.cyw43 import Cyw43
    from ..ports.waiting import Watch
    from ..protocols import Incoming

_PREFIX_OCTETS = const(8)
_ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
_ADVERTISEMENT = const(136)
_OVERRIDE = const(0x20)
_TARGET_LINK_LAYER_ADDRESS = b"\x02\x01"
_EAGAIN = const(11)
_OCTETS_MAX = const(1472)


class WlanHome:
    """`nic`: the Pico W's; `octets`: the home address. `there`: whether the interface has it, and
    is on the home link: then it is an address like those that station.py lists."""

    preferred = True
    valid_s = None

    def __init__(
        self,
        nic: "Cyw43",
        octets: bytes,
        fault: "Callable[[OSError], None]",
        watched: "Callable[[Listener], Watch]",
        make_room: "Callable[[], None]",
    ) -> None:
        self._nic = nic
        self.octets = octets
        self._fault = fault
        self._watched = watched
        self._make_room = make_room  # closes sockets that nothing at home needs
        self._listeners: dict[int, Listener] = {}
        self.there = False
        self._formed = False  # by lwIP itself, of an advertisement

    def take(self, present: "dict[str, Any]") -> None:
        """See whether it is listed: (text, state, preferred, valid lifetime) by text. It is taken
        out of the others."""
        self.there = self._formed = False
        for text, entry in present.items():
            if addresses.parse(text) == self.octets:
                self.there = True
                self._formed = entry[3] != 0  # a static one has none
                del present[text]
                return

    def follow(self, others: "Iterable[Any]") -> None:
        """Have it on the home link, and nowhere else. `others`: the addresses beside it. Where
        lwIP has no room for it too, that is a fault, and home a network like any other."""
        if self._formed:
            return
        prefix = self.octets[:_PREFIX_OCTETS]
        near = any(one.octets[:_PREFIX_OCTETS] == prefix for one in others)
        if near and not self.there:
            self.put()
        elif self.there and not near:
            self.leave()

    def put(self) -> None:
        """Have it, or have it again."""
        self.there = self._set(addresses.text(self.octets))

    def leave(self) -> None:
        """Have it no more."""
        self.deafen()
        if self.there and not self._formed:
            self._set(None)
        self.there = False

    def _set(self, text: str | None) -> bool:
        try:
            self._nic.ipconfig(addr6=text)
        except OSError as error:
            self._fault(error)
            return False
        return True

    def announce(self, uplink: str) -> None:
        """Tell the neighbours that it is ours (section 11.5.5; RFC 4861 section 7.2.6)."""
        rest = self.octets + _TARGET_LINK_LAYER_ADDRESS + self._nic.mac
        try:
            self._nic.send_icmpv6(self.octets, _ALL_NODES, _ADVERTISEMENT, rest, _OVERRIDE)
        except OSError as error:
            self._fault(error)

    def listen(self, address: bytes, port: int) -> None:
        """Have datagrams to a UDP port of it come as packets, while the node is at home."""
        if address != self.octets or port in self._listeners:
            return
        try:
            entry = self._open(port)
        except OSError as error:
            self._fault(error)
            return
        self._listeners[port] = entry
        entry.watch = self._watched(entry)

    def _open(self, port: int) -> "Listener":
        try:
            return Listener(self.octets, port)
        except OSError:  # lwIP has five UDP sockets, three of them its own
            self._make_room()
        return Listener(self.octets, port)

    def deafen(self) -> None:
        """End what `listen` began."""
        for _, entry in self._listeners.items():
            entry.close()
        self._listeners = {}


class Listener:
    """A UDP socket at the home address that gives what it receives as packets: at home lwIP would
    answer that nobody listens. OSError."""

    def __init__(self, home: bytes, port: int) -> None:
        self.watch: "Watch | None" = None
        self._home = home
        self._port = port
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            self.socket.bind((addresses.text(home), port))
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def receive(self) -> "Incoming | None":
        """(source, home address, packets.UDP, datagram) of one, or None. OSError, MemoryError."""
        try:
            data, place = self.socket.recvfrom(_OCTETS_MAX)
        except OSError as error:
            if error.args[0] == _EAGAIN:
                return None
            raise
        source = addresses.parse(place[0])
        whole = packets.udp(source, self._home, place[1], self._port, data)
        return source, self._home, packets.UDP, whole

    def close(self) -> None:
        """Give the socket back."""
        if self.watch is not None:
            self.watch.stop()
        self.socket.close()
