"""The Pico W's Wi-Fi station as station.py wants it: network.WLAN, and lwIP's netif beside it.

lwIP waits one to two seconds before an address may be used, and WLAN doesn't tell of it before. So
the table of addresses is read where lwIP has it: in its `struct netif`, which the driver's state
holds, at a fixed place (MicroPython 1.28, 32 bits). What is formed there is used at once
(optimistic duplicate address detection, RFC 4429): WLAN.ipconfig() makes it preferred, its
lifetimes are put back, and the neighbours are asked. Where one of them has it lwIP hears so, and
takes it from the table.

Nothing is read or written there unless each field that the layout predicts has the value it must
have. On other firmware addresses take lwIP's time.
"""

from .. import addresses, packets
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from network import WLAN

    from ..protocols import Memory

# network_cyw43_obj_t of extmod/network_cyw43.c
_OBJECT_DRIVER = const(4)
_OBJECT_INTERFACE = const(8)

# cyw43_t of cyw43-driver: the netif in it, and from there (lwIP 2.2, IPv4 and IPv6, three
# addresses of 16 octets, a zone, and at 20 a type)
_NETIF = const(2276)
_ACTIVE = const(-132)  # bit 0: the station, bit 1: the access point
_ADDRESS = const(76)
_ADDRESS_OCTETS = const(24)
_ADDRESS_TYPE = const(20)
_STATE = const(148)  # an octet for each address
_VALID = const(152)  # seconds, a word for each
_PREFERRED = const(164)
_DRIVER = const(196)
_MTU = const(222)
_MAC = const(226)
_NAME = const(234)  # behind the MAC, its length and flags
_SOLICITATIONS = const(238)  # left to send: none once a router was heard
_IPV4_FILTER = const(240)  # functions that tell the chip of multicast groups
_IPV6_FILTER = const(244)
_SLOTS = const(3)  # the first is the link-local address's

_TENTATIVE = const(0x08)
_DUPLICATED = const(0x40)
_HELD = const(0x80)  # a bit of `_ACTIVE` that no interface has

_RAM = const(0x20000000)
_RAM_END = const(0x20080000)
_FLASH = const(0x10)
_FOR_EVER = const(0xFFFFFFFF)
_LONG = const(0x3FFFFFFF)
_NOTCH = const(60)  # seconds

# RFC 4861 sections 4.1, 4.3: hop limit 255
_ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x02"
_SOLICITED_NODE = b"\xff\x02" + bytes(9) + b"\x01\xff"
_UNSPECIFIED = bytes(16)
_ROUTER_SOLICITATION = const(133)
_NEIGHBOR_SOLICITATION = const(135)


def link_local(mac: bytes) -> bytes:
    """The address that lwIP forms of a MAC (RFC 4291 appendix A)."""
    head = bytes((mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE))
    return b"\xfe\x80" + bytes(6) + head + mac[3:6]


def find_netif(there: int, mac: bytes, mem8: "Memory", mem32: "Memory") -> int:
    """Where lwIP's netif of an active station is; 0 unless memory looks as it must.

    `there`: the address of the WLAN object. Its link-local address may be valid or not yet.
    """
    driver = mem32[there + _OBJECT_DRIVER]
    if not _RAM <= driver < _RAM_END - 4096 or driver & 3 or mem32[there + _OBJECT_INTERFACE]:
        return 0
    netif = driver + _NETIF
    tail = mac + b"\x06"
    expected = link_local(mac)
    if (
        mem8[netif + _ACTIVE] & ~_HELD == 1
        and mem32[netif + _DRIVER] == driver
        and all(mem8[netif + _ADDRESS + i] == expected[i] for i in range(16))
        and mem8[netif + _ADDRESS + _ADDRESS_TYPE] == 6
        and mem8[netif + _MTU] | mem8[netif + _MTU + 1] << 8 == 1500
        and all(mem8[netif + _MAC + i] == tail[i] for i in range(7))
        and mem8[netif + _NAME] == 119  # "w0"
        and mem8[netif + _NAME + 1] == 48
        and mem32[netif + _IPV4_FILTER] >> 24 == _FLASH
        and mem32[netif + _IPV6_FILTER] >> 24 == _FLASH
    ):
        return netif
    return 0


