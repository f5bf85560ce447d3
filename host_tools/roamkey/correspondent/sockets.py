"""Raw IPv6 sockets of one correspondent address.

Three of them, all bound to the address: so the kernel passes on only what is sent to it, and sends
from it.

- protocol 60 (Destination Options): what comes from nodes away from home. A raw socket gets its
  copy at this header, before the kernel judges it: kernels without Mobile IPv6 do as well.
- protocol 135 (Mobility Header): Binding Updates from nodes at home; Binding Errors, and
  acknowledgements to nodes at home, leave here.
- protocol 43 (Routing): acknowledgements to nodes away leave here. Nothing is read from it.

The payload that a socket gives begins at its own header, without the IPv6 header. A message behind
Destination Options reaches the socket of protocol 135 too, on kernels with Mobile IPv6 even with
the home address as its source; the option's ancillary data tells, and it is left to the other.

With a data plane there may be a route that leads what is for a home address to where the node was
last. So answers to a node at home leave by the interface that it was heard on, not by the route.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent import buffers, localaddress
from roamkey.correspondent.core.entries import Inbound, Reply
from roamkey.correspondent.dataplane import filters
from roamkey.correspondent.localaddress import State
from roamkey.errors import SystemRefusedError

_OCTETS_MAX = 65535
_RECEIVE_BUFFER = 16 << 20  # a burst waits here while the one before is being committed
_ANCILLARY = 4096
_DIRECT_MAX = 32  # interfaces that nodes at home are answered by; some come and go
_COMES_S = 30  # within which an address is there, and usable, after the machine's start
_HINT = (
    ": give it to an interface; or, where it is the site's or boards were provisioned for it, "
    "serve it with a data plane, whose device then has it"
)
_PACKET_INFO = struct.Struct("@16sI")  # struct in6_pktinfo: address, interface's index


class RawSockets:
    """The sockets of one correspondent address. `close()` them."""

    def __init__(self, address: IPv6Address) -> None:
        """Open and bind them; raises SystemRefusedError."""
        self._opened: list[socket.socket] = []
        self._direct: dict[int, socket.socket] = {}  # by the index of the interface
        try:
            self.away = self._open(packets.DESTINATION_OPTIONS, address)
            self.home = self._open(packets.MOBILITY, address)
            self._routed = self._open(packets.ROUTING, address)
        except SystemRefusedError:
            self.close()
            raise
        self._address = address
        self.home.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVDSTOPTS, 1)
        # The kernel would drop wrong checksums itself, among them those that a home address
        # makes right, and count them with what it has no room for. Ours are always filled in.
        self.home.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, -1)
        for one in (self.away, self.home):
            buffers.widen(one, _RECEIVE_BUFFER)
        self._routed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.send_errors = 0

    def close(self) -> None:
        """Close all of them."""
        for one in (*self._opened, *self._direct.values()):
            one.close()

    def receive(self, most: int) -> list[Inbound]:
        """What waits, `most` packets at most, in each socket's order; doesn't wait.

        Each has its half: what comes to one never keeps the other unread.
        """
        half = most // 2
        packets_in = list(_drain_home(self.home, half))
        at_home = len(packets_in)
        packets_in.extend(_drain_away(self.away, most - at_home))
        if at_home == half:
            packets_in.extend(_drain_home(self.home, most - len(packets_in)))
        return packets_in

    def send(self, reply: Reply) -> None:
        """Send a reply; what the kernel doesn't take is counted in `send_errors`, and lost as a
        packet on the way may be."""
        target = (socket.inet_ntop(socket.AF_INET6, reply.destination), 0, 0, reply.scope)
        try:
            if reply.next_header == packets.ROUTING:
                one = self._routed
            else:
                one = self._direct.get(reply.scope) or self._open_direct(reply.scope)
            one.sendto(reply.payload, target)
        except BlockingIOError:
            self.send_errors += 1
        except OSError:  # maybe the interface's end, and another one has its index
            self.send_errors += 1
            self._close_direct(reply.scope)

    def leave_data(self) -> None:
        """From now on what is data goes to the data plane's socket alone, and nodes at home are
        answered by the interface that they were heard on."""
        self.home.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        filters.all_but_data(self.away, packets.DESTINATION_OPTIONS)

    def overflows(self) -> int:
        """How many packets the kernel dropped because the receive buffers were full."""
        return sum(buffers.overflows(one) for one in (self.away, self.home))

    def _open_direct(self, interface: int) -> socket.socket:
        """A socket that sends by one interface; the common one for 0. Raises OSError."""
        if not interface:
            return self.home
        name = socket.if_indextoname(interface).encode()
        if len(self._direct) >= _DIRECT_MAX:
            self._close_direct(next(iter(self._direct)))
        one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, packets.MOBILITY)
        try:
            filters.nothing(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name + b"\0")
            one.bind((str(self._address), 0))
        except OSError:
            one.close()
            raise
        self._direct[interface] = one
        return one

    def _close_direct(self, interface: int) -> None:
        one = self._direct.pop(interface, None)
        if one is not None:
            one.close()

    def _open(self, protocol: int, address: IPv6Address) -> socket.socket:
        try:
            one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        except PermissionError:
            raise SystemRefusedError("raw sockets need root, or CAP_NET_RAW") from None
        except OSError as error:
            raise SystemRefusedError(f"no raw IPv6 socket: {error.strerror}") from None
        self._opened.append(one)
        one.setblocking(False)
        _bind(one, address)
        return one


def _bind(one: socket.socket, address: IPv6Address) -> None:
    """Bind; an address that is still being checked for duplicates is waited for, and by a service
    one that isn't there yet, as when the machine starts."""
    started = time.monotonic()
    while True:
        try:
            one.bind((str(address), 0))
            return
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise SystemRefusedError(f"{address}: {error.strerror}") from None
        state, _ = localaddress.look(address)
        of_service = state is State.GONE and "NOTIFY_SOCKET" in os.environ
        waits = of_service or state in (State.TENTATIVE, State.HERE)
        if not waits or time.monotonic() - started > _COMES_S:
            hint = _HINT if state is State.GONE else ""
            raise SystemRefusedError(f"{address} {state.value}{hint}")
        time.sleep(0.05)


def _drain_away(one: socket.socket, most: int) -> Iterator[Inbound]:
    for _ in range(most):
        try:
            payload, (source, _, _, scope) = one.recvfrom(_OCTETS_MAX)
        except BlockingIOError:
            return
        except OSError:  # an error report for an earlier packet of ours
            continue
        yield Inbound(packets.DESTINATION_OPTIONS, payload, _octets(source), scope)


def _drain_home(one: socket.socket, most: int) -> Iterator[Inbound]:
    for _ in range(most):
        try:
            payload, ancillary, _, (source, _, _, scope) = one.recvmsg(_OCTETS_MAX, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError:
            continue
        told = {kind: data for _, kind, data in ancillary}
        if socket.IPV6_DSTOPTS not in told:
            if socket.IPV6_PKTINFO in told:
                _, scope = _PACKET_INFO.unpack(told[socket.IPV6_PKTINFO])
            yield Inbound(packets.MOBILITY, payload, _octets(source), scope)


def _octets(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
