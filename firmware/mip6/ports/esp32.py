"""ESP32: one Wi-Fi uplink (see wifi.py); raw IPv6 through lwIP's own sockets (native/esp.py).

MicroPython's own firmware has no IPv6 on Wi-Fi: there a node has IPv4 and packets inside UDP. The
C module `ip6sta` of boards/modules brings IPv6 up, in the firmware of boards/ESP32_*.
docs/LIMITS.md says what ran where.

What survives deep sleep is for the application to pass on: see retained.py.
"""

import time

from .. import addresses, packets
from ..clock import now
from ..compat import const
from .wifi import WifiPort

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from network import WLAN

    from ..protocols import Ip6Sta, Nic, Receiver, Sender

# WLAN.status() as Station knows it, which is the Pico W's
_UP = const(3)
_JOINING = const(1)
_FAILED = const(-1)

# IP6_ADDR_* of lwIP
_TENTATIVE = const(0x08)
_DUPLICATED = const(0x40)

_DHCP_MS = const(30000)  # asked for so long, then
_DHCP_REST_MS = const(600000)  # not
_UNASSIGNED = "0.0.0.0"

_AGE_S = const(60)

_TURNS = const(4)  # what changes more often is seen by the next look

_LEFT_MS = const(300)  # how long to wait for the word that the association has ended
_STEP_MS = const(10)


# WLAN.status() as network.STAT_* of the ESP32 has it
_CONNECTING = const(1001)

_FED_MS = const(8388)  # see maintenance/watchdog.py
_UNFED_MS = const(60000)  # a name that nobody knows takes less


def _ip6sta() -> "Ip6Sta | None":
    try:
        import ip6sta
    except ImportError:
        return None
    return ip6sta


class Interface:
    """The Wi-Fi station, as far as Station looks at the Pico W's WLAN. `wlan`: network.WLAN.

    ESP-IDF drops addresses, routers and neighbours when an association ends. Whether there is one
    tells ip6sta: WLAN.status() waits for IPv4 and shows the failure before last. An address that
    lwIP has just formed is used at once, as on the Pico W: see cyw43.py and ip6sta.take().
    """

    def __init__(self, wlan: "WLAN", ip6sta: "Ip6Sta") -> None:
        self._wlan = wlan
        self._ip6sta = ip6sta
        self._losses = 0
        self._trying = False
        self._marked: str | None = None  # see ipconfig
        self._ipv4 = self._asking = True  # as ESP-IDF begins
        self._turn_at = 0
        self._states = b""  # of the addresses, as last seen
        self.duplicated = False  # whether a neighbour has one of ours

    def active(self, on: bool) -> None:
        """Switch on or off."""
        self._wlan.active(on)
        if on:
            self._wlan.config(reconnects=0)  # which network is tried next is Station's choice
            self._ip6sta.start()
        else:
            self._wait_until_left()
        self._trying = False

    def renew(self, quick: bool) -> None:
        """Off and on again. Not joined then."""
        self.active(False)
        self.active(True)
        self._states = b""

    def scan(self) -> "list[tuple[Any, ...]]":
        """What is in reach, as network.WLAN tells it."""
        return self._wlan.scan()

    def connect(
        self, ssid: str, password: str | None, at: "tuple[bytes, int] | None" = None
    ) -> None:
        """Begin to join. `at`: by this access point alone, its address and channel."""
        if self._trying:  # the driver takes no second order while it carries out the first
            self.disconnect()
        self._losses = self._ip6sta.link()[1]
        self._trying = True
        self._turn_ipv4(self._ipv4)
        if at is None:
            self._wlan.connect(ssid, password)  # the driver scans all channels, for seconds
        else:
            self._ip6sta.join(ssid, password or "", at[0], at[1])

    def access_point(self) -> "tuple[bytes, int] | None":
        """The access point by which it has joined: its address and channel."""
        return self._ip6sta.access_point()

    def use_ipv4(self, of_use: bool) -> None:
        """Whether DHCP is to be asked for an IPv4 address."""
        if of_use != self._ipv4:
            self._ipv4 = of_use
            self._turn_ipv4(of_use)

    def _turn_ipv4(self, on: bool) -> None:
        self._asking = on
        self._turn_at = now() + (_DHCP_MS if on else _DHCP_REST_MS)
        self._ip6sta.dhcp(on)

    def _tend_ipv4(self) -> None:
        """ESP-IDF asks each five seconds for ever, where nobody answers, too."""
        if self._ipv4 and now() >= self._turn_at:
            has = self._wlan.ipconfig("addr4")[0] != _UNASSIGNED
            self._turn_ipv4(has or not self._asking)

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

    def eager(self, on: bool) -> None:
        """Nothing: how ESP-IDF saves power is the firmware's setting."""

    def solicit(self) -> None:
        """Ask the routers for an advertisement. Raises OSError."""
        self._ip6sta.solicit()

    def hurry(self) -> bool:
        """Use at once what lwIP has formed; whether the table of addresses changed since."""
        self._tend_ipv4()
        changed = False
        for _ in range(_TURNS):  # another may come while one is taken
            table = self._ip6sta.addresses()
            states = bytes([entry[1] for entry in table])
            if states == self._states:
                break
            changed = True
            for octets, state, _, _ in table:
                if state & _TENTATIVE:
                    self._ip6sta.take(octets)
            self._states = states
        if changed:
            self.duplicated = _DUPLICATED in self._states
        return changed

    def prove(self) -> None:
        """Nothing: ip6sta.take() has asked the neighbours."""

    def heard(self) -> bool:
        """Not told: an address says so."""
        return False

    def doubt(self) -> bool:
        """Take a minute from each address's lifetime: a router that advertises it gives that
        back, and is seen to. Whether that can be."""
        self._ip6sta.age(_AGE_S)
        return True

    def ipconfig(self, key: str | None = None, **set_to: "Any") -> "Any":
        """`"addr6"`: the addresses, link-local ones left out: (text, state, preferred, valid).

        With `addr6=` an address is marked, as static ones are on the Pico W; with `addr6=None` it
        goes. `autoconf6=True` has addresses formed.
        """
        if key == "addr4":
            return self._wlan.ipconfig(key)
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


