"""A Wi-Fi station over lwIP: joins the best network in reach and knows its usable addresses.

What lwIP does, and what is done about it here:
- it keeps addresses, routers and neighbours when the link goes. Before another network is joined
  the interface is made anew; a network that comes back finds its addresses, usable at once;
- IPv4 is DHCP's business, which stands beside: one address, told as the IPv4-mapped one;
- it solicits routers only each fourth second: `solicit` is called as soon as the link is up;
- the Pico W's has room for two global addresses and forms no third. Where there are two, routers
  are asked twice now and then: one that none renewed, though the newest was, is dropped;
- WLAN.isconnected() waits for IPv4: the link is told by status().

A network that gives no usable address, or brings no answer, gives way to the next one in reach
and is preferred again later: after a minute, doubling to an hour. Where there is no other, it is
stayed with.
"""

import asyncio

from ..addresses import is_autoip, parse
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

# IP6_ADDR_* of lwIP
_VALID = const(0x10)  # this bit: duplicate address detection passed, maybe deprecated
_PREFERRED = const(0x30)
_LIFE_MAX = const(0x3FFFFFFF)  # seconds: MicroPython tells longer ones as negative

_NO_IPV4 = "0.0.0.0"

_LOOK_MS = const(100)
_JOIN_MS = const(15000)
_PAUSE_MS = const(2000)  # after a round over all networks; doubled up to
_PAUSE_MAX_MS = const(32000)
_ERRORS_MAX = const(20)  # of the interface, in a row, before it is made anew
_BARREN_MS = const(15000)  # without an address
_SILENCE_MS = const(8000)  # updates go unanswered: the fourth leaves ten seconds after the first
_AGAIN_MS = const(60000)  # between looks round from a network that is of no use
_SHUN_MAX_MS = const(3600000)
_ASK_MS = const(4000)  # routers answer within half a second, but each three seconds only
_RETIRE_MS = const(15000)  # between looks for what nobody renews; doubled up to
_RETIRE_MAX_MS = const(3600000)


class _Address:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.octets = parse(text)
        self.state = 0
        self.life = self.valid = 0  # seconds: preferred, valid
        self.renewed = at

    @property
    def preferred(self) -> bool:
        """Whether it isn't deprecated."""
        return self.state == _PREFERRED

    @property
    def valid_s(self) -> int | None:
        """For how long it is valid; None for ever."""
        return self.valid if 0 < self.valid < _LIFE_MAX else None


def _ipv4_address(text: str, at: int) -> _Address | None:
    """What DHCP gave; None for none, and for what the stack gave itself."""
    found = None if text == _NO_IPV4 else _Address(text, at)
    if found is None or is_autoip(found.octets):
        return None
    found.state = _PREFERRED
    return found


