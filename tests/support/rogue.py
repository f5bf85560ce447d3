"""A neighbour on the board's link that advertises whatever harms: real Router Advertisements."""

import ipaddress
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from mip6 import packets
from roamkey.lab.advertise import Advertisement
from roamkey.lab.network import PREFIXES, Network

NAME = "rogue"
_INTERFACE = "eth0"
_MAC = "02:00:00:00:ba:d0"
_EVERYONE = ipaddress.IPv6Address("ff02::1").packed
_EVERYONE_MAC = bytes.fromhex("333300000001")
_IPV6 = b"\x86\xdd"

#: One thing to say, and how long to wait for the next (s).
_Say = Iterator[tuple[Advertisement, float]]


def _link_local(mac: str) -> bytes:
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return bytes.fromhex("fe80" + "0" * 12) + octets[:3] + b"\xff\xfe" + octets[3:]


class Rogue:
    """While it is entered, each behaviour in turn, for `each_s` seconds; `said` counts."""

    def __init__(self, network: Network, lan: str, each_s: float) -> None:
        self.said: dict[str, int] = {}
        self._each = each_s
        self._good = PREFIXES[lan]
        self._router = _mac_of(network, lan)
        self._over = threading.Event()
        network.attach(NAME, _INTERFACE, lan, dad=False)
        self._socket = network.namespace(NAME).socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((_INTERFACE, 0))
        self._fresh = itertools.count(1)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Rogue":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        behaviours: tuple[Callable[[], _Say], ...] = (
            self.toggles_two_prefixes,
            self.deprecates_the_good_prefix,
            self.takes_the_router_away,
            self.gives_addresses_for_a_moment,
            self.advertises_ever_new_prefixes,
            self.floods,
        )
        for behaviour in itertools.cycle(behaviours):
            end = time.monotonic() + self._each
            for saying, pause in behaviour():
                self._send(saying)
                self.said[behaviour.__name__] = self.said.get(behaviour.__name__, 0) + 1
                if self._over.wait(pause):
                    return
                if time.monotonic() > end:
                    break

    def _send(self, saying: Advertisement) -> None:
        source = _link_local(saying.mac)
        message = bytearray(saying.encode())
        value = packets.checksum(source, _EVERYONE, packets.ICMPV6, message)
        message[2:4] = value.to_bytes(2, "big")
        head = b"\x60\0\0\0" + len(message).to_bytes(2, "big") + bytes((packets.ICMPV6, 255))
        frame = _EVERYONE_MAC + bytes.fromhex(saying.mac.replace(":", "")) + _IPV6
        self._socket.send(frame + head + source + _EVERYONE + message)

    def _prefix(self, prefix: str, preferred: int, valid: int) -> Advertisement:
        """In its own name: a prefix, and that it is no router."""
        return Advertisement(prefix, _MAC, 1, 0, valid, preferred)

    def toggles_two_prefixes(self) -> _Say:
        """Each is the only one preferred, by turns."""
        pair = ("2001:db8:bad:1::/64", "2001:db8:bad:2::/64")
        for turn in itertools.count():
            yield self._prefix(pair[turn % 2], 14400, 86400), 0.05
            yield self._prefix(pair[1 - turn % 2], 0, 86400), 0.05

    def deprecates_the_good_prefix(self) -> _Say:
        """And gives it no lifetime at all (RFC 4862 section 5.5.3 leaves it two hours)."""
        while True:
            yield self._prefix(self._good, 0, 0), 0.1

    def takes_the_router_away(self) -> _Say:
        """Says in the router's name that it is none."""
        while True:
            yield Advertisement(self._good, self._router, 1, 0), 2.0

    def gives_addresses_for_a_moment(self) -> _Say:
        """Valid for two seconds, preferred for one."""
        for turn in itertools.count():
            yield self._prefix(f"2001:db8:bad:{256 + turn % 8:x}::/64", 1, 2), 0.5

    def advertises_ever_new_prefixes(self) -> _Say:
        """As many as there is room for in the kernel."""
        while True:
            yield self._prefix(f"2001:db8:bad:{4096 + next(self._fresh):x}::/64", 1800, 3600), 0.02

    def floods(self) -> _Say:
        """A thousand a second of what costs most: lifetimes that change each time."""
        for turn in itertools.count():
            yield self._prefix("2001:db8:bad:1::/64", 600 * (turn % 2), 7300 + turn % 500), 0.001


def _mac_of(network: Network, lan: str) -> str:
    """The router's MAC on a network."""
    (link,) = network.namespace("router")._ask("get_links", network.namespace("router").index(lan))
    return str(link.get_attr("IFLA_ADDRESS"))
