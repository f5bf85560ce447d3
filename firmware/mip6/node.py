"""The node: uplinks, sockets and timers round the Binding Update List, on asyncio.

Everything that happens (an address, a packet, a timer) is dealt with where it happens, in one
call: an address that becomes usable has its updates on the way before the port's call returns.
There are no queues between the port and the bindings, so none can grow. What waits is a timer.
"""

import asyncio
import os

from . import addresses, clock, packets
from .bindings import silence
from .bindings.update_list import KEEPALIVE_S, BindingUpdateList, nowhere
from .bindings.uplinks import Uplinks
from .bindings.ways import over_ipv4
from .compat import const
from .errors import StorageError
from .keystore.records import READY
from .supervise import Part

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .keystore.keystore import Keystore
    from .packets import Packet
    from .protocols import Emit, Octets, Outgoing, Port, PortSocket

_SLEEP_MAX = const(60000)  # ms
_WATCHDOG_MAX = const(1000)  # ms between calls of the watchdog
_QUIET = const(200)  # ms with nothing to do in which flash is written ahead
_VERIFY_MS = const(200)  # after which an address that came beside the one in use is news
_AGAIN = const(1000)  # ms after a fault, doubled by
_STUMBLES_MAX = const(6)  # more
_GOODBYE = const(1500)  # ms that a shutdown waits for acknowledgements
_GOODBYE_STEP = const(50)
_IPV6_NETWORK = const(8)  # octets of an address that say which network it is on
_IPV4_NETWORK = const(15)

# ICMPv6 echo, RFC 4443 section 4
_ECHO_REQUEST = const(128)
_ECHO_REPLY = const(129)
_ECHO_OCTETS_MIN = const(8)


