"""A Wi-Fi station over lwIP: joins the best network in reach and knows its usable addresses.

What lwIP does, and what is done about it here:
- an address waits a second or two for duplicate address detection. It is used at once, and the
  neighbours are asked meanwhile, where `nic` can do that;
- it solicits routers only each fourth second: they are asked as soon as the link is up, and again
  until one was heard;
- it keeps addresses, routers and neighbours when the link goes. Before another network is joined
  the interface is made anew; a network that comes back finds its addresses, usable at once. It
  may be another network of that name: where a new address comes and no router renews those
  before, the interface is made anew, too, and once where updates bring no answer;
- IPv4 is DHCP's business, which stands beside: one address, told as the IPv4-mapped one;
- the Pico W's has room for two global addresses and forms no third. Where there are two, routers
  are asked twice now and then: one that none renewed, though the newest was, is dropped;
- WLAN.isconnected() waits for IPv4: the link is told by status().

Where a link is lost, the networks whose access points are known are tried at once, best first,
the lost one after those as good; each by its access point. A scan, which stops all else for
seconds, comes after them. Whoever joins without having looked round does so a little later, where
there are better networks.

A network that gives no usable address, or brings no answer, gives way to the next one in reach
and is preferred again later: after a minute, doubling to an hour. Where there is no other, it is
stayed with.
"""

import asyncio
import errno

from ..addresses import is_autoip, parse
from ..clock import now
from ..compat import const
from .news import Ration

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..homelink.wlan import WlanHome
    from ..maintenance.networklist import WifiNetwork
    from ..protocols import Nic

# WLAN.status(): CYW43_LINK_* of the driver
_JOINING = const(1)
_UP = (2, 3)  # without and with an IPv4 address

# IP6_ADDR_* of lwIP
_VALID = const(0x10)  # this bit: duplicate address detection passed, maybe deprecated
_PREFERRED = const(0x30)
_LIFE_MAX = const(0x3FFFFFFF)  # seconds
_FOR_EVER = const(0xFFFFFFFF)

_NO_IPV4 = "0.0.0.0"

