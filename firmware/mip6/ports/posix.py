"""Linux: uplinks are network interfaces, care-of addresses come from the kernel, packets are raw.

The kernel says over netlink what it does, so nothing is polled. It asks no router when the
carrier comes back after a moment, though that may be another network's, and when it is new it
asks after a second or two. So we ask. Which addresses count then: link.py.

A neighbour's advertisements make the kernel talk. Of that a bounded share is heard (some hundred
messages a second), of the addresses sixteen a link are kept, and lines of the log are rationed.

Each usable address has its own sockets, bound to it and to its interface, so the destination of
what arrives is known and what is sent leaves where its source belongs. Without CAP_NET_RAW, and
for IPv4 addresses, there are packets inside UDP alone.
"""

import asyncio
import errno

from .. import packets
from ..addresses import is_ipv4
from ..clock import now
from ..compat import const
from . import netlink
from .homelink import HomeLink
from .kernel import Kernel
from .link import Link
from .news import Ration, moved
from .settings import Settings
from .sockets import Outside, Raw, Solicitor, Udp, look_up, only_mobility, raw_allowed
from .waiting import Watch, random_port

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..protocols import Octets, Sink

_ROUTING = const(43)
_ICMPV6 = const(58)
_MOBILITY = const(135)
_WITH_TUNNEL = (_ROUTING, _MOBILITY, _ICMPV6, packets.IPV6)
_PARAMETER_PROBLEM = const(4)

_OCTETS_MAX = const(2048)  # of a packet received
_BURST = const(16)  # packets taken at a time, so that no socket starves the others
# Between unanswered solicitations is twice the time each (RFC 7559): the last leaves after 12.7 s,
# and the kernel's own go on. In the four seconds of RFC 4861 section 6.3.7 a user feels the first
# that is lost.
_SOLICITATIONS = const(8)
_ASKING_S = 0.1
_AGAIN_S = const(1)
_NO_WAY = (101, errno.EHOSTUNREACH)  # ENETUNREACH, which MicroPython doesn't name
_NO_WAY_MS = const(1000)  # between solicitations because of that
_PORTS_TRIED = const(8)
_OUTSIDE = const(-1)  # the key of a socket for packets inside UDP

#: Priority of interfaces by the start of their names, where the user names none: lower is better.
_KINDS = (("eth", 0), ("en", 0), ("wl", 1), ("ra", 1), ("ppp", 2), ("wwan", 2))
_OTHER_KIND = const(3)
_DATA_PLANE = "roamkey"  # the device of a correspondent on this machine: no way out
_LOOPBACK = "lo"


class _Open:
    """What is open at an address, and what was told of it."""

    def __init__(self, link: str, sockets: "dict[Any, Any]", watches: "list[Watch]") -> None:
        self.link = link
        self.sockets = sockets  # by protocol, ("udp", port), or _OUTSIDE
        self.watches = watches
        self.preferred = True
        self.until: int | None = None  # ms


