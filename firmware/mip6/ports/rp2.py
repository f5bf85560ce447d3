"""Raspberry Pi Pico W: Wi-Fi (wifi.py, cyw43.py), raw IPv6 on stock firmware (native/lwip.py).

docs/LIMITS.md, "Pico W", says what the stack denies.
"""

from .. import packets
from ..compat import const
from .cyw43 import Cyw43
from .wifi import WifiPort

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Receiver, Sender

_FEED_MS = const(1000)
_FEEDS = const(30)  # lwIP asks two servers for ten seconds each


class Port(WifiPort):
    """The Pico W's port. A raw socket of ICMPv6 would break neighbour discovery: there is none."""

    protocols = (packets.ROUTING, packets.MOBILITY)
    static = True

    def _open_sender(self) -> "Sender":
        from ..native.lwip import Sender

        return Sender()

    def _open_receiver(self, protocol: int) -> "Receiver":
        from ..native.lwip import Receiver

        return Receiver(protocol)

    def _interface(self) -> "Cyw43":
        import machine
        import network

        return Cyw43(network.WLAN(network.STA_IF), machine.mem8, machine.mem32)

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