class StockInterface:
    """The Wi-Fi station of MicroPython's own firmware: IPv4 alone. `wlan`: network.WLAN.

    It counts as joined once DHCP gave an address: nothing tells of the association before that.
    WLAN.status() goes on telling how the attempt before ended, until one succeeds.
    """

    duplicated = False
    slow_ms = 3000  # DHCP's part of a join

    def __init__(self, wlan: "WLAN") -> None:
        self._wlan = wlan
        self._stale = _CONNECTING

    def active(self, on: bool) -> None:
        """Switch on or off."""
        self._wlan.active(on)
        if on:
            self._wlan.config(reconnects=0)

    def renew(self, quick: bool) -> None:
        """Off and on again."""
        self.active(False)
        self.active(True)

    def scan(self) -> "list[tuple[Any, ...]]":
        """What is in reach, as network.WLAN tells it."""
        return self._wlan.scan()

    def connect(
        self, ssid: str, password: str | None, at: "tuple[bytes, int] | None" = None
    ) -> None:
        """Begin to join. `at`: by this access point alone, its address and channel."""
        if self._wlan.isconnected() or self._wlan.status() == _CONNECTING:
            self.disconnect()  # the driver takes no second order while it carries out the first
        self._stale = self._wlan.status()
        if at is None:
            self._wlan.connect(ssid, password)
        else:
            self._wlan.connect(ssid, password, bssid=at[0])

    def disconnect(self) -> None:
        """Leave; returns when that has ended."""
        self._wlan.disconnect()
        for _ in range(_LEFT_MS // _STEP_MS):
            if not self._wlan.isconnected() and self._wlan.status() != _CONNECTING:
                return
            time.sleep_ms(_STEP_MS)  # type: ignore[attr-defined]  # MicroPython's own

    def access_point(self) -> None:
        """Nothing: MicroPython doesn't say by which access point it has joined."""

    def status(self, what: str | None = None) -> int:
        """Joined, joining or failed, in the Pico W's numbers; or what the chip says of `what`."""
        if what is not None:
            return self._wlan.status(what)
        if self._wlan.isconnected():
            return _UP
        return _JOINING if self._wlan.status() in (_CONNECTING, self._stale) else _FAILED

    def ipconfig(self, key: str | None = None, **set_to: "Any") -> "Any":
        """`"addr4"`: (address, netmask); `"addr6"`: none."""
        return self._wlan.ipconfig(key) if key == "addr4" else []

    def hurry(self) -> bool:
        """No: there is no IPv6 here, nor any of what follows."""
        return False

    heard = doubt = hurry

    def solicit(self) -> None:
        """Nothing."""

    prove = solicit

    def eager(self, on: bool) -> None:
        """Nothing: see Interface."""


class Port(WifiPort):
    """The ESP32's port."""

    protocols = (packets.ROUTING, packets.MOBILITY, packets.ICMPV6)
    udp6 = False  # MicroPython's sendto() there takes IPv4 alone

    def use(self, native: bool, ipv4: bool, home: bytes | None) -> None:
        """As a WifiPort's; and where IPv4 is of no use, nobody asks DHCP."""
        super().use(native, ipv4, home)
        if self._ip6sta is not None:
            self._station.nic.use_ipv4(ipv4)  # type: ignore[attr-defined]  # an Interface

    def _open_sender(self) -> "Sender":
        if self._ip6sta is None:
            raise OSError("no IPv6 on this firmware's Wi-Fi: flash roamkey's (boards/)")
        from ..native.esp import Sender

        return Sender()

    def _open_receiver(self, protocol: int) -> "Receiver":
        from ..native.esp import Receiver

        return Receiver(protocol)

    def _interface(self) -> "Nic":
        import network

        self._ip6sta = _ip6sta()
        wlan = network.WLAN(network.STA_IF)
        return StockInterface(wlan) if self._ip6sta is None else Interface(wlan, self._ip6sta)

    def _unfed(self, feed: "Callable[[], object]", begins: bool) -> None:
        import machine

        machine.WDT(timeout=_UNFED_MS if begins else _FED_MS).feed()
