"""ESP32: one Wi-Fi uplink, raw IPv6 through lwIP's own sockets (see wifi.py).

MicroPython's own firmware has no IPv6 on Wi-Fi; the C module `ip6sta` of boards/modules brings it
up, so the firmware has to be one of boards/ESP32_*. No ESP32 ever ran this: docs/LIMITS.md.

What survives deep sleep is for the application to pass on: see retained.py.
"""

import time

from .. import addresses, packets
from ..compat import const
from .waiting import take
from .wifi import WifiPort

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from typing import Any

    from network import WLAN

    from ..protocols import Incoming, Ip6Sta, Nic, Octets

_SOCK_RAW = const(3)
_SENDERS_MAX = const(3)  # sockets kept for sending, of the board's 16
_PARAMETER_PROBLEM = const(4)  # RFC 4443 section 3.4

# WLAN.status() as Station knows it, which is the Pico W's
_UP = const(3)
_JOINING = const(1)
_FAILED = const(-1)

_LEFT_MS = const(300)  # how long to wait for the word that the association has ended
_STEP_MS = const(10)


def _ip6sta() -> "Ip6Sta":
    try:
        import ip6sta
    except ImportError:
        raise OSError("no IPv6 on this firmware's Wi-Fi: flash roamkey's (boards/)") from None
    return ip6sta


def _open(protocol: int) -> "socket.socket":
    import socket

    stream = socket.socket(socket.AF_INET6, _SOCK_RAW, protocol)
    stream.setblocking(False)
    return stream


class Receiver:
    """Packets whose first next header is `protocol`. Raises OSError.

    The socket is bound to nothing (a connected one hears its peer alone). lwIP gives it a copy of
    each packet, six at most, and goes on with the packet itself: see sdkconfig.board.
    """

    def __init__(self, protocol: int) -> None:
        self._protocol = protocol
        self.socket = _open(protocol)

    def receive(self) -> "Incoming | None":
        """(source, destination, next header, payload from that header on) of one, or None.

        Of ICMPv6 only Parameter Problems count. recvfrom() tells no IPv6 address: the header does.
        Raises as `take`.
        """
        while True:
            packet = take(self.socket)
            if packet is None:
                return None
            payload = self._payload(packet)
            if payload is not None:
                return packet[8:24], packet[24:40], self._protocol, payload

    def _payload(self, packet: bytes) -> memoryview | None:
        start = packets.IPV6_HEADER_OCTETS
        if len(packet) <= start or packet[0] >> 4 != 6 or packet[6] != self._protocol:
            return None  # IPv4 knows these protocol numbers, too
        end = start + (packet[4] << 8 | packet[5])
        if end > len(packet):
            return None
        if self._protocol == packets.ICMPV6 and packet[start] != _PARAMETER_PROBLEM:
            return None
        return memoryview(packet)[start:end]

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()


class Sender:
    """Sends from a chosen address: one socket for each next header and destination.

    sendto() knows only IPv4, hence bind and connect. They stay open, the last few.
    """

    def __init__(self) -> None:
        # (next header, destination, source, socket), the last used at the end
        self._open: list[tuple[int, bytes, bytes, socket.socket]] = []

    def send(self, source: bytes, destination: bytes, next_header: int, payload: "Octets") -> None:
        """Send; raises OSError."""
        stream = self._socket(next_header, bytes(destination), bytes(source))
        stream.send(payload)

    def _socket(self, next_header: int, destination: bytes, source: bytes) -> "socket.socket":
        for entry in self._open:
            if entry[0] == next_header and entry[1] == destination:
                self._open.remove(entry)
                if entry[2] == source:
                    self._open.append(entry)
                    return entry[3]
                entry[3].close()
                break
        if len(self._open) >= _SENDERS_MAX:
            self._open.pop(0)[3].close()
        stream = _open(next_header)
        try:
            stream.bind((addresses.text(source), 0))
            stream.connect((addresses.text(destination), 0))
        except OSError:
            stream.close()
            raise
        self._open.append((next_header, destination, source, stream))
        return stream

    def close(self) -> None:
        """Give the sockets back."""
        while self._open:
            self._open.pop()[3].close()


class Interface:
    """The Wi-Fi station, as far as Station looks at the Pico W's WLAN. `wlan`: network.WLAN.

    ESP-IDF drops addresses, routers and neighbours when an association ends. Whether there is one
    tells ip6sta: WLAN.status() waits for IPv4 and shows the failure before last.
    """

    def __init__(self, wlan: "WLAN", ip6sta: "Ip6Sta") -> None:
        self._wlan = wlan
        self._ip6sta = ip6sta
        self._losses = 0
        self._trying = False
        self._marked: str | None = None  # see ipconfig

    def active(self, on: bool) -> None:
        """Switch on or off."""
        self._wlan.active(on)
        if on:
            self._wlan.config(reconnects=0)  # which network is tried next is Station's choice
            self._ip6sta.start()
        else:
            self._wait_until_left()
        self._trying = False

    def scan(self) -> "list[tuple[Any, ...]]":
        """What is in reach, as network.WLAN tells it."""
        return self._wlan.scan()

    def connect(self, ssid: str, password: str | None) -> None:
        """Begin to join."""
        if self._trying:  # the driver takes no second order while it carries out the first
            self.disconnect()
        self._losses = self._ip6sta.link()[1]
        self._trying = True
        self._wlan.connect(ssid, password)

    def disconnect(self) -> None:
        """Leave; returns when the association has ended."""
        self._trying = False
        self._wlan.disconnect()
        self._wait_until_left()

    def _wait_until_left(self) -> None:
        for _ in range(_LEFT_MS // _STEP_MS):
            if not self._ip6sta.link()[0]:
                return
            time.sleep_ms(_STEP_MS)  # type: ignore[attr-defined]  # MicroPython's own

    def status(self, what: str | None = None) -> int:
        """Joined, joining or failed, in the Pico W's numbers; or what the chip says of `what`."""
        if what is not None:
            return self._wlan.status(what)
        up, losses, _ = self._ip6sta.link()
        if up:
            return _UP
        return _JOINING if self._trying and losses == self._losses else _FAILED

    def ipconfig(self, key: str | None = None, **set_to: "Any") -> "Any":
        """`"addr6"`: the addresses, link-local ones left out: (text, state, preferred, valid).

        With `addr6=` an address is marked, as static ones are on the Pico W; with `addr6=None` it
        goes. `autoconf6=True` has addresses formed.
        """
        if key == "addr6":
            return [
                (addresses.text(octets), state, preferred, valid)
                for octets, state, preferred, valid in self._ip6sta.addresses()
                if not _is_link_local(octets)
            ]
        if set_to.get("autoconf6"):
            self._ip6sta.start()
        elif set_to.get("addr6"):
            self._marked = set_to["addr6"]
        elif self._marked is not None:
            self._ip6sta.remove(addresses.parse(self._marked))
            self._marked = None
        return None


def _is_link_local(octets: bytes) -> bool:
    return octets[0] == 0xFE and octets[1] & 0xC0 == 0x80


class Port(WifiPort):
    """The ESP32's port. Raises OSError where the firmware has no `ip6sta`."""

    protocols = (packets.ROUTING, packets.MOBILITY, packets.ICMPV6)

    def _open_sender(self) -> "Sender":
        self.ip6sta = _ip6sta()
        return Sender()

    def _open_receiver(self, protocol: int) -> "Receiver":
        return Receiver(protocol)

    def _interface(self) -> "Nic":
        import network

        return Interface(network.WLAN(network.STA_IF), self.ip6sta)

    def _ask_routers(self) -> None:
        self.ip6sta.solicit()
