"""A Wi-Fi station over lwIP: joins the best network in reach and knows its newest address.

What lwIP does, and what is done about it here:
- it keeps addresses, routers and neighbours when the link goes. Before another network is joined
  the interface is made anew; a network that comes back finds its addresses, usable at once;
- it solicits routers only each fourth second: `solicit` is called as soon as the link is up;
- it has room for two global addresses and forms no third. One that gave way to a newer one and
  that its router renews no more is dropped;
- WLAN.isconnected() waits for IPv4: the link is told by status().
"""

import asyncio

from ..addresses import parse
from ..clock import now
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..maintenance.networklist import WifiNetwork
    from ..protocols import Nic

# WLAN.status(): CYW43_LINK_* of the driver
_JOINING = const(1)
_UP = (2, 3)  # without and with an IPv4 address

_PREFERRED = const(0x30)  # IP6_ADDR_PREFERRED: neither tentative nor deprecated

_LOOK_MS = const(100)
_JOIN_MS = const(15000)
_PAUSE_MS = const(2000)  # after a round over all networks; doubled up to
_PAUSE_MAX_MS = const(32000)
_RETIRE_MS = const(5000)  # how long a new address has its forerunner beside it
_TOGETHER_MS = const(3000)  # what one Router Advertisement told is seen within: DAD, our looks


class _Address:
    def __init__(self, text: str, state: int, valid: int, at: int) -> None:
        self.text = text
        self.octets = parse(text)
        self.state = state
        self.valid = valid  # seconds
        self.since = self.renewed = at


class Station:
    """`nic`: network.WLAN(STA_IF). `solicit()`: the link has come up, ask for routers.
    `changed()`: `network` or `address` may be others now. `fault(error)`: an OSError of `nic`.

    `network`: the one joined, or None. `address`: the newest usable one, 16 octets, or None.
    """

    def __init__(
        self,
        nic: "Nic",
        solicit: "Callable[[], None]",
        changed: "Callable[[], None]",
        fault: "Callable[[OSError], None]",
    ) -> None:
        self._nic = nic
        self._solicit = solicit
        self._changed = changed
        self._fault = fault
        self._known: list[WifiNetwork] = []
        self._news = False  # `_known` was replaced
        self._last: str | None = None  # the name of the network whose traces lwIP holds
        self._listed: Any = None
        self._addresses: list[_Address] = []  # oldest first
        self._retire_at: int | None = None
        self.network: "WifiNetwork | None" = None
        self.address: bytes | None = None

    def use(self, known: "list[WifiNetwork]") -> None:
        """Join these networks from now on (best first); another one is left."""
        self._known = known
        self._news = True

    def renew(self) -> None:
        """Leave and join again with nothing remembered: the way in use leads nowhere."""
        self._last = None
        self.network = None

    def signal(self) -> int | None:
        """The signal's strength in dBm, None where the chip doesn't say."""
        try:
            return self._nic.status("rssi")
        except (OSError, TypeError, ValueError):
            return None

    async def run(self) -> None:
        """Join and stay, for ever."""
        self.network = self.address = None  # after a failure all is told anew
        while True:
            network = await self._join()
            self.network = network
            self._listed = None
            self._solicit()
            await self._stay(network)
            self.network = self.address = None
            self._changed()

    # Joining

    async def _join(self) -> "WifiNetwork":
        pause = _PAUSE_MS
        while True:
            self._news = False
            for network in self._candidates():
                if await self._try(network):
                    return network
            waited = 0
            while waited < pause and not self._news:
                await asyncio.sleep(_LOOK_MS / 1000)
                waited += _LOOK_MS
            pause = min(2 * pause, _PAUSE_MAX_MS)

    def _candidates(self) -> "list[WifiNetwork]":
        """What to try, in order. A scan blocks for a second or two: only where it can tell."""
        if len(self._known) < 2:
            return self._known
        try:
            self._nic.active(True)
            return _in_order(self._known, self._nic.scan())
        except OSError as error:
            self._fault(error)
            return self._known

    async def _try(self, network: "WifiNetwork") -> bool:
        nic = self._nic
        try:
            if network.ssid != self._last:
                self._forget()
            nic.connect(network.ssid, network.password)
        except OSError as error:
            self._fault(error)
            return False
        self._last = network.ssid
        until = now() + _JOIN_MS
        while now() < until:
            status = nic.status()
            if status in _UP:
                return True
            if status != _JOINING:  # refused, or not there
                return False
            await asyncio.sleep(_LOOK_MS / 1000)
        return False

    def _forget(self) -> None:
        """Make the interface anew: without addresses, routers and neighbours of elsewhere."""
        self._nic.active(False)
        self._nic.active(True)
        self._nic.ipconfig(autoconf6=True)
        self._addresses = []
        self._retire_at = None

    # Staying

    async def _stay(self, network: "WifiNetwork") -> None:
        while self.network is network and network in self._known:
            if self._nic.status() not in _UP:
                return
            self._look(now())
            await asyncio.sleep(_LOOK_MS / 1000)
        self._nic.disconnect()

    def _look(self, at: int) -> None:
        """See which addresses there are and which of them is the newest usable one."""
        listed = self._nic.ipconfig("addr6")
        if listed != self._listed:
            self._listed = listed
            self._take(listed, at)
            usable = [entry for entry in self._addresses if entry.state == _PREFERRED]
            address = usable[-1].octets if usable else None
            if address != self.address:
                self.address = address
                self._changed()
        if self._retire_at is not None and at >= self._retire_at:
            self._retire_at = None
            self._retire()

    def _take(self, listed: "Any", at: int) -> None:
        """`listed`: tuples of text, state, preferred and valid lifetime (s); link-local first."""
        present = {entry[0]: entry for entry in listed if not entry[0].startswith("FE80:")}
        self._addresses = [entry for entry in self._addresses if entry.text in present]
        for entry in self._addresses:
            _, entry.state, _, valid = present.pop(entry.text)
            if valid > entry.valid:
                entry.renewed = at
            entry.valid = valid
        for text, (_, state, _, valid) in present.items():
            if self._addresses:
                self._retire_at = at + _RETIRE_MS
            self._addresses.append(_Address(text, state, valid, at))

    def _retire(self) -> None:
        """Drop the newest address's forerunners if no router renews them.

        Made static, the newest one outlives the end of autoconfiguration, which takes the others;
        one made static before gives way to it.
        """
        newest = self._addresses[-1]
        for entry in self._addresses[:-1]:
            if newest.since - entry.renewed > _TOGETHER_MS:
                self._nic.ipconfig(addr6=newest.text)
                self._nic.ipconfig(autoconf6=False)
                self._nic.ipconfig(autoconf6=True)
                self._solicit()
                return


def _in_order(known: "list[WifiNetwork]", scanned: "list[tuple[Any, ...]]") -> "list[WifiNetwork]":
    """The known networks to try: those in reach by priority, then signal; then the others,

    which may be hidden. `scanned`: what WLAN.scan() gives, tuples with the name first and the
    signal strength (dBm) at index 3.
    """
    strength: dict[bytes, int] = {}
    for entry in scanned:
        name = bytes(entry[0])
        if entry[3] > strength.get(name, -1000):
            strength[name] = entry[3]

    def rank(network: "WifiNetwork") -> tuple[bool, int, int]:
        signal = strength.get(network.ssid.encode())
        return signal is None, network.priority, -(signal or 0)

    return sorted(known, key=rank)