class Node:
    """A mobile node. `keystore`: keystore.Keystore, loaded; `port`: see ports/posix.py.

    `watchdog`: called at least once a second while all is well. `now`: milliseconds, for tests.
    `emit(kind, address, detail)`: where events go (eventlog.py); set it before `reload`.
    `part`: what went wrong, and what runs it again.
    """

    def __init__(
        self,
        keystore: "Keystore",
        port: "Port",
        watchdog: "Callable[[], object] | None" = None,
        now: "Callable[[], int]" = clock.now,
    ) -> None:
        self.keystore = keystore
        self.port = port
        self.watchdog = watchdog
        self.now = now
        self.part = Part("node")
        self._ended: asyncio.Event | None = None
        self._failure: Exception | None = None
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = 0
        self._looking: asyncio.Task[None] | None = None  # up a name
        self.uplinks = Uplinks()
        self._top_up_due = self._torn = False
        self._stumbles = 0  # faults in a row
        self._verify_at: int | None = None
        self.fault = ""
        self.bindings: BindingUpdateList | None = None
        self.emit: "Emit" = nowhere
        self.sockets: dict[int, PortSocket] = {}  # UDP port -> datagrams.Socket
        self.unsent = 0  # packets that the port didn't take
        self._keepalive_s = KEEPALIVE_S
        self.reload()

    def reload(self) -> None:
        """Read the keys from the key store, after they changed; bindings start afresh. A load
        point: not each set names a home agent."""
        self.bindings = None
        self.uplinks.home_address = self.uplinks.ways = None
        if self.keystore.status == READY:
            udp = hasattr(self.port, "udp") and self.port.udp
            credentials = self.keystore.credentials
            assert credentials is not None
            at_home = None if credentials.home_agent is None else credentials.home_address
            if udp:
                self.port.use(credentials.native, over_ipv4(credentials.peers), at_home)
            native = not udp or self.port.native
            how = self.keystore, self.now(), self.emit, native, udp
            if at_home is None:
                bindings = BindingUpdateList(*how)
            else:
                from .homeagent.update_list import HomeUpdateList

                bindings = HomeUpdateList(*how, os.urandom)
            self.bindings = bindings
            bindings.ways.udp6 = getattr(self.port, "udp6", True)
            bindings.keepalive_s = self._keepalive_s
            self.uplinks.home_address = bindings.home_address
            self.uplinks.towards = bindings.bindings[0].correspondent
            self.uplinks.ways = bindings.ways
        self.attend()

    async def run(self) -> None:
        """Work until cancelled; then tell the correspondents, for a moment at most.

        Raises OSError where the platform refuses raw sockets, and what ended it otherwise. It may
        be called again then: bindings that are good cost nothing, if the addresses come back.
        """
        self._ended = asyncio.Event()
        self._failure = None
        try:
            self._let_go()
            self.port.start(self)
            self.attend()
            await self._ended.wait()
            raise self._failure  # type: ignore[misc]  # what `failed` was told
        except asyncio.CancelledError:
            try:
                await self._say_goodbye()
            except Exception as error:
                self.part.note(error)
            raise
        except Exception:
            self._let_go()
            raise
        finally:
            for task in (self._timer, self._looking):
                if task is not None:
                    task.cancel()
            self._timer = self._looking = self._ended = None
            try:
                self.port.stop()
            except Exception as error:  # what is on its way is what ended it
                self.part.note(error)

    def _let_go(self) -> None:
        """There is no address any more: what the port told before counts no longer."""
        now = self.now()
        for uplink, _, address in self.uplinks.all():
            self.uplinks.gone(uplink, address, now)
        if self.bindings is not None:
            self.bindings.detach(now)

    def watch(self, watchdog: "Callable[[], object] | None") -> None:
        """Call this one from now on."""
        self.watchdog = watchdog
        self.attend()

    def failed(self, error: "Exception") -> None:
        """Something went wrong that nobody foresaw: `run` ends with it."""
        self._failure = error
        if self._ended is not None:
            self._ended.set()

    def faulted(self, error: "Exception") -> None:
        """Something went wrong with one packet or event: that is lost, and counted."""
        if self.part.note(error):
            self.failed(error)

    def attend(self) -> None:
        """Use the best address, send what is due, set the timer for what comes."""
        now = self.now()
        if self.watchdog is not None:
            self.watchdog()
        try:
            self._go_on(now)
            if self._ended is not None:
                self._set_timer(now)
        except Exception as error:
            self._stumbled(error)

    def _stumbled(self, error: "Exception") -> None:
        """As `faulted`, maybe half-way in a change of state: begin again in a second, later where
        that fails, too: each time may cost a number."""
        self._torn = True
        self._stumbles += 1
        self.faulted(error)
        if self._ended is not None:
            try:
                self._set_timer(self.now())
            except Exception as another:  # without a timer nothing would go on
                self.failed(another)

    def _go_on(self, now: int) -> None:
        bindings = self.bindings
        if bindings is not None:
            if self._torn:  # begin again; a binding that is good stays so
                bindings.detach(now)
                self._torn = False
            if bindings.care_of is not None:
                self._judge(bindings, bindings.care_of, now)
            best = self.uplinks.best(now, bindings.care_of)
            if best is None:
                bindings.detach(now)
            else:
                self._use(bindings, best[0], best[1], now)
            self._send(now)
            free = bindings.home_agent is not None and bindings.to_announce()  # type: ignore[attr-defined]  # a HomeUpdateList
            if free and hasattr(self.port, "announce"):
                self.port.announce(bindings.uplink)
            for socket in self.sockets.values():
                socket.flush()
            if self._looking is None and self._ended is not None:
                self._look_up(bindings, now)

    def _use(self, bindings: BindingUpdateList, uplink: str, address: bytes, now: int) -> None:
        """Use an address of an uplink; the IPv4 one beside it serves too."""
        ipv4 = self.uplinks.ipv4_of(uplink)
        moved = address != bindings.care_of
        if moved:
            bindings.valid_until = self.uplinks.valid_until(address)
            if bindings.care_of is not None:
                bindings.overlaps = self.uplinks.overlaps(bindings.care_of, uplink, self.now())
        elif ipv4 == bindings.ways.ipv4:
            return
        network = uplink if self._named() else _network_of(address)
        bindings.uplink = uplink
        bindings.attach(address, now, ipv4, network)
        if moved:
            for port in self.sockets:
                self._listen(port)

    def _named(self) -> bool:
        """Whether the port's uplinks are named as their networks are."""
        return hasattr(self.port, "named") and self.port.named

    def _look_up(self, bindings: BindingUpdateList, now: int) -> None:
        """Look a name up where no way that is known leads anywhere."""
        at = silence.stuck_at(bindings)
        if at is None or now < at:
            return
        name = bindings.ways.wanted(now, silence.silent_since(bindings, now) is not None)
        if name is not None:
            self._looking = asyncio.create_task(self._resolve(bindings, name))

    async def _resolve(self, bindings: BindingUpdateList, name: str) -> None:
        """The platform's own call may stop everything for seconds: what is due leaves first."""
        try:
            await asyncio.sleep(0)
            ways, at = bindings.ways, self.now()
            found = self.port.resolve(name, ways.ipv6 is not None, ways.ipv4 is not None,
                                      self.watchdog)  # fmt: skip
            now = self.now()
            if ways.learn(name, found, now, now - at):
                bindings.more_ways(now)
        except Exception as error:
            self.faulted(error)
        self._looking = None
        self.attend()

    def _judge(self, bindings: BindingUpdateList, care_of: bytes, now: int) -> None:
        """Whether the address in use still leads anywhere: other routers may be on its link, its
        updates may go unanswered."""
        if self._verify_at is not None and now >= self._verify_at:
            self._verify_at = None
            if self.uplinks.beside(care_of):
                silence.verify(bindings, now)
        since = silence.silent_since(bindings, now)
        if since is not None:
            self.uplinks.silent(care_of, now, since)

    def _set_timer(self, now: int) -> None:
        """Have `attend` called at the next deadline; a timer that rings before it may stand."""
        soonest = now + (_SLEEP_MAX if self.watchdog is None else _WATCHDOG_MAX)
        if self.bindings is not None:
            for at in (self.bindings.wakes_at(), self.uplinks.wakes_at(now)):
                if at is not None and at < soonest:
                    soonest = at
            stuck = silence.stuck_at(self.bindings)
            for at in (
                silence.silent_at(self.bindings),
                self._verify_at,
                stuck,
                None if stuck is None else self.bindings.ways.wanted_at(),
            ):
                if at is not None and now < at < soonest:
                    soonest = at
        if self._top_up_due and soonest - now > 2 * _QUIET:
            soonest = now + _QUIET
        if self._torn:
            soonest = now + (_AGAIN << min(self._stumbles - 1, _STUMBLES_MAX))
        if self._timer is not None:
            if self._timer_at <= soonest:
                return
            self._timer.cancel()
        self._timer_at = soonest
        self._timer = asyncio.create_task(self._ring(max(0, soonest - now)))

    async def _ring(self, milliseconds: int) -> None:
        try:
            await asyncio.sleep(milliseconds / 1000)
            self._timer = None
            if self._top_up_due and self._quiet():
                self._top_up()
            self.attend()
        except Exception as error:  # without a timer nothing would go on
            self._timer = None
            self.failed(error)

    def _quiet(self) -> bool:
        """Whether nothing is due for a while, so that flash may be written."""
        now = self.now()
        at = None if self.bindings is None else self.bindings.wakes_at()
        return at is None or at - now > _QUIET

    def _send(self, now: int) -> None:
        bindings = self.bindings
        assert bindings is not None
        while True:
            packet = bindings.next_packet(now)
            if packet is None:
                return
            self._top_up_due = True
            if not self.send_data(packet):
                bindings.unsent()
            self._stumbles = 0

    def _top_up(self) -> None:
        """Reserve sequence numbers ahead, so that a move never waits for flash."""
        self._top_up_due = False
        try:
            self.keystore.top_up()
            self.fault = ""
        except StorageError as error:
            self.fault = "sequence counter: %s" % error
        except Exception as error:
            self.faulted(error)

    async def _say_goodbye(self) -> None:
        """Have the bindings deleted before the end, as long as somebody answers."""
        bindings = self.bindings
        if bindings is None:
            return
        until = self.now() + _GOODBYE
        self.farewell()
        while not bindings.closed and self.now() < until:
            await asyncio.sleep(_GOODBYE_STEP / 1000)
            self._send(self.now())

    def farewell(self) -> None:
        """Tell each correspondent once to delete its binding, and wait for no answer: the keys are
        about to go. `reload` follows."""
        if self.bindings is not None:
            self.bindings.shutdown(self.now())
            self._send(self.now())

    # What the port tells

    def address_usable(
        self,
        uplink: str,
        priority: int,
        address: bytes,
        preferred: bool = True,
        valid_s: "int | None" = None,
    ) -> None:
        """An address (16 octets) of an uplink can be used as of now; to be told again when that
        changes. `preferred`: not deprecated (RFC 4862 section 5.5.4). `valid_s`: seconds for which
        it is valid, None for ever."""
        now = self.now()
        new = self.uplinks.usable(uplink, priority, address, now, preferred, valid_s)
        bindings = self.bindings
        if bindings is not None and bindings.care_of is not None:
            bindings.valid_until = self.uplinks.valid_until(bindings.care_of)
            if new and address != bindings.care_of and not addresses.is_ipv4(address):
                self._verify_at = now + _VERIFY_MS
        self.attend()
        if self.bindings is not None:
            self.bindings.prepare(address)

    def address_gone(self, uplink: str, address: bytes) -> None:
        """An address can't be used any more."""
        self.uplinks.gone(uplink, address, self.now())
        if self.bindings is not None:
            self.bindings.left(address)
        self.attend()
        if self.bindings is not None:
            self.bindings.forget(address)

    def way_open(self) -> None:
        """Packets may find a way that found none: what nobody answered goes again, soon."""
        if self.bindings is not None:
            self.bindings.again(self.now())
            self.attend()

    def received(
        self, source: bytes, destination: bytes, next_header: int, payload: "Octets"
    ) -> None:
        """A packet came; `payload` from the header of type `next_header` on. Never raises.

        Of a datagram from outside (packets.ENCAPSULATED and its source port) the destination
        doesn't count.
        """
        try:
            self._take(source, destination, next_header, payload)
        except Exception as error:
            self._stumbled(error)

    def _take(
        self, source: bytes, destination: bytes, next_header: int, payload: "Octets"
    ) -> None:
        if self.bindings is None:
            return
        now = self.now()
        heard = silence.heard_at(self.bindings)
        packet = self.bindings.receive(source, destination, next_header, payload, now)
        if packet is None:
            if silence.heard_at(self.bindings) != heard and self.bindings.care_of is not None:
                self.uplinks.answered(self.bindings.care_of)
            self.attend()
        elif self._is_of_others(packet):
            pass
        elif not packet.checksum_ok():
            self.bindings.drop("checksum")
        elif packet.protocol == packets.UDP:
            self._deliver(packet)
        elif packet.protocol == packets.ICMPV6:
            self._echo(packet)
        else:
            self.bindings.drop("protocol")

    def _is_of_others(self, _: "Packet") -> bool:
        """Whether it was for another program of this machine, which has it now."""
        return False

    def _deliver(self, packet: "Packet") -> None:
        assert self.bindings is not None
        header = packet.payload
        octets = header[4] << 8 | header[5] if len(header) >= packets.UDP_HEADER_OCTETS else 0
        if not packets.UDP_HEADER_OCTETS <= octets <= len(header):
            self.bindings.drop("length")
        elif not (header[6] or header[7]):
            self.bindings.drop("checksum")  # RFC 8200 section 8.1: there is no UDP without
        else:
            socket = self.sockets.get(header[2] << 8 | header[3])
            if socket is None:
                self.bindings.drop("no socket")
            else:
                socket.deliver(packet.logical_source, header)

    def _echo(self, packet: "Packet") -> None:
        bindings = self.bindings
        assert bindings is not None
        answer = _echo_reply(packet, bindings.home_address)
        if answer is None or not bindings.reaches(packet.logical_source):
            bindings.drop("icmpv6")
        else:
            self.send_data(bindings.carry(packet.logical_source, packets.ICMPV6, answer))

    # What sockets ask for (datagrams.py)

    def add_socket(self, socket: "PortSocket") -> None:
        """Datagrams to this socket's port are its own from now on."""
        self.sockets[socket.port] = socket
        self._listen(socket.port)

    def remove_socket(self, socket: "PortSocket") -> None:
        """The port is free again."""
        self.sockets.pop(socket.port, None)

    def _listen(self, port: int) -> None:
        """At home there is no routing header to catch datagrams by: the platform has to."""
        bindings = self.bindings
        if bindings is None or bindings.care_of != bindings.home_address:
            return
        if hasattr(self.port, "listen"):
            self.port.listen(bindings.home_address, port)

    def send_data(self, packet: "Outgoing") -> bool:
        """Send what `bindings.carry` made; whether the platform took it."""
        taken = self.port.send(*packet)
        if not taken:
            self.unsent += 1
        elif packet[2] >= packets.ENCAPSULATED and self.bindings is not None:
            self.bindings.carried(self.now())
        return taken

    # What applications may ask (docs/APPLICATIONS.md)

    @property
    def home_address(self) -> "bytes | None":
        """16 octets; None as long as the board holds no keys."""
        return None if self.bindings is None else self.bindings.home_address

    @property
    def care_of_address(self) -> "bytes | None":
        """16 octets, the home address itself at home; None where the node has no address."""
        return None if self.bindings is None else self.bindings.care_of

    @property
    def correspondents(self) -> "list[bytes]":
        """The addresses (16 octets) of all that the board was provisioned for, but the home
        agent."""
        if self.bindings is None:
            return []
        found, agent = self.bindings.bindings, self.bindings.home_agent
        return [one.correspondent for one in found if one is not agent]

    @property
    def keepalive_s(self) -> int:
        """After how many seconds of silence a port at a NAT is kept, where the correspondent names
        no other; 0: never, for a node that sleeps and registers when it wakes."""
        return self._keepalive_s

    @keepalive_s.setter
    def keepalive_s(self, seconds: int) -> None:
        self._keepalive_s = seconds
        if self.bindings is not None:
            self.bindings.keepalive_s = seconds

    def reaches(self, correspondent: bytes) -> bool:
        """Whether a datagram to a correspondent (16 octets) would leave at once."""
        return self.bindings is not None and self.bindings.reaches(correspondent)

    # What the console tells

    def status(self) -> "dict[str, Any]":
        """What a person wants to know, in plain values; no secrets. A load point: status.py."""
        from .status import of_node

        return of_node(self)


def _network_of(address: bytes) -> str:
    """What the network of an address is remembered by: its prefix."""
    octets = _IPV4_NETWORK if addresses.is_ipv4(address) else _IPV6_NETWORK
    return addresses.text(address[:octets] + bytes(16 - octets))


def _echo_reply(packet: "Packet", home_address: bytes) -> bytes | None:
    """The message that answers `packet` (packets.Packet, checksum right); None for no request.

    So anyone at a correspondent can ping the node.
    """
    if len(packet.payload) < _ECHO_OCTETS_MIN or packet.payload[0] != _ECHO_REQUEST:
        return None
    if packet.payload[1]:
        return None
    reply = bytearray(packet.payload)
    reply[0] = _ECHO_REPLY
    reply[2] = reply[3] = 0
    value = packets.checksum(home_address, packet.logical_source, packets.ICMPV6, reply)
    reply[2] = value >> 8
    reply[3] = value & 255
    return bytes(reply)