class Cyw43:
    """network.WLAN, and what it doesn't do. `wlan`: network.WLAN(STA_IF); `place`: gives an
    object's address."""

    def __init__(self, wlan: "WLAN", mem8: "Memory", mem32: "Memory", place: "Any" = id) -> None:
        self._wlan = wlan
        self._mem8 = mem8
        self._mem32 = mem32
        self._there = place(wlan)
        self._netif = 0
        self._states = 0  # as last seen
        self.mac = b""
        self._pm: int | None = None  # as it was before
        self._unproved: list[bytes] = []  # addresses in use that no neighbour was asked for
        self.duplicated = False  # whether a neighbour has one of ours
        self.scan = wlan.scan
        self.status = wlan.status
        self.disconnect = wlan.disconnect
        self.ipconfig = wlan.ipconfig

    def active(self, on: bool) -> None:
        """Switch on or off."""
        self._wlan.active(on)
        if on:
            self.mac = self._wlan.config("mac")
            self._netif = find_netif(self._there, self.mac, self._mem8, self._mem32)

    def renew(self, quick: bool) -> None:
        """Off and on again: without addresses, routers and neighbours of elsewhere. Not joined.

        `quick`: the chip goes on, and keeps its filter, which would be the same: so that takes
        milliseconds. Else it is set up anew, for half a second.
        """
        netif = self._netif
        if quick and netif:
            self._mem8[netif + _ACTIVE] |= _HELD
            self._mem32[netif + _IPV4_FILTER] = self._mem32[netif + _IPV6_FILTER] = 0
        self.active(False)
        self.active(True)
        if quick and netif:
            self._mem8[netif + _ACTIVE] &= ~_HELD
        self._states = 0
        self._unproved = []
        self.hurry()

    def connect(
        self, ssid: str, password: str | None, at: "tuple[bytes, int] | None" = None
    ) -> None:
        """Begin to join. `at`: by this access point alone, its address and channel; no scan."""
        if at is None:
            self._wlan.connect(ssid, password)
        else:
            self._wlan.connect(ssid, password, bssid=at[0], channel=at[1])

    def access_point(self) -> None:
        """Nothing: the driver doesn't say by which access point it has joined."""

    def eager(self, on: bool) -> None:
        """Have the radio listen all the time, or as it did before."""
        if on and self._pm is None:
            self._pm = self._wlan.config("pm")
            self._wlan.config(pm=self._wlan.PM_NONE)
        elif not on and self._pm is not None:
            self._wlan.config(pm=self._pm)
            self._pm = None

    def hurry(self) -> bool:
        """Use at once what lwIP has formed; whether the table of addresses changed since."""
        netif = self._netif
        if not netif:
            return False
        changed = False
        for _ in range(_SLOTS + 1):  # another may come while one is taken
            states = self._mem32[netif + _STATE] & 0xFFFFFF
            if states == self._states:
                break
            changed = True
            for slot in range(_SLOTS):
                if states >> 8 * slot & _TENTATIVE:
                    self._take(netif, slot)
            self._states = states
            self.duplicated = bool((states | states >> 8 | states >> 16) & _DUPLICATED)
        return changed

    def _take(self, netif: int, slot: int) -> None:
        at = netif + _ADDRESS + _ADDRESS_OCTETS * slot
        octets = bytes([self._mem8[at + i] for i in range(16)])
        lives = netif + 4 * slot
        valid, preferred = self._mem32[lives + _VALID], self._mem32[lives + _PREFERRED]
        self._wlan.ipconfig(addr6=addresses.text(octets))  # it is in the table: no new one
        self._mem32[lives + _VALID], self._mem32[lives + _PREFERRED] = valid, preferred
        self._unproved.append(octets)

    def prove(self) -> None:
        """Ask the neighbours for what `hurry` took (RFC 4862 section 5.4.2). Raises OSError."""
        while self._unproved:
            octets = self._unproved.pop()
            group = _SOLICITED_NODE + octets[13:]
            self.send_icmpv6(_UNSPECIFIED, group, _NEIGHBOR_SOLICITATION, octets, 0)

    def solicit(self) -> None:
        """Ask the routers for an advertisement, from our link-local address where it can be used:
        an answer to one alone isn't rationed (RFC 4861 section 6.2.6). Raises OSError."""
        own = self._netif and self._mem8[self._netif + _STATE] & 0x10
        source = link_local(self.mac) if own else _UNSPECIFIED
        self.send_icmpv6(source, _ALL_ROUTERS, _ROUTER_SOLICITATION, b"", 0)

    def send_icmpv6(
        self, source: bytes, destination: bytes, kind: int, rest: bytes, flags: int
    ) -> None:
        """Send a message of neighbour discovery to a group (RFC 4861 section 4). `flags`: its
        fifth octet; `rest`: what follows the eighth. Raises OSError."""
        body = bytearray(8) + rest
        body[0] = kind
        body[4] = flags
        body[2:4] = packets.checksum(source, destination, packets.ICMPV6, body).to_bytes(2, "big")
        header = packets.ipv6_header(source, destination, packets.ICMPV6, len(body), 255)
        head = b"\x33\x33" + destination[12:] + self.mac + b"\x86\xdd"
        self._wlan.send_ethernet(head + header + body)

    def heard(self) -> bool:
        """Whether a router has advertised since the link came up, seconds ago at most."""
        return bool(self._netif) and not self._mem8[self._netif + _SOLICITATIONS]

    def doubt(self) -> bool:
        """Take a minute from each address's lifetime: a router that advertises it gives that
        back, and is seen to. Whether that can be."""
        if not self._netif:
            return False
        for slot in range(1, _SLOTS):
            at = self._netif + _VALID + 4 * slot
            valid = self._mem32[at]
            if valid == _FOR_EVER:
                self._mem32[at] = _LONG
            elif valid > 2 * _NOTCH:
                self._mem32[at] = valid - _NOTCH
        return True
