"""Raspberry Pi Pico W: Wi-Fi, and raw IPv6 on stock firmware (see wifi.py and native/lwip.py).

docs/LIMITS.md, "Pico W", says what the stack denies.
"""

from .. import packets
from ..compat import const
from .wifi import WifiPort

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..native.lwip import Sender
    from ..protocols import Nic, Receiver

# RFC 4861 section 4.1: to all routers, from the unspecified address, hop limit 255
_ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x02"
_UNSPECIFIED = bytes(16)
_LINK_LOCAL = b"\xfe\x80" + bytes(13) + b"\x01"  # only to have lwIP take an interface
_ROUTER_SOLICITATION = const(133)

_FEED_MS = const(1000)
_FEEDS = const(30)  # lwIP asks two servers for ten seconds each


def _solicitation() -> bytes:
    body = bytes((_ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0))
    value = packets.checksum(_UNSPECIFIED, _ALL_ROUTERS, packets.ICMPV6, body)
    return body[:2] + bytes((value >> 8, value & 255)) + body[4:]


class Port(WifiPort):
    """The Pico W's port. A raw socket of ICMPv6 would break neighbour discovery: there is none."""

    protocols = (packets.ROUTING, packets.MOBILITY)
    _sender: "Sender | None"

    def _open_sender(self) -> "Sender":
        from ..native.lwip import Sender

        return Sender()

    def _open_receiver(self, protocol: int) -> "Receiver":
        from ..native.lwip import Receiver

        return Receiver(protocol)

    def _interface(self) -> "Nic":
        import network

        return network.WLAN(network.STA_IF)

    def _ask_routers(self) -> None:
        if self._sender is not None:  # lwIP asks by itself, too
            self._sender.send(
                _UNSPECIFIED, _ALL_ROUTERS, packets.ICMPV6, _solicitation(), 255, _LINK_LOCAL
            )

    def _unfed(self, feed: "Callable[[], object]", begins: bool) -> None:
        import machine

        if begins:
            self._feeder = machine.Timer(period=_FEED_MS, callback=self._feed)
            self._feeds = _FEEDS
            self._watchdog = feed
        else:
            self._feeder.deinit()

    def _feed(self, _: object) -> None:
        self._feeds -= 1
        if self._feeds > 0:
            self._watchdog()
