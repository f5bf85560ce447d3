"""Raspberry Pi Pico W: one Wi-Fi uplink, its addresses from lwIP's autoconfiguration.

lwIP tells nothing by itself, so the interface is looked at ten times a second: an address is seen
at most 100 ms after duplicate address detection passed (which lwIP takes one to two seconds for),
for less than one percent of the processor. docs/LIMITS.md, "Pico W", says what the stack denies.
"""

import asyncio
import errno

from .. import packets
from ..compat import const
from . import networks
from .files import FileStore
from .lwip import Receiver, Sender
from .station import Station
from .waiting import Watch

_UNANSWERED_MAX = const(
    4
)  # packets sent: the fourth update leaves some ten seconds after the first
_BURST = const(4)  # lwIP queues no more for a socket

# RFC 4861 section 4.1: to all routers, from the unspecified address, hop limit 255
_ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x02"
_UNSPECIFIED = bytes(16)
_LINK_LOCAL = b"\xfe\x80" + bytes(13) + b"\x01"  # only to have lwIP take an interface
_ROUTER_SOLICITATION = const(133)


def _solicitation():
    body = bytes((_ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0))
    value = packets.checksum(_UNSPECIFIED, _ALL_ROUTERS, packets.ICMPV6, body)
    return body[:2] + bytes((value >> 8, value & 255)) + body[4:]


class Port:
    """The Wi-Fi uplink and raw IPv6. `store`: holds the record of networks (see networks.py).

    It tells its `sink` what happens: `address_usable(uplink, priority, address)`,
    `address_gone(uplink, address)`, `received(source, destination, next_header, payload)`,
    `failed(error)` for what nobody foresaw. The uplink is the network's name. Of several addresses
    the newest usable one is told, alone.
    Raises OSError where this firmware's raw sockets aren't as expected, or all are in use.
    """

    def __init__(self, store=None):
        import network

        self.faults = {}  # what the system refused, counted by errno name or number
        self._store = store or FileStore("/roamkey")
        self._receivers = []
        self._watches = []
        self._task = self._sink = None
        self._sender = Sender()
        try:
            for protocol in (packets.ROUTING, packets.MOBILITY):
                self._receivers.append(Receiver(protocol))
        except OSError:
            self._close()
            raise
        self._station = Station(
            network.WLAN(network.STA_IF), self._solicit, self._tell, self._fault
        )
        self._told = None  # (uplink, address)
        self._unanswered = 0  # packets sent since one was received, or since we joined anew
        self._renewed = False

    def start(self, sink):
        """Begin: needs a running asyncio loop."""
        self._sink = sink
        self.reload()
        for receiver in self._receivers:
            self._watches.append(Watch(receiver.socket, _reader(self, receiver), sink.failed))
        self._task = asyncio.create_task(self._work())

    async def _work(self):
        try:
            await self._station.run()
        except Exception as error:
            self._sink.failed(error)

    def reload(self):
        """Read the record of networks again."""
        try:
            self._station.use(networks.read(self._store))
        except ValueError:
            self._count("networks damaged")
            self._station.use([])

    def stop(self):
        """End: the sockets are given back; the interface stays as it is."""
        if self._task is not None:
            self._task.cancel()
        self._close()

    def _close(self):
        for watch in self._watches:
            watch.stop()
        for receiver in self._receivers:
            receiver.close()
        self._sender.close()
        self._watches = []
        self._receivers = []

    def send(self, source, destination, next_header, payload):
        """Send from an address that is usable; whether it left, as far as lwIP knows."""
        if self._told is None or self._told[1] != source:
            return False
        try:
            self._sender.send(source, destination, next_header, payload)
        except OSError as error:
            self._fault(error)
            return False
        self._suspect()
        return True

    def _suspect(self):
        """Where nothing is ever answered, lwIP may send to a router of elsewhere: join anew, once.

        It keeps a router for half a minute and more though the access point led us to another
        network, and can't be told to forget one.
        """
        self._unanswered += 1
        if self._unanswered > _UNANSWERED_MAX and not self._renewed:
            self._renewed = True
            self._unanswered = 0
            self._station.renew()

    def _solicit(self):
        """Ask for a Router Advertisement now: lwIP itself may take four seconds to."""
        try:
            self._sender.send(
                _UNSPECIFIED, _ALL_ROUTERS, packets.ICMPV6, _solicitation(), 255, _LINK_LOCAL
            )
        except OSError as error:
            self._fault(error)

    def _tell(self):
        """Tell of a new address before the old one's end: the node needn't stand without one."""
        address, network = self._station.address, self._station.network
        before = self._told
        if address is None or network is None:
            self._told = None
        elif before != (network.ssid, address):
            self._told = (network.ssid, address)
            self._unanswered = 0
            self._sink.address_usable(network.ssid, network.priority, address)
        if before is not None and before != self._told:
            self._sink.address_gone(*before)

    def _drain(self, receiver):
        for _ in range(_BURST):
            try:
                packet = receiver.receive()
            except OSError as error:
                self._fault(error)
                return
            if packet is None:
                return
            self._unanswered = 0
            self._renewed = False
            self._sink.received(*packet)

    def _fault(self, error):
        number = error.args[0]
        self._count(errno.errorcode.get(number, str(number)))

    def _count(self, name):
        self.faults[name] = self.faults.get(name, 0) + 1


def _reader(port, receiver):
    return lambda: port._drain(receiver)