class Port:
    """The uplinks of this machine. `uplinks`: names of interfaces, best first; others are unused.

    Without `uplinks` every interface serves, but a data plane's: wired, then Wi-Fi, then modems.
    It tells its `sink` what happens: `address_usable(uplink, priority, address, preferred,
    valid_s)` and again when that changes, `address_gone(uplink, address)`,
    `received(source, destination, next_header, payload)`, `way_open()` where packets that found
    no way may find one, `faulted(error)` for what nobody foresaw, `failed(error)` where it can't
    go on after that.

    `native`: whether there is raw IPv6; `why`: if not, why not.
    """

    udp = True
    named = False  # uplinks are interfaces, which see many networks

    def __init__(self, uplinks: list[str] | None = None) -> None:
        self._uplinks = uplinks
        self._links: dict[int, Link] = {}
        self._open: dict[bytes, _Open] = {}
        self._sent_from: bytes | None = None
        self._sink: "Sink" = None  # type: ignore[assignment]  # until `start`
        self._kernel: Kernel | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._ration = Ration()
        self._settings = Settings()
        self._solicitor = Solicitor()
        self._begun = False
        self._port = random_port()  # of datagrams: one a start
        self.native = True
        self.mobility_alone = False  # data behind routing headers are the kernel's
        self._home = HomeLink(self._tell_kernel)
        self.why = ""
        # what the system refused, counted by errno name or number
        self.faults: dict[str, int] = {}

    def start(self, sink: "Sink") -> None:
        """Begin: needs a running asyncio loop. Raises OSError."""
        self._sink = sink
        self._kernel = Kernel(self._take, self._took_all, self.fault, sink.faulted)
        self._kernel.start()

    def _tell_kernel(self, octets: bytes) -> None:
        if self._kernel is not None:
            self._kernel.tell(octets)

    def _try(self, step: "Callable[..., None]", *arguments: "Any") -> None:
        """What may fail, and is only counted then."""
        try:
            step(*arguments)
        except OSError as error:
            self.fault(error)

    def announce(self, uplink: str) -> None:
        """Tell the neighbours on an uplink that the home address is ours again."""
        for link in self._links.values():
            if link.name == uplink:
                self._try(self._home.announce, link)

    def stop(self) -> None:
        """End: everything is closed."""
        self._try(self._home.leave)
        for address in list(self._open):
            self._close(address)
        for task in [self._retrying] + [link.asking for link in self._links.values()]:
            if task is not None:
                task.cancel()
        self._retrying = None
        self._links.clear()
        self._begun = False
        self._settings.give_all_back()
        self._solicitor.close()
        if self._kernel is not None:
            self._kernel.stop()
            self._kernel = None

    def waits(self) -> str:
        """Why an address is used a second late, since nobody else may have it; else nothing."""
        return self._settings.text()

    def use(self, native: bool, ipv4: bool, home: bytes | None) -> None:
        """Have raw IPv6 or not from now on, where this process may. `home`: the home address where
        there is a home agent: then packets in packets, too. IPv4 is told of anyway."""
        before = self.native, self._home.address
        self.native = native and raw_allowed()
        if self._home.address != home:
            self._try(self._home.leave)
            self._home.address = home
        self.why = "switched off" if not native else "" if self.native else "no CAP_NET_RAW"
        if (self.native, home) != before:
            self.reopen()

    def reopen(self) -> None:
        """Open all sockets anew: to the sink each address goes, and comes."""
        for address in list(self._open):
            name = self._open[address].link
            self._close(address)
            self._sink.address_gone(name, address)
        for link in list(self._links.values()):
            self._follow(link)

    def resolve(
        self, name: str, ipv6: bool, ipv4: bool, feed: "Callable[[], object] | None"
    ) -> list[bytes]:
        """The addresses (16 octets, IPv4 mapped) of a name; none where nobody tells.

        The system's own call stops all else, for some seconds at worst. No watchdog runs here.
        """
        try:
            return look_up(name)
        except OSError:
            self.faults["name"] = self.faults.get("name", 0) + 1
            return []

    def send(self, source: bytes, destination: bytes, next_header: int, payload: "Octets") -> bool:
        """Send from an address that is usable; whether it left, as far as this machine knows."""
        entry = self._open.get(source)
        if entry is None:
            return False
        self._sent_from = source
        try:
            if next_header >= packets.ENCAPSULATED:
                outside = entry.sockets.get(_OUTSIDE) or self._open_outside(source, entry)
                outside.send_to(destination, next_header - packets.ENCAPSULATED, payload)
                return True
            raw = entry.sockets.get(next_header)
            if raw is None:
                raw = entry.sockets[next_header] = Raw(source, entry.link, next_header)
            raw.send(destination, payload)
        except OSError as error:
            self.fault(error)
            if error.args[0] in _NO_WAY:
                self._ask_the_way(entry.link)
            return False
        return True

    def _open_outside(self, address: bytes, entry: "_Open") -> "Outside":
        """The socket for packets inside UDP. Raises OSError."""
        for left in range(_PORTS_TRIED, 0, -1):
            try:
                made = Outside(address, entry.link, self._port)
                break
            except OSError as error:
                if error.args[0] != errno.EADDRINUSE or left == 1:
                    raise
                self._port = random_port()
        entry.sockets[_OUTSIDE] = made
        entry.watches.append(Watch(made.socket, _reader(self, made), self._sink.faulted))
        return made

    def _ask_the_way(self, name: str) -> None:
        """No router is left, maybe since a neighbour said so in its name: it will say it isn't."""
        at = now()
        if not self.native:
            return
        for link in self._links.values():
            if link.name == name and at - link.asked_at >= _NO_WAY_MS:
                link.asked_at = at
                try:
                    self._solicitor.ask(name, link.index)
                except OSError as error:
                    self.fault(error)

    def interface_of(self, address: bytes) -> int | None:
        """The index of the interface that an address is open on; None where it isn't."""
        entry = self._open.get(address)
        for index, link in self._links.items():
            if entry is not None and link.name == entry.link:
                return index
        return None

    def note(self, kind: str, text: object) -> None:
        """Where news of links go; the agent puts its log here."""

    def listen(self, address: bytes, port: int) -> None:
        """Have datagrams to a UDP port of an address of ours come as packets, until it is gone."""
        entry = self._open.get(address)
        if entry is None or ("udp", port) in entry.sockets:
            return
        try:
            socket = entry.sockets["udp", port] = Udp(address, entry.link, port)
        except OSError as error:
            self.fault(error)
            return
        entry.watches.append(Watch(socket.socket, _reader(self, socket), self._sink.faulted))

    def fault(self, error: "OSError") -> None:
        """Count what the system refused."""
        number = error.args[0]
        name = errno.errorcode.get(number, str(number))
        self.faults[name] = self.faults.get(name, 0) + 1

    def _take(self, event: "tuple[Any, ...]") -> None:
        kind, index = event[0], event[1]
        if kind == netlink.NO_LINK:
            link = self._links.pop(index, None)
            if link is not None:
                link.up = False
                self._home.gone(link)
                self._settings.forget(link.name)
                self._follow(link)
            return
        link = self._links.get(index)
        if link is None:
            link = self._links[index] = Link(index)
        if kind == netlink.ROUTE:
            if self._priority(link.name) is not None:
                self._sink.way_open()
            return
        if kind == netlink.LINK:
            link.mac = event[5]
            self._take_link(link, event[2], event[3], event[4])
        elif kind == netlink.LOCAL:
            if link.up and not link.heard and not link.asked:  # there was no source for them
                self._ask(link)
            return
        elif kind == netlink.PREFIX:
            self._heard(link)
            if self._priority(link.name) is not None:
                self._try(self._home.heard, link, event[2])
            return
        elif kind == netlink.ADDRESS:
            self._take_address(link, event)
        else:
            link.lose(event[2])
        self._follow(link)

    def _take_address(self, link: "Link", event: "tuple[Any, ...]") -> None:
        serves = self._priority(link.name) is not None
        if serves and event[2] == self._home.address and event[3] == netlink.OPTIMISTIC:
            self._heard(link)
            self._try(self._home.heard, link, event[2], True)  # it comes again, as we have it
            return
        if link.take(self._sent_from, now(), *event[2:]):
            self._heard(link)
        if serves:
            self._try(self._home.seen, link)

    def _take_link(self, link: "Link", name: str, up: bool, changes: int) -> None:
        if link.name != name and link.name:  # renamed: what was told bears the old name
            link.up = False
            self._settings.renamed(link.name, name)
            self._follow(link)
        if link.up and up and link.changes != changes:  # it failed so shortly that nobody said so
            self._take_link(link, name, False, changes)
        link.changes = changes
        serves = self._priority(name) is not None
        if link.up != up and serves and self._ration.take(now()):
            self.note("link", name + (" up" if up else " down"))
        if link.name != name or link.up != up:
            self._set(name)
        if link.up and not up:
            link.failed()
            link.is_home = False
        came = up and not link.up and serves and (link.name or self._begun)
        link.name, link.up = name, up
        if came:
            self._ask(link)

    def _set(self, name: str) -> None:
        """Have an interface's settings as they should be."""
        serves = self._priority(name) is not None
        if not (self._settings.take(name) if serves else self._settings.give_back(name)):
            self._again()

    def _heard(self, link: "Link") -> None:
        """A router advertises on a link."""
        if link.up and not link.heard and self._priority(link.name) is not None:
            link.heard = True
            if self._ration.take(now()):
                self.note("router", link.name)

    def _ask(self, link: "Link") -> None:
        if link.asking is not None:
            link.asking.cancel()  # it may sleep for a while yet
        link.asked = False
        link.asking = asyncio.create_task(self._solicit(link))

    async def _solicit(self, link: "Link") -> None:
        pause_s = _ASKING_S
        for _ in range(_SOLICITATIONS):
            if link.heard or not link.up or not self.native:
                break
            try:
                link.asked = self._solicitor.ask(link.name, link.index)
            except OSError as error:
                self.fault(error)
            await asyncio.sleep(pause_s)
            pause_s *= 2
        link.asking = None

    def _took_all(self, seen: "set[object]") -> None:
        """The kernel has told everything: what it didn't tell is no more."""
        for index, link in list(self._links.items()):
            if index not in seen:
                link.up = False
                self._settings.forget(link.name)
                del self._links[index]
            for address in list(link.usable):
                if (index, address) not in seen:
                    link.lose(address)
            self._follow(link)
            serves = self._priority(link.name) is not None
            if serves and link.up and not link.usable and not self._begun:
                self._ask(link)  # the kernel does, too, but maybe not for a while
        self._begun = True

    def _priority(self, name: str) -> int | None:
        """The rank of an interface, lower is better; None if it doesn't serve."""
        if self._uplinks is not None:
            return self._uplinks.index(name) if name in self._uplinks else None
        if name == _LOOPBACK or name.startswith(_DATA_PLANE):
            return None
        for start, priority in _KINDS:
            if name.startswith(start):
                return priority
        return _OTHER_KIND

    def _follow(self, link: "Link") -> None:
        """Open what became usable on a link, close what ceased to be, tell what changed."""
        priority = self._priority(link.name)
        closed = False
        if priority is not None:
            if self._sent_from is not None and link.counts(self._sent_from):
                self._tell(link, priority, self._sent_from)  # what was in use comes first
            for address in list(link.usable):
                if link.counts(address):
                    self._tell(link, priority, address)
        for address, entry in list(self._open.items()):
            if entry.link == link.name and not link.counts(address):
                self._close(address)
                self._sink.address_gone(link.name, address)
                closed = True
        if closed:  # the same address may be on another link, too
            for other in self._links.values():
                if other is not link:
                    self._follow(other)

    def _tell(self, link: "Link", priority: int, address: bytes) -> None:
        preferred, until, _ = link.usable[address]
        entry = self._open.get(address)
        at = now()
        if entry is None:
            if not self._open_at(link, address):
                return
            entry = self._open[address]
        elif entry.link != link.name or not (
            entry.preferred != preferred or moved(entry.until, until, at)
        ):
            return
        entry.preferred, entry.until = preferred, until
        valid_s = None if until is None else (until - at + 500) // 1000
        self._sink.address_usable(link.name, priority, address, preferred, valid_s)

    def _open_at(self, link: "Link", address: bytes) -> bool:
        sockets, watches = {}, []
        try:
            for protocol in self._protocols(address):
                kind = _PARAMETER_PROBLEM if protocol == _ICMPV6 else None
                raw = sockets[protocol] = Raw(address, link.name, protocol, kind)
                if protocol == _ROUTING and self.mobility_alone:
                    only_mobility(raw.socket)
                watches.append(Watch(raw.socket, _reader(self, raw), self._sink.faulted))
        except OSError as error:  # gone again
            self.fault(error)
            _shut(sockets, watches)
            self._again()
            return False
        self._open[address] = _Open(link.name, sockets, watches)
        return True

    def _protocols(self, address: bytes) -> tuple[int, ...]:
        """What is heard natively at an address."""
        if not self.native or is_ipv4(address):
            return ()
        return _WITH_TUNNEL[:-1] if self._home.address is None else _WITH_TUNNEL

    def _again(self) -> None:
        """Where an address couldn't be used, or a setting not made, look once more soon."""
        if self._retrying is None:
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        await asyncio.sleep(_AGAIN_S)
        try:
            for link in self._links.values():
                self._set(link.name)  # once more, not for ever
            self._retrying = None
            for link in list(self._links.values()):
                self._follow(link)
        except Exception as error:
            self._retrying = None
            self._sink.failed(error)

    def _close(self, address: bytes) -> None:
        entry = self._open.pop(address)
        _shut(entry.sockets, entry.watches)

    def _drain(self, raw: "Raw | Udp | Outside") -> None:
        for _ in range(_BURST):
            try:
                packet = raw.receive(_OCTETS_MAX)
            except OSError as error:
                self.fault(error)
                return
            if packet is None:
                return
            self._sink.received(packet[1], raw.address, raw.protocol, packet[0])


def _reader(port: "Port", raw: "Raw | Udp | Outside") -> "Callable[[], None]":
    return lambda: port._drain(raw)


def _shut(sockets: "dict[Any, Any]", watches: "list[Watch]") -> None:
    for watch in watches:
        watch.stop()
    for raw in sockets.values():
        try:
            raw.close()
        except OSError:  # the others have to be closed all the same
            pass
