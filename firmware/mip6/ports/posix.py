"""Linux: uplinks are network interfaces, care-of addresses come from the kernel, packets are raw.

The kernel says over netlink what it does, so nothing is polled. It keeps its addresses when the
carrier fails for a moment, and asks no router when it comes back, though that may be another
network's. So we ask; and what is advertised then counts as new, even if the address is an old one.

Each usable address has its own sockets, bound to it and to its interface, so the destination of
what arrives is known and what is sent leaves where its source belongs. Needs CAP_NET_RAW.
"""

import asyncio
import errno

from ..compat import const
from . import netlink
from .sockets import Raw, Udp, open_netlink, solicit
from .waiting import Watch

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from ..protocols import Octets, Sink

_ROUTING = const(43)
_ICMPV6 = const(58)
_MOBILITY = const(135)
_PARAMETER_PROBLEM = const(4)

_OCTETS_MAX = const(2048)  # of a packet received
_NETLINK_OCTETS = const(8192)  # a message of the kernel is no longer where we read with 8 KB
_BURST = const(16)  # packets taken at a time, so that no socket starves the others
_ADDRESSES_MAX = const(16)
_SOLICITATIONS = const(3)  # RFC 4861 section 10
_AGAIN_S = const(1)

#: Priority of interfaces by the start of their names, where the user names none: lower is better.
_KINDS = (("eth", 0), ("en", 0), ("wl", 1), ("ra", 1), ("ppp", 2), ("wwan", 2))
_OTHER_KIND = const(3)


class _Link:
    def __init__(self) -> None:
        self.name = ""
        self.up = False
        self.changes = 0  # of its carrier, as the kernel counts them
        self.told: dict[bytes, bool] = {}  # address -> usable, as the kernel says
        # addresses that the kernel spoke of since the carrier came
        self.confirmed: set[bytes] = set()
        self.doubted: set[bytes] = set()  # those that were told to come behind
        self.asking: asyncio.Task[None] | None = None  # the task that asks for advertisements


