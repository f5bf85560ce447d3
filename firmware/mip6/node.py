"""The node: uplinks, sockets and timers round the Binding Update List, on asyncio.

Everything that happens (an address, a packet, a timer) is dealt with where it happens, in one
call: an address that becomes usable has its updates on the way before the port's call returns.
There are no queues between the port and the bindings, so none can grow. What waits is a timer.
"""

import asyncio

from . import clock, echo, packets
from .bindings import BindingUpdateList
from .compat import const
from .credentials import READY
from .errors import StorageError
from .uplinks import Uplinks

_SLEEP_MAX = const(60000)  # ms
_WATCHDOG_MAX = const(1000)  # ms between calls of the watchdog
_QUIET = const(200)  # ms with nothing to do in which flash is written ahead
_GOODBYE = const(1500)  # ms that a shutdown waits for acknowledgements
_GOODBYE_STEP = const(50)


class Node:
    """A mobile node. `keystore`: credentials.Keystore, loaded; `port`: see ports/posix.py.

    `watchdog`: called at least once a second while all is well. `now`: milliseconds, for tests.
    """

    def __init__(self, keystore, port, watchdog=None, now=clock.now):
        self._keystore = keystore
        self._port = port
        self._watchdog = watchdog
        self._now = now
        self._ended = None
        self._failure = None
        self._timer = None
        self._timer_at = 0
        self._uplinks = Uplinks()
        self._top_up_due = False
        self._fault = ""
        self.bindings = None
        self.log = None  # an eventlog.EventLog in place of the bindings' list of events
        self.sockets = {}  # UDP port -> datagrams.Socket
        self.unsent = 0  # packets that the port didn't take
        self.reload()

    def reload(self):
        """Read the keys from the key store, after they changed; bindings start afresh."""
        self.bindings = None
        self._uplinks.home_address = None
        if self._keystore.status == READY:
            self.bindings = BindingUpdateList(self._keystore, self._now())
            self._uplinks.home_address = self.bindings.home_address
            if self.log is not None:
                self.bindings.events = self.log
                self.bindings.emit = self.log.emit  # in a handover each call counts
        self._attend()

    async def run(self):
        """Work until cancelled; then tell the correspondents, for a moment at most.

        Raises OSError where the platform refuses raw sockets.
        """
        self._ended = asyncio.Event()
        self._failure = None
        try:
            self._port.start(self)
            self._attend()
            await self._ended.wait()
            raise self._failure
        except asyncio.CancelledError:
            await self._say_goodbye()
            raise
        finally:
            self._port.stop()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._ended = None

    def failed(self, error):
        """Something went wrong that nobody foresaw: `run` ends with it."""
        self._failure = error
        self._ended.set()

    def _attend(self):
        """Use the best address, send what is due, set the timer for what comes."""
        now = self._now()
        if self._watchdog is not None:
            self._watchdog()
        bindings = self.bindings
        if bindings is not None:
            best = self._uplinks.best(now)
            if best is None:
                bindings.detach(now)
            elif best[1] != bindings.care_of:
                bindings.attach(best[1], now)
                for port in self.sockets:
                    self._listen(port)
            self._send(now)
            for socket in self.sockets.values():
                socket.flush()
        if self._ended is not None:
            self._set_timer(now)

    def _set_timer(self, now):
        """Have `_attend` called at the next deadline; a timer that rings before it may stand."""
        soonest = now + (_SLEEP_MAX if self._watchdog is None else _WATCHDOG_MAX)
        if self.bindings is not None:
            for at in (self.bindings.wakes_at(), self._uplinks.wakes_at(now)):
                if at is not None and at < soonest:
                    soonest = at
        if self._top_up_due and soonest - now > 2 * _QUIET:
            soonest = now + _QUIET
        if self._timer is not None:
            if self._timer_at <= soonest:
                return
            self._timer.cancel()
        self._timer_at = soonest
        self._timer = asyncio.create_task(self._ring(max(0, soonest - now)))

    async def _ring(self, milliseconds):
        await asyncio.sleep(milliseconds / 1000)
        self._timer = None
        try:
            if self._top_up_due and self._quiet():
                self._top_up()
            self._attend()
        except Exception as error:
            self.failed(error)

    def _quiet(self):
        """Whether nothing is due for a while, so that flash may be written."""
        now = self._now()
        at = None if self.bindings is None else self.bindings.wakes_at()
        return at is None or at - now > _QUIET

    def _send(self, now):
        while True:
            packet = self.bindings.next_packet(now)
            if packet is None:
                return
            self._top_up_due = True
            self.send_data(packet)

    def _top_up(self):
        """Reserve sequence numbers ahead, so that a move never waits for flash."""
        self._top_up_due = False
        try:
            self._keystore.top_up()
            self._fault = ""
        except StorageError as error:
            self._fault = "sequence counter: %s" % error

    async def _say_goodbye(self):
        """Have the bindings deleted before the end, as long as somebody answers."""
        bindings = self.bindings
        if bindings is None:
            return
        until = self._now() + _GOODBYE
        bindings.shutdown(self._now())
        self._send(self._now())
        while not bindings.closed and self._now() < until:
            await asyncio.sleep(_GOODBYE_STEP / 1000)
            self._send(self._now())

    # What the port tells

    def address_usable(self, uplink, priority, address):
        """An address (16 octets) of an uplink can be used as of now."""
        self._uplinks.usable(uplink, priority, address, self._now())
        self._attend()
        if self.bindings is not None:
            self.bindings.prepare(address)

    def address_gone(self, uplink, address):
        """An address can't be used any more."""
        self._uplinks.gone(uplink, address, self._now())
        self._attend()
        if self.bindings is not None:
            self.bindings.forget(address)

    def received(self, source, destination, next_header, payload):
        """A packet came; `payload` from the header of type `next_header` on."""
        if self.bindings is None:
            return
        now = self._now()
        packet = self.bindings.receive(source, destination, next_header, payload, now)
        if packet is None:
            self._attend()
        elif not packet.checksum_ok():
            self.bindings.drop("checksum")
        elif packet.protocol == packets.UDP:
            self._deliver(packet)
        elif packet.protocol == packets.ICMPV6:
            self._echo(packet)
        else:
            self.bindings.drop("protocol")

    def _deliver(self, packet):
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

    def _echo(self, packet):
        bindings = self.bindings
        answer = echo.answer(packet, bindings.home_address)
        if answer is None or not bindings.reaches(packet.logical_source):
            bindings.drop("icmpv6")
        else:
            self.send_data(bindings.carry(packet.logical_source, packets.ICMPV6, answer))

    # What sockets ask for (datagrams.py)

    def add_socket(self, socket):
        """Datagrams to this socket's port are its own from now on."""
        self.sockets[socket.port] = socket
        self._listen(socket.port)

    def remove_socket(self, socket):
        """The port is free again."""
        self.sockets.pop(socket.port, None)

    def _listen(self, port):
        """At home there is no routing header to catch datagrams by: the platform has to."""
        bindings = self.bindings
        at_home = bindings is not None and bindings.care_of == bindings.home_address
        if at_home and hasattr(self._port, "listen"):
            self._port.listen(bindings.home_address, port)

    def send_data(self, packet):
        """Send what `bindings.carry` made; whether the platform took it."""
        taken = self._port.send(*packet)
        if not taken:
            self.unsent += 1
        return taken

    # What the console tells

    def status(self):
        """What a person wants to know, in plain values; no secrets."""
        from .status import of_node

        return of_node(self)
