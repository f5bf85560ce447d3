"""A board over lwIP: one Wi-Fi uplink, UDP, and raw IPv6. What rp2.py and esp32.py share.

lwIP tells nothing by itself, so the interface is looked at: each 20 ms while a network is joined
and for five seconds after, then ten times a second, for less than one percent of the processor.
"""

import asyncio
import errno

from .. import addresses, packets
from ..clock import now
from ..compat import const
from .files import FileStore
from .news import Ration, moved
from .outside import Outside, look_up
from .station import Station
from .waiting import Watch, random_port

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..homelink.wlan import Listener
    from ..protocols import Nic, Octets, Receiver, Sender, Sink, Store

_LOST_MS = const(4000)  # between solicitations because a packet found no router
_NEXT_HEADER = const(6)  # where it stands in an IPv6 header
_BURST = const(6)  # lwIP queues no more for a socket


class WifiPort:
    """The Wi-Fi uplink, UDP and raw IPv6. `store`: holds the record of networks.

    It tells its `sink` what happens: `address_usable(uplink, priority, address, preferred,
    valid_s)` and again when that changes, `address_gone(uplink, address)`,
    `received(source, destination, next_header, payload)`, `faulted(error)` for what nobody
    foresaw, `failed(error)` where it can't go on after that.
    The uplink is the network's name. `native`: whether there is raw IPv6; `why`: if not, why not.

    A platform says: `protocols` to receive, `_open_sender()`, `_open_receiver(protocol)` (OSError
    with a text where the firmware lacks raw IPv6), `_interface()` (what Station calls `nic`),
    `_unfed(feed, begins)`: for a while nobody feeds the watchdog as usual.
    """

    udp = named = True
    udp6 = True  # UDP over IPv6, too
    static = False  # whether the interface can be given an address
    protocols: tuple[int, ...] = ()

    if TYPE_CHECKING:

        def _open_sender(self) -> Sender: ...
        def _open_receiver(self, protocol: int) -> Receiver: ...
        def _interface(self) -> Nic: ...
        def _unfed(self, feed: Callable[[], object], begins: bool) -> None: ...

    def __init__(self, store: "Store | None" = None) -> None:
        # what the system refused, counted by errno name or number
        self.faults: dict[str, int] = {}
        self._store = store or FileStore("/roamkey")
        self._receivers: list[Receiver] = []
        self._watches: list[Watch] = []
        self._task: asyncio.Task[None] | None = None
        self._sink: "Sink" = None  # type: ignore[assignment]  # until `start`
        self._sender: "Sender | None" = None
        self._wanted = self.native = self._tunnel = False
        self.why = "no keys yet"
        self._outside: dict[bool, Outside] = {}  # for IPv4 or not
        self._outside_port = random_port()  # one a start
        self._station = Station(self._interface(), self._tell, self._fault, self._scan)
        # address -> (uplink, preferred, when it ends in ms or None)
        self._told: dict[bytes, tuple[str, bool, int | None]] = {}
        self._noted: str | None = None  # the network that the log has us in
        self._ration = Ration()
        self._heard = self._lost = False  # a router, as the log has it; a packet that found none
        self._lost_at = 0

    def use(self, native: bool, ipv4: bool, home: bytes | None) -> None:
        """Have raw IPv6 or not from now on, where this firmware has it; `ipv4`: whether an address
        of that kind is of any use; `home`: the home address where there is a home agent: then
        packets in packets, too. Raises OSError where all sockets are in use."""
        tunnel = home is not None
        self._wanted = native
        self._station.use_ipv4(ipv4)
        if self.static and (tunnel or self._tunnel):
            self._use_home(home)
        if not native or tunnel != self._tunnel:
            self._close_native()
        self._tunnel = tunnel
        if not native:
            self.why = "switched off"
        elif self._sender is None:
            self._open_native()

    def _use_home(self, home: bytes | None) -> None:
        """A load point: not each node has a home agent."""
        from ..homelink.wlan import WlanHome

        station = self._station
        if station.home is not None:
            station.home.leave()
        station.home = None
        if home is not None:
            at = station.home = WlanHome(
                station.nic,  # type: ignore[arg-type]  # of a platform that has `static`
                home,
                self._fault,
                self._watched,
                self._close_outside,
            )
            self.listen, self.announce = at.listen, at.announce

    def _watched(self, receiver: "Receiver | Outside | Listener") -> "Watch":
        return Watch(receiver.socket, _reader(self, receiver), self._sink.faulted)

    def _open_native(self) -> None:
        try:
            self._sender = self._open_sender()
            for protocol in self.protocols:
                self._receivers.append(self._open_receiver(protocol))
            if self._tunnel:
                self._receivers.append(self._open_receiver(packets.IPV6))
        except Exception as error:
            self._close_native()
            if not isinstance(error, OSError) or not isinstance(error.args[0], str):
                raise
            self.why = error.args[0]
            return
        self.native = True
        self.why = ""
        if self._task is not None:
            self._watch_native()

    def _watch_native(self) -> None:
        for receiver in self._receivers:
            self._watches.append(self._watched(receiver))

    def note(self, kind: str, text: object) -> None:
        """Where news of the link go; the agent puts its log here."""

    def start(self, sink: "Sink") -> None:
        """Begin: needs a running asyncio loop."""
        self._sink = sink
        self._told = {}
        if self._wanted and self._sender is None:  # it was stopped
            self._open_native()
        if not self.reload():  # it would know no network: begin again soon
            raise OSError(errno.EIO)
        self._watch_native()
        self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            await self._station.run()
        except Exception as error:
            self._sink.failed(error)

    def reload(self) -> bool:
        """Read the record of networks again; False where that fails: those it knows stay."""
        from ..maintenance import networklist

        try:
            self._station.use(networklist.read(self._store))
        except ValueError:
            self._count("networks damaged")
            self._station.use([])
        except OSError:
            self._count("networks unreadable")
            return False
        return True

    def stop(self) -> None:
        """End: the sockets are given back; the interface stays as it is."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._told = {}
        self._close_native()
        self._close_outside()
        if self._station.home is not None:
            self._station.home.deafen()

    def _close_outside(self) -> None:
        for _, outside in self._outside.items():
            outside.close()
        self._outside = {}

    def _close_native(self) -> None:
        self.native = False
        while self._watches:
            self._watches.pop().stop()
        ends: "list[Receiver | Sender]" = [] if self._sender is None else [self._sender]
        ends += self._receivers
        self._sender = None
        self._receivers = []
        for end in ends:
            try:
                end.close()
            except OSError:  # the others have to be given back all the same
                pass

    def send(self, source: bytes, destination: bytes, next_header: int, payload: "Octets") -> bool:
        """Send from an address that is usable; whether it left, as far as lwIP knows."""
        inside = next_header >= packets.ENCAPSULATED
        if source not in self._told or (self._sender is None and not inside):
            return False
        try:
            if inside:
                outside = self._open_outside(addresses.is_ipv4(source))
                outside.send_to(destination, next_header - packets.ENCAPSULATED, payload)
            else:
                self._sender.send(  # type: ignore[union-attr]  # it is there, see above
                    source, destination, next_header, payload
                )
        except OSError as error:
            if not self._station.linked():  # which isn't known yet
                return False
            self._fault(error)
            at = now()
            if at - self._lost_at >= _LOST_MS:  # a neighbour said that there is no router, maybe
                self._lost_at = at
                self._station.solicit()
            self._lost = True
            return False
        if packets.MOBILITY in (next_header, payload[_NEXT_HEADER if inside else 0]):
            self._station.asked()
        return True

    def _open_outside(self, ipv4: bool) -> "Outside":
        """The socket for packets inside UDP. Raises OSError."""
        outside = self._outside.get(ipv4)
        if outside is None:
            outside = self._outside[ipv4] = Outside(ipv4, self._outside_port)
            outside.watch = self._watched(outside)
        return outside

    def resolve(
        self, name: str, ipv6: bool, ipv4: bool, feed: "Callable[[], object] | None"
    ) -> list[bytes]:
        """The addresses (16 octets, IPv4 mapped) of a name; none where nobody tells.

        lwIP's own call stops all else, for ten seconds and more where no server answers.
        """
        try:
            return self._at_length(feed, look_up, name, ipv6, ipv4)  # type: ignore[no-any-return]
        except OSError:
            self._count("name")
            return []

    def _scan(self) -> "list[tuple[Any, ...]]":
        """What is in reach. The driver's own call stops all else, for ten seconds where the chip
        says nothing."""
        return self._at_length(self._sink.watchdog, self._station.nic.scan)  # type: ignore[no-any-return]

    def _at_length(
        self, feed: "Callable[[], object] | None", call: "Callable[..., Any]", *arguments: "Any"
    ) -> "Any":
        """Call what may take longer than the watchdog waits."""
        if feed is None:
            return call(*arguments)
        self._unfed(feed, True)
        try:
            return call(*arguments)
        finally:
            self._unfed(feed, False)

    def _tell(self) -> None:
        """Tell of new addresses before the old ones' end: the node needn't stand without one."""
        network, at = self._station.network, now()
        name = None if network is None else network.ssid
        news = name != self._noted
        if news:
            self._noted = name
            self._heard = False
            news = self._ration.take(at)
            if news:
                self.note("link", "down" if name is None else name + " up")
        gone = set(self._told)
        for entry in self._station.usable():
            assert network is not None
            gone.discard(entry.octets)
            valid_s = entry.valid_s
            until = None if valid_s is None else at + 1000 * valid_s
            told = self._told.get(entry.octets)
            if told is None or told[1] != entry.preferred or moved(told[2], until, at):
                self._told[entry.octets] = (network.ssid, entry.preferred, until)
                self._sink.address_usable(
                    network.ssid, network.priority, entry.octets, entry.preferred, valid_s
                )
        for address in gone:
            self._sink.address_gone(self._told.pop(address)[0], address)
        if name is None:
            return
        if news:
            self.note("signal", self._station.signal())
        if self._station.heard and not self._heard:
            self._heard = True
            if self._ration.take(at):
                self.note("router", name)
            if self._lost:
                self._lost = False
                self._sink.way_open()

    def _drain(self, receiver: "Receiver | Outside | Listener") -> None:
        for _ in range(_BURST):
            try:
                packet = receiver.receive()
            except OSError as error:
                self._fault(error)
                return
            except MemoryError:
                self._count("no memory")
                continue
            if packet is None:
                return
            self._station.answered()
            self._sink.received(*packet)

    def _fault(self, error: "OSError") -> None:
        number = error.args[0]
        self._count(errno.errorcode.get(number, str(number)))

    def _count(self, name: str) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1


def _reader(port: "WifiPort", receiver: "Receiver | Outside | Listener") -> "Callable[[], None]":
    return lambda: port._drain(receiver)
