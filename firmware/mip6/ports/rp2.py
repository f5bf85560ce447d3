"""Raspberry Pi Pico W: Wi-Fi and raw IPv6 on stock firmware (see wifi.py and lwip.py).

docs/LIMITS.md, "Pico W", says what the stack denies.
"""

from .. import packets
from ..compat import const
from .lwip import Receiver, Sender
from .wifi import WifiPort

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Nic

# RFC 4861 section 4.1: to all routers, from the unspecified address, hop limit 255
_ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x02"
_UNSPECIFIED = bytes(16)
_LINK_LOCAL = b"\xfe\x80" + bytes(13) + b"\x01"  # only to have lwIP take an interface
_ROUTER_SOLICITATION = const(133)


def _solicitation() -> bytes:
    body = bytes((_ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0))
    value = packets.checksum(_UNSPECIFIED, _ALL_ROUTERS, packets.ICMPV6, body)
    return body[:2] + bytes((value >> 8, value & 255)) + body[4:]


class Port(WifiPort):
    """The Pico W's port. A raw socket of ICMPv6 would break neighbour discovery: there is none."""

    protocols = (packets.ROUTING, packets.MOBILITY)
    _sender: Sender

    def _open_sender(self) -> "Sender":
        return Sender()

    def _open_receiver(self, protocol: int) -> "Receiver":
        return Receiver(protocol)

    def _interface(self) -> "Nic":
        import network

        return network.WLAN(network.STA_IF)

    def _ask_routers(self) -> None:
        self._sender.send(
            _UNSPECIFIED, _ALL_ROUTERS, packets.ICMPV6, _solicitation(), 255, _LINK_LOCAL
        )