class Port:
    """The uplinks of this machine. `uplinks`: names of interfaces, best first; others are unused.

    Without `uplinks` every interface serves: wired, then Wi-Fi, then modems.
    It tells its `sink` what happens: `address_usable(uplink, priority, address)`,
    `address_gone(uplink, address)`, `received(source, destination, next_header, payload)`,
    `failed(error)` for what nobody foresaw.
    """

    def __init__(self, uplinks: list[str] | None = None) -> None:
        self._uplinks = uplinks
        self._links: dict[int, _Link] = {}
        # address -> (interface name, sockets by protocol, watches)
        self._open: dict[bytes, tuple[str, dict[Any, Any], list[Watch]]] = {}
        self._asking = 0
        self._sink: "Sink" = None  # type: ignore[assignment]  # until `start`
        self._netlink: "socket.socket" = None  # type: ignore[assignment]  # as above
        self._watch: Watch | None = None
        self._retrying: asyncio.Task[None] | None = None
        # what the system refused, counted by errno name or number
        self.faults: dict[str, int] = {}

    def start(self, sink: "Sink") -> None:
        """Begin: needs a running asyncio loop. Raises OSError without the right to raw sockets."""
        self._sink = sink
        self._netlink = open_netlink()
        self._watch = Watch(self._netlink, self._hear, sink.failed)
        self._ask()

    def stop(self) -> None:
        """End: everything is closed."""
        for address in list(self._open):
            self._close(address)
        for task in [self._retrying] + [link.asking for link in self._links.values()]:
            if task is not None:
                task.cancel()
        self._retrying = None
        self._links.clear()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
            self._netlink.close()

    def send(self, source: bytes, destination: bytes, next_header: int, payload: "Octets") -> bool:
        """Send from an address that is usable; whether it left, as far as this machine knows."""
        entry = self._open.get(source)
        if entry is None:
            return False
        try:
            raw = entry[1].get(next_header)
            if raw is None:
                raw = entry[1][next_header] = Raw(source, entry[0], next_header)
            raw.send(destination, payload)
        except OSError as error:
            self._fault(error)
            return False
        return True

    def note(self, kind: str, text: object) -> None:
        """Where news of links go; the agent puts its log here."""

    def listen(self, address: bytes, port: int) -> None:
        """Have datagrams to a UDP port of an address of ours come as packets, until it is gone."""
        entry = self._open.get(address)
        if entry is None or ("udp", port) in entry[1]:
            return
        try:
            socket = entry[1]["udp", port] = Udp(address, entry[0], port)
        except OSError as error:
            self._fault(error)
            return
        entry[2].append(Watch(socket.socket, _reader(self, socket), self._sink.failed))

    def _fault(self, error: "OSError") -> None:
        number = error.args[0]
        name = errno.errorcode.get(number, str(number))
        self.faults[name] = self.faults.get(name, 0) + 1

    def _ask(self) -> None:
        """Have the kernel tell everything; what it doesn't tell is no more."""
        self._asking = 1
        self._seen: set[object] = set()
        self._netlink.send(netlink.ask_links())

    def _hear(self) -> None:
        for _ in range(_BURST):
            try:
                octets = self._netlink.recv(_NETLINK_OCTETS)
            except OSError as error:
                if error.args[0] == errno.EAGAIN:
                    return
                self._fault(error)  # ENOBUFS: something was lost, so hear all of it anew
                self._ask()
                return
            for event in netlink.read(octets):
                self._take(event)

    def _take(self, event: "tuple[Any, ...]") -> None:
        kind, index = event[0], event[1]
        if kind == netlink.DONE:
            self._told()
            return
        if kind == netlink.NO_LINK:
            link = self._links.pop(index, None)
            if link is not None:
                link.up = False
                self._follow(link)
            return
        link = self._links.get(index)
        if link is None:
            link = self._links[index] = _Link()
        if kind == netlink.LINK:
            self._seen.add(index)
            self._take_link(link, event[2], event[3], event[4])
        elif kind == netlink.ADDRESS:
            self._seen.add((index, event[2]))
            self._take_address(link, event[2], event[3])
        else:
            link.told.pop(event[2], None)
            link.confirmed.discard(event[2])
        self._follow(link)
        if kind == netlink.ADDRESS and event[3]:
            self._doubt(link)

    def _take_link(self, link: "_Link", name: str, up: bool, changes: int) -> None:
        if link.up and up and link.changes != changes:  # it failed so shortly that nobody said so
            self._take_link(link, name, False, changes)
        link.changes = changes
        if link.up != up and self._priority(name) is not None:
            self.note("link", name + (" up" if up else " down"))
        if link.up and not up:
            link.confirmed.clear()
            link.doubted.clear()
        back = up and not link.up and link.name and self._priority(name) is not None
        link.name, link.up = name, up
        if back:
            if link.asking is not None:
                link.asking.cancel()  # it may sleep for a while yet
            link.asking = asyncio.create_task(self._solicit(link))

    def _take_address(self, link: "_Link", address: bytes, usable: bool) -> None:
        if len(link.told) >= _ADDRESSES_MAX and address not in link.told:
            return
        link.told[address] = usable
        if usable and address not in link.confirmed:
            link.confirmed.add(address)
            if address in self._open:  # advertised after the carrier came back
                priority = self._priority(link.name)
                self._sink.address_usable(link.name, priority, address)  # type: ignore[arg-type]  # unused links have it, too

    def _doubt(self, link: "_Link") -> None:
        """An address was confirmed since the carrier came: those that weren't may be another
        network's, and come behind it."""
        priority = self._priority(link.name)
        for address, entry in list(self._open.items()):
            known = address in link.confirmed or address in link.doubted
            if priority is not None and entry[0] == link.name and not known:
                link.doubted.add(address)
                self._sink.address_gone(link.name, address)
                self._sink.address_usable(link.name, priority, address, False)

    async def _solicit(self, link: "_Link") -> None:
        for _ in range(_SOLICITATIONS):
            try:
                if link.up:
                    solicit(link.name)
            except OSError as error:
                self._fault(error)
            await asyncio.sleep(_AGAIN_S)
        link.asking = None

    def _told(self) -> None:
        """One answer is complete: ask for the addresses next, then forget what wasn't told."""
        if self._asking == 1:
            self._asking = 2
            self._netlink.send(netlink.ask_addresses())
        elif self._asking == 2:
            self._asking = 0
            for index, link in list(self._links.items()):
                if index not in self._seen:
                    link.up = False
                    del self._links[index]
                for address in list(link.told):
                    if (index, address) not in self._seen:
                        del link.told[address]
                self._follow(link)
            self._seen = set()

    def _priority(self, name: str) -> int | None:
        """The rank of an interface, lower is better; None if it doesn't serve."""
        if self._uplinks is not None:
            return self._uplinks.index(name) if name in self._uplinks else None
        for start, priority in _KINDS:
            if name.startswith(start):
                return priority
        return _OTHER_KIND

    def _follow(self, link: "_Link") -> None:
        """Open what became usable on a link and close what ceased to be."""
        priority = self._priority(link.name)
        for address, entry in list(self._open.items()):
            if entry[0] == link.name and not (link.up and link.told.get(address)):
                self._close(address)
                self._sink.address_gone(link.name, address)
        if not link.up or priority is None:
            return
        for address, usable in list(link.told.items()):
            if usable and address not in self._open and self._open_at(link, address):
                self._sink.address_usable(link.name, priority, address)

    def _open_at(self, link: "_Link", address: bytes) -> bool:
        sockets, watches = {}, []
        try:
            for protocol in (_ROUTING, _MOBILITY, _ICMPV6):
                kind = _PARAMETER_PROBLEM if protocol == _ICMPV6 else None
                raw = sockets[protocol] = Raw(address, link.name, protocol, kind)
                watches.append(Watch(raw.socket, _reader(self, raw), self._sink.failed))
        except OSError as error:  # gone again, or no right to raw sockets
            self._fault(error)
            _shut(sockets, watches)
            if error.args[0] == errno.EPERM:
                raise
            if self._retrying is None:
                self._retrying = asyncio.create_task(self._retry())
            return False
        self._open[address] = (link.name, sockets, watches)
        return True

    async def _retry(self) -> None:
        """Where an address could not be used, look once more soon."""
        await asyncio.sleep(_AGAIN_S)
        self._retrying = None
        try:
            for link in self._links.values():
                self._follow(link)
        except Exception as error:
            self._sink.failed(error)

    def _close(self, address: bytes) -> None:
        entry = self._open.pop(address)
        _shut(entry[1], entry[2])

    def _drain(self, raw: "Raw | Udp") -> None:
        for _ in range(_BURST):
            try:
                packet = raw.receive(_OCTETS_MAX)
            except OSError as error:
                self._fault(error)
                return
            if packet is None:
                return
            self._sink.received(packet[1], raw.address, raw.protocol, packet[0])


def _reader(port: "Port", raw: "Raw | Udp") -> "Callable[[], None]":
    return lambda: port._drain(raw)


def _shut(sockets: "dict[Any, Any]", watches: "list[Watch]") -> None:
    for watch in watches:
        watch.stop()
    for raw in sockets.values():
        raw.close()