class Station:
    """`nic`: network.WLAN(STA_IF). `solicit()`: ask for routers, now. `changed()`: `network`, or
    what `usable()` tells, may have changed. `fault(error)`: an OSError of `nic`.

    `network`: the one joined, or None. `ipv4`: whether an IPv4 address is of any use.
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
        self._ipv4: _Address | None = None
        self.ipv4 = False
        self._retire_at: int | None = None
        self._retire_step = self._free_at = self._routers_asked_at = 0
        self._retire_hold = _RETIRE_MS
        self._shunned: dict[str, tuple[int, int]] = {}  # name -> (until when, how often)
        self._patience = 0  # until when this network may be of no use
        self._asked_at: int | None = None  # since when updates go unanswered
        self._anew = False  # joined anew since
        self.network: "WifiNetwork | None" = None

    def use(self, known: "list[WifiNetwork]") -> None:
        """Join these networks from now on (best first); another one is left."""
        self._known = known
        self._news = True
        self._shunned = {}

    def usable(self) -> "list[_Address]":
        """The addresses that can be used."""
        if self.network is None:
            return []
        found = [entry for entry in self._addresses if entry.state & _VALID]
        if self._ipv4 is not None and self.ipv4:
            found.append(self._ipv4)
        return found

    def asked(self) -> None:
        """An update has left."""
        if self._asked_at is None:
            self._asked_at = now()

    def answered(self) -> None:
        """Something came back."""
        if self._asked_at is not None:
            self._asked_at = None
            self._anew = False
            if self.network is not None:
                self._shunned.pop(self.network.ssid, None)

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
            try:
                network = await self._join()
                self.network = network
                self._listed = self._asked_at = None
                self._patience = now() + _BARREN_MS
                self._changed()
                self._solicit()
                await self._stay(network)
            except OSError as error:
                self._fault(error)
                self._last = None
                await asyncio.sleep(_PAUSE_MS / 1000)
            self.network = None
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
            return _in_order(self._known, self._nic.scan(), self._late(now()))
        except OSError as error:
            self._fault(error)
            return self._known

    def _late(self, at: int) -> dict[str, int]:
        """The names of networks that come last, and until when."""
        return {name: until for name, (until, _) in self._shunned.items() if until > at}

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
        self._ipv4 = None
        self._retire_at = None
        self._retire_step = self._free_at = 0
        self._retire_hold = _RETIRE_MS

    # Staying

    async def _stay(self, network: "WifiNetwork") -> None:
        errors = 0
        while self.network is network and network in self._known:
            at = now()
            try:
                if self._nic.status() not in _UP:
                    return
                self._look(at)
                errors = 0
            except OSError as error:
                self._fault(error)
                errors += 1
            if errors > _ERRORS_MAX:
                self._last = None
                return
            if self._useless(network, at):
                break
            await asyncio.sleep(_LOOK_MS / 1000)
        self._nic.disconnect()

    def _useless(self, network: "WifiNetwork", at: int) -> bool:
        """Whether to leave a network that gives no address, or brings no answer."""
        silent = self._asked_at is not None and at - self._asked_at > _SILENCE_MS
        if at < self._patience or (self.usable() and not silent):
            return False
        self._patience = at + _AGAIN_MS
        if silent and not self._anew:
            # lwIP may send to a router of elsewhere. It keeps one for half a minute and more
            # though the access point led us to another network, and can't be told to forget it.
            self._anew = True
        elif self._another(network, at) or (silent and network.ssid not in self._late(at)):
            times = self._shunned.get(network.ssid, (0, 0))[1]
            until = at + min(_AGAIN_MS << times, _SHUN_MAX_MS)
            self._shunned[network.ssid] = (until, min(times + 1, 6))
        else:
            self._solicit()
            return False
        self._last = None
        return True

    def _another(self, network: "WifiNetwork", at: int) -> bool:
        """Whether another network is in reach. A scan stops all else: nothing is lost here."""
        if len(self._known) < 2:
            return False
        try:
            names = [bytes(entry[0]) for entry in self._nic.scan()]
        except OSError as error:
            self._fault(error)
            return False
        late = self._late(at)
        return any(
            one is not network and one.ssid not in late and one.ssid.encode() in names
            for one in self._known
        )

    def _look(self, at: int) -> None:
        """See which addresses there are, and whether nobody renews one any more."""
        ipv4 = self._nic.ipconfig("addr4")[0]
        if ipv4 != (self._ipv4.text if self._ipv4 else _NO_IPV4):
            self._ipv4 = _ipv4_address(ipv4, at)
            self._changed()
        listed = self._nic.ipconfig("addr6")
        if listed != self._listed:
            self._listed = listed
            self._take(listed, at)
            self._changed()
        if self._retire_at is not None and at >= self._retire_at:
            self._retire(at)

    def _take(self, listed: "Any", at: int) -> None:
        """`listed`: tuples of text, state, preferred and valid lifetime (s); link-local first."""
        had = self.usable()
        present = {entry[0]: entry for entry in listed if not entry[0].startswith("FE80:")}
        self._addresses = [entry for entry in self._addresses if entry.text in present]
        for text in present:
            if not any(entry.text == text for entry in self._addresses):
                if self._addresses and not self._retire_step:
                    self._retire_at = max(at + _ASK_MS, self._free_at)
                self._addresses.append(_Address(text, at))
        for entry in self._addresses:
            _, entry.state, life, valid = present[entry.text]
            if life > entry.life or valid > entry.valid:
                entry.renewed = at
            entry.life, entry.valid = life, valid
        if had and not self.usable():
            self._patience = max(self._patience, at + _BARREN_MS)

    def _retire(self, at: int) -> None:
        """Ask the routers twice, then drop the first address that none renewed meanwhile, if one
        did renew the newest: it takes the room of those to come."""
        if len(self._addresses) < 2:
            self._retire_at = None
            self._retire_step = 0
        elif self._retire_step < 2:
            if not self._retire_step:
                self._routers_asked_at = at
            self._retire_step += 1
            self._retire_at = at + _ASK_MS
            self._solicit()
        else:
            self._retire_step = 0
            self._retire_at = self._free_at = at + self._retire_hold
            self._retire_hold = min(2 * self._retire_hold, _RETIRE_MAX_MS)
            since = self._routers_asked_at
            if self._addresses[-1].renewed >= since:
                for entry in self._addresses:
                    if entry.renewed < since:
                        # made static, it goes when there are to be no static ones
                        self._nic.ipconfig(addr6=entry.text)
                        self._nic.ipconfig(addr6=None)
                        return


def _in_order(
    known: "list[WifiNetwork]", scanned: "list[tuple[Any, ...]]", late: "dict[str, int]"
) -> "list[WifiNetwork]":
    """The known networks to try: those in reach by priority, then signal; then the others,

    which may be hidden; the `late` ones (name -> until when) at the end. `scanned`: what
    WLAN.scan() gives, tuples with the name first and the signal strength (dBm) at index 3.
    """
    strength: dict[bytes, int] = {}
    for entry in scanned:
        name = bytes(entry[0])
        if entry[3] > strength.get(name, -1000):
            strength[name] = entry[3]

    def rank(network: "WifiNetwork") -> tuple[int, bool, int, int]:
        signal = strength.get(network.ssid.encode())
        return late.get(network.ssid, 0), signal is None, network.priority, -(signal or 0)

    return sorted(known, key=rank)