_LOOK_MS = const(100)
_LOOK_SOON_MS = const(20)  # while joining, and for a while after
_SOON_MS = const(5000)
_ASK_SOON_MS = const(500)  # from one solicitation to the next, doubled
_SOLICITATIONS = const(3)  # RFC 4861 section 10; lwIP's own follow
_HEARD_MS = const(7900)  # lwIP's third has not left before: none left to send tells of a router
_JOIN_MS = const(15000)
_JOIN_AT_MS = const(4000)  # by one access point, before any of the name will do
_JOIN_AGAIN_MS = const(800)  # by one that was there some time ago, at least
_AGAIN = const(3)  # of those
_ROUND_MS = const(5000)  # from a join to the look round
_PAUSE_MS = const(2000)  # after an error
_PAUSE_SOON_MS = const(250)  # after a round over all networks; doubled up to
_PAUSE_MAX_MS = const(32000)
_ERRORS_MAX = const(20)  # of the interface, in a row, before it is made anew
_BARREN_MS = const(15000)  # without an address
_SILENT_MS = const(2500)  # updates go unanswered: the interface is made anew, once
_SILENCE_MS = const(8000)  # the network is of no use
_DOUBT_MS = const(600)  # routers answer within half a second
_FIRST_MS = const(1000)  # so those that come after this came later
_AGAIN_MS = const(60000)  # between looks round from a network that is of no use
_SHUN_MAX_MS = const(3600000)
_REJOINS = const(64)  # at once, because of new addresses; then one in
_REJOIN_MS = const(10000)
_ASK_MS = const(4000)
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
    """`nic`: network.WLAN(STA_IF), as protocols.Nic has it; `scan()`: its scan. `changed()`:
    `network`, `heard`, or what `usable()` tells, may have changed. `fault(error)`: an OSError of
    `nic`; EADDRINUSE for an address that a neighbour has.

    `network`: the one joined, or None. `heard`: whether a router was heard since. `ipv4`: whether
    an IPv4 address is of any use. `home`: the home address, where there is a home agent.
    """

    def __init__(
        self,
        nic: "Nic",
        changed: "Callable[[], None]",
        fault: "Callable[[OSError], None]",
        scan: "Callable[[], list[tuple[Any, ...]]]",
    ) -> None:
        self.nic = nic
        self._scan = scan
        self._changed = changed
        self._fault = fault
        self._known: list[WifiNetwork] = []
        self._news = False  # `_known` was replaced
        self._last: str | None = None  # the name of the network whose traces lwIP holds
        self._broken = False  # the interface failed, or was never up
        self._again: "WifiNetwork | None" = None  # to be joined next, whatever else is in reach
        # name -> (access point, channel, ms that joining took last, whether the last scan saw it)
        # of known networks
        self._reach: dict[bytes, tuple[Any, ...]] = {}
        self._lost: "WifiNetwork | None" = None  # whose link went, by itself
        self._round_at: int | None = None  # when to look round for a better network
        self._listed: Any = None
        self._addresses: list[_Address] = []  # oldest first
        self._ipv4: _Address | None = None
        self.ipv4 = False
        self.home: "WlanHome | None" = None
        self._newcomer: _Address | None = None  # not to be used until the others were asked for
        self._rejoins = Ration(_REJOINS, _REJOIN_MS)
        self._doubt_until: int | None = None
        self._kept = False
        self._settle_at = self._ask_at = self._asks = self._list_at = self._up_at = 0
        self._retire_at: int | None = None
        self._retire_step = self._free_at = self._routers_asked_at = 0
        self._retire_hold = _RETIRE_MS
        self._shunned: dict[str, tuple[int, int]] = {}  # name -> (until when, how often)
        self._patience = 0  # until when this network may be of no use
        self._asked_at: int | None = None  # since when updates go unanswered
        self._anew = False  # joined anew since
        self.network: "WifiNetwork | None" = None
        self.heard = False

    def use(self, known: "list[WifiNetwork]") -> None:
        """Join these networks from now on (best first); another one is left."""
        self._known = known
        self._news = True
        self._shunned = {}

    def use_ipv4(self, of_use: bool) -> None:
        """Whether an IPv4 address is of any use from now on."""
        self.ipv4 = of_use
        self._listed = None  # what is there is told again

    def usable(self) -> "list[_Address]":
        """The addresses that can be used."""
        if self.network is None:
            return []
        found = [
            entry
            for entry in self._addresses
            if entry.state & _VALID and entry is not self._newcomer
        ]
        if self._ipv4 is not None and self.ipv4:
            found.append(self._ipv4)
        if self.home is not None and self.home.there:
            found.insert(0, self.home)  # type: ignore[arg-type]  # of the same shape
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
            return self.nic.status("rssi")
        except (OSError, TypeError, ValueError):
            return None

    def solicit(self) -> None:
        """Ask for a Router Advertisement now: lwIP itself may take four seconds to."""
        try:
            self.nic.solicit()
        except OSError as error:
            if self.linked():
                self._fault(error)

    def linked(self) -> bool:
        """Whether the link is up at this moment: what fails without is no fault."""
        return self.network is not None and self.nic.status() in _UP

    async def run(self) -> None:
        """Join and stay, for ever."""
        self.network = None  # after a failure all is told anew
        while True:
            try:
                network = await self._join()
                self._arrive(network, now())
                await self._stay(network)
            except OSError as error:
                self._fault(error)
                self._broken = True
                await asyncio.sleep(_PAUSE_MS / 1000)
            self.network = None
            self.heard = False
            self._changed()

    def _arrive(self, network: "WifiNetwork", at: int) -> None:
        """The link is up."""
        self.network = network
        self.heard = False
        self._listed = self._asked_at = self._newcomer = None
        self._patience = at + _BARREN_MS
        took = at - self._up_at
        self._up_at = self._list_at = at
        self._settle_at = at + _SOON_MS
        self._kept = bool(self._addresses)  # of this network, or of another one of that name
        if self._kept:
            self.nic.doubt()
        self._changed()
        self._asks = 1
        self._ask_at = at + _ASK_SOON_MS
        self.solicit()
        name = network.ssid.encode()
        here, known = self.nic.access_point(), self._reach.get(name)
        if here is not None:
            self._reach[name] = here[0], here[1], took, True
        elif known is not None:
            self._reach[name] = known[0], known[1], took, known[3]

    # Joining

    async def _join(self) -> "WifiNetwork":
        pause = _PAUSE_SOON_MS
        lost, self._lost = self._lost, None
        if lost is not None:
            late = self._late(now())
            # of those that are as good the one that is lost comes last
            tries = _AGAIN
            for network in sorted(self._known, key=lambda one: (one.priority, one is lost)):
                at = None if network.ssid in late else self._reach.get(network.ssid.encode())
                if at is not None and tries:
                    tries -= 1
                    if await self._try_at(network, at, self._patience_at(at)):
                        self._round_at = now() + _ROUND_MS
                        return network
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
        again, self._again = self._again, None
        if again is not None and again in self._known:
            return [again]
        if len(self._known) < 2:
            return self._known
        try:
            self.nic.active(True)
            scanned = self._scan()
            self._note(scanned)
            return _in_order(self._known, scanned, self._late(now()))
        except OSError as error:
            self._fault(error)
            return self._known

    def _late(self, at: int) -> dict[str, int]:
        """The names of networks that come last, and until when."""
        return {name: until for name, (until, _) in self._shunned.items() if until > at}

    async def _try(self, network: "WifiNetwork") -> bool:
        """Join: by the access point that a scan found, if that works, else as the chip likes."""
        at = self._reach.get(network.ssid.encode())
        if at is not None and not at[3]:
            at = None
        self._round_at = None if at is not None else now() + _ROUND_MS
        if at is not None and await self._try_at(network, at, _JOIN_AT_MS):
            return True
        return await self._try_at(network, None, _JOIN_MS)

    def _patience_at(self, at: "tuple[Any, ...]") -> int:
        """How long to try an access point that was there some time ago: as it took before and as
        long again, by the others' measure where it is a new one."""
        took: int = at[2] or max([one[2] for one in self._reach.values()])
        return min(max(2 * took, _JOIN_AGAIN_MS), _JOIN_AT_MS)

    async def _try_at(
        self, network: "WifiNetwork", at: "tuple[bytes, int] | None", patience: int
    ) -> bool:
        nic = self.nic
        try:
            if self._broken or network.ssid != self._last:
                self._forget()
            nic.eager(True)
            nic.connect(network.ssid, network.password, at)
        except OSError as error:
            self._fault(error)
            self._broken = True
            return False
        self._last = network.ssid
        self._up_at = now()  # not yet: what joining takes is told from here
        until = self._up_at + patience + getattr(nic, "slow_ms", 0)
        while now() < until:
            status = nic.status()
            if status in _UP:
                return True
            if status != _JOINING:  # refused, or not there
                return False
            await asyncio.sleep(_LOOK_SOON_MS / 1000)
        try:
            nic.disconnect()  # nothing else can be done while it tries
        except OSError as error:
            self._fault(error)
        return False

    def _forget(self) -> None:
        """Make the interface anew: without addresses, routers and neighbours of elsewhere."""
        self.nic.renew(not self._broken)
        self._broken = False
        self._addresses = []
        self._ipv4 = None
        if self.home is not None:
            self.home.there = False
        self._retire_at = None
        self._retire_step = self._free_at = 0
        self._retire_hold = _RETIRE_MS

    # Staying

    async def _stay(self, network: "WifiNetwork") -> None:
        errors = 0
        while self.network is network and network in self._known:
            at = now()
            try:
                if self.nic.status() not in _UP:
                    self._lost = network
                    return
                self._look(at)
                errors = 0
            except OSError as error:
                self._fault(error)
                errors += 1
            if errors > _ERRORS_MAX:
                self._broken = True
                return
            if (
                self._elsewhere(network, at)
                or self._useless(network, at)
                or self._sees_better(network, at)
            ):
                break
            soon = at < self._settle_at or self._newcomer is not None
            await asyncio.sleep((_LOOK_SOON_MS if soon else _LOOK_MS) / 1000)
        self.nic.disconnect()

    def _elsewhere(self, network: "WifiNetwork", at: int) -> bool:
        """Whether to join anew, since lwIP holds what belongs to another network of that name: it
        would go on sending to a router that isn't there, for half a minute and more."""
        if self._newcomer is not None and at >= (self._doubt_until or at):
            self._newcomer = None
            if len(self._addresses) > 1 and self._rejoins.take(at):
                self._last, self._again = None, network
                return True
            self._changed()
        silent = self._asked_at is not None and at - self._asked_at > _SILENT_MS
        if silent and not self._anew:
            self._anew = True
            self._last, self._again = None, network
            return True
        return False

    def _useless(self, network: "WifiNetwork", at: int) -> bool:
        """Whether to leave a network that gives no address, or brings no answer."""
        silent = self._asked_at is not None and at - self._asked_at > _SILENCE_MS
        if at < self._patience or (self.usable() and not silent):
            return False
        self._patience = at + _AGAIN_MS
        if self._another(network, at) or (silent and network.ssid not in self._late(at)):
            times = self._shunned.get(network.ssid, (0, 0))[1]
            until = at + min(_AGAIN_MS << times, _SHUN_MAX_MS)
            self._shunned[network.ssid] = (until, min(times + 1, 6))
        else:
            self.solicit()
            return False
        self._last = None
        return True

    def _another(self, network: "WifiNetwork", at: int) -> bool:
        """Whether another network is in reach. A scan stops all else: nothing is lost here."""
        return self._seen([one for one in self._known if one is not network], at) is not None

    def _sees_better(self, network: "WifiNetwork", at: int) -> bool:
        """Whether a better network than this one is in reach, which nobody looked for yet. It is
        joined then."""
        if self._round_at is None or at < self._round_at or self._asked_at is not None:
            return False
        self._round_at = None
        self._again = self._seen(
            [one for one in self._known if one.priority < network.priority], at
        )
        if self._again is not None:
            self._last = None
        return self._again is not None

    def _seen(self, wanted: "list[WifiNetwork]", at: int) -> "WifiNetwork | None":
        """Of these networks the first that is in reach, and worth being joined."""
        late = self._late(at)
        wanted = [one for one in wanted if one.ssid not in late]
        if not wanted:
            return None
        try:
            scanned = self._scan()
        except OSError as error:
            self._fault(error)
            return None
        names = [bytes(entry[0]) for entry in scanned]
        self._note(scanned)
        for one in wanted:
            if one.ssid.encode() in names:
                return one
        return None

    def _note(self, scanned: "list[tuple[Any, ...]]") -> None:
        """Remember of each known network in reach the access point with the strongest signal."""
        self._forget_now()
        for network in self._known:
            name, signal = network.ssid.encode(), -1000
            for entry in scanned:
                if bytes(entry[0]) == name and entry[3] > signal and len(entry[1]) == 6:
                    signal = entry[3]
                    took = self._reach[name][2] if name in self._reach else 0
                    self._reach[name] = bytes(entry[1]), entry[2], took, True

    def _forget_now(self) -> None:
        """What was in reach needn't be any more."""
        for name, at in self._reach.items():
            self._reach[name] = at[0], at[1], at[2], False

    def _look(self, at: int) -> None:
        """See which addresses there are, and whether nobody renews one any more."""
        nic = self.nic
        if nic.hurry() or at >= self._list_at:
            self._list_at = at + _LOOK_MS
            if nic.duplicated:
                nic.duplicated = False
                self._fault(OSError(errno.EADDRINUSE))
            self._list(at)
            if self._newcomer is not None and self._doubt_until is None:
                self._doubt_others(at)
        nic.prove()
        if self._settle_at:
            self._settle(at)
        if self._retire_at is not None and at >= self._retire_at:
            self._retire(at)

    def _settle(self, at: int) -> None:
        """The link is new: have a router heard soon."""
        if not self.heard:
            if self.nic.heard() and at - self._up_at < _HEARD_MS:
                self.heard = True
                self._changed()
            elif self._asks < _SOLICITATIONS and at >= self._ask_at:
                self._ask_at = at + (_ASK_SOON_MS << self._asks)
                self._asks += 1
                self.solicit()
        if at >= self._settle_at and (self.heard or at - self._up_at >= _HEARD_MS):
            self._settle_at = 0
            self.nic.eager(False)

    def _list(self, at: int) -> None:
        ipv4 = self.nic.ipconfig("addr4")[0]
        if ipv4 != (self._ipv4.text if self._ipv4 else _NO_IPV4):
            self._ipv4 = _ipv4_address(ipv4, at)
            self._changed()
        listed = self.nic.ipconfig("addr6")
        if listed != self._listed:
            self._listed = listed
            self._take(listed, at)
            self._changed()

    def _take(self, listed: "Any", at: int) -> None:
        """`listed`: tuples of text, state, preferred and valid lifetime (s); link-local first."""
        had = self.usable()
        present = {entry[0]: entry for entry in listed if not entry[0].startswith("FE80:")}
        if self.home is not None:
            self.home.take(present)
        self._addresses = [entry for entry in self._addresses if entry.text in present]
        for text in present:
            if not any(entry.text == text for entry in self._addresses):
                self._add(_Address(text, at), at)
        for entry in self._addresses:
            _, entry.state, life, valid = present[entry.text]
            valid &= _FOR_EVER  # MicroPython tells the longest as negative
            if life > entry.life or valid > entry.valid:
                entry.renewed = at
                self.heard = True
                if entry is not self._newcomer:  # the network that we know is there
                    self._newcomer = None
            entry.life, entry.valid = life, valid
        if self.home is not None:
            self.home.follow(self._addresses)
        if had and not self.usable():
            self._asked_at = None  # whoever has a duplicate's answers, we don't
            self._patience = max(self._patience, at + _BARREN_MS)

    def _add(self, entry: "_Address", at: int) -> None:
        """An address is there. Beside those that lwIP had before the link came up, or for a while,
        it may be another network's than theirs: that is asked first."""
        if self._addresses:
            if not self._retire_step:
                self._retire_at = max(at + _ASK_MS, self._free_at)
            if self._kept or at - self._up_at >= _FIRST_MS:
                self._newcomer = entry
                self._doubt_until = None
        self._addresses.append(entry)

    def _doubt_others(self, at: int) -> None:
        """Ask whether the addresses before the newcomer are still advertised."""
        self._doubt_until = at + _DOUBT_MS
        if self.nic.doubt():
            self._list(at)  # with the lifetimes that a renewal is seen by
            self.solicit()
        else:
            self._newcomer = None
            self._changed()

    def _retire(self, at: int) -> None:
        """Ask the routers twice, then drop the first address that none renewed meanwhile, if one
        did renew the newest: it takes the room of those to come."""
        if len(self._addresses) < 2:
            self._retire_at = None
            self._retire_step = 0
        elif self._retire_step < 2:
            if not self._retire_step:
                self._routers_asked_at = at
                if self.nic.doubt():
                    self._list(at)
            self._retire_step += 1
            self._retire_at = at + _ASK_MS
            self.solicit()
        else:
            self._retire_step = 0
            self._retire_at = self._free_at = at + self._retire_hold
            self._retire_hold = min(2 * self._retire_hold, _RETIRE_MAX_MS)
            since = self._routers_asked_at
            if self._addresses[-1].renewed >= since:
                for entry in self._addresses:
                    if entry.renewed < since:
                        # made static, it goes when there are to be no static ones
                        self.nic.ipconfig(addr6=entry.text)
                        self.nic.ipconfig(addr6=None)
                        if self.home is not None and self.home.there:
                            self.home.put()
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
