"""All programs of this machine use the home address, by the kernel's own Mobile IPv6.

Towards each correspondent that the node is bound at natively the kernel has two states and three
policies (xfrm.py), the home address, and a route that offers it as the source (homeroute.py). A
move changes them. Without a binding what is sent from the home address leaves nowhere, so
connections wait; after three seconds the route is gone, and new ones are plain. At home nothing is
needed.

All of it is lent by the kernel for half a minute, so of an agent that was killed nothing stays.
What somebody else has there for the same two addresses is left alone, and the plane isn't used.
Needs CAP_NET_ADMIN, and a kernel with CONFIG_IPV6_MIP6 and CONFIG_XFRM_USER.
"""

import asyncio
import errno

from .. import packets
from ..addresses import is_ipv4
from ..bindings import states
from ..clock import now
from ..compat import const
from ..node import Node
from ..ports.sockets import Udp, ask, deaf_at, open_family
from ..ports.waiting import Watch
from . import homeroute, xfrm

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from typing import Any

    from ..bindings.binding import Binding
    from ..keystore.keystore import Keystore
    from ..packets import Packet
    from ..ports.posix import Port
    from ..protocols import Plane

KERNEL = "kernel"
NONE = "none"
AUTO = "auto"
PLANES = (AUTO, KERNEL, NONE)

_LEASE_S = const(30)
_RENEW_MS = const(10000)
_HOLD_MS = const(3000)  # without a binding, until new connections are plain
_LOOK_S = const(1)
_OCTETS_MAX = const(2048)
_BURST = const(16)
_EPROTONOSUPPORT = const(93)
_GONE = (errno.ENOENT, 3, 19, 99)  # ESRCH, ENODEV, EADDRNOTAVAIL
_NOBODY = b"\x01" + bytes(14)  # of no prefix in use


def refusal() -> str | None:
    """Why this kernel doesn't do it, in a line; None where it does."""
    first, second = _NOBODY + b"\x01", _NOBODY + b"\x02"
    try:
        one = open_family(xfrm.PROTOCOL)
        try:
            made = ask(one, xfrm.state(xfrm.OUT, first, second, second, 1, True))
            number = xfrm.refused(made)
            ask(one, xfrm.no_state(xfrm.OUT, first, second))
        finally:
            one.close()
    except OSError as error:
        number = error.args[0]
    if number in (0, errno.EEXIST):
        return None
    if number == _EPROTONOSUPPORT:
        return "this kernel has no Mobile IPv6 (CONFIG_IPV6_MIP6) or no CONFIG_XFRM_USER"
    if number == errno.EPERM:
        return "the kernel's Mobile IPv6 needs root, or CAP_NET_ADMIN"
    return "this kernel doesn't take Mobile IPv6's states (error %s)" % number


def choose(wanted: str) -> tuple[str, str]:
    """The plane, and why in a line; `wanted`: AUTO, or the one that is asked for."""
    why = None if wanted == NONE else refusal()
    if wanted == NONE or why is not None:
        return NONE, why or "asked for"
    return KERNEL, "the kernel has Mobile IPv6" if wanted == AUTO else "asked for"


class _Pair:
    """What the kernel has towards one correspondent."""

    def __init__(self) -> None:
        self.care_of: bytes | None = None  # of the states that are there; None: there are none
        self.made_at = 0  # the states
        self.lost_at = 0  # since when there are none
        # The route: for packets from where, by which interface and router; None: there is none
        self.source: bytes | None = None
        self.interface: int | None = None
        self.router: bytes | None = None


class Programs:
    """`port`: posix.Port, which knows interfaces and counts what is refused. `why`: why not."""

    def __init__(self, port: "Port", plane: str, why: str) -> None:
        port.mobility_alone = plane == KERNEL
        self.plane = plane
        self.why = why
        self._port = port
        self._home: bytes | None = None
        self._pairs: dict[bytes, _Pair] = {}
        self._xfrm: socket.socket | None = None
        self._routes: socket.socket | None = None
        self._news: socket.socket | None = None
        self._watch: Watch | None = None
        self._mobility: socket.socket | None = None
        self._ears: dict[int, tuple[socket.socket, Watch]] = {}  # by UDP port
        self._renew_at = 0
        self._turned = False  # routes changed

    def start(self, node: "RoutedNode") -> None:
        """Begin; needs a running loop. Raises OSError."""
        self._node = node
        if self.plane == NONE:
            return
        self._xfrm = open_family(xfrm.PROTOCOL)
        self._routes = open_family(homeroute.ROUTES)
        self._news = open_family(homeroute.ROUTES, homeroute.NEWS)
        self._watch = Watch(self._news, self._hear, node.faulted)

    def stop(self) -> None:
        """Take all away."""
        self._leave()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        for one in (self._xfrm, self._routes, self._news):
            if one is not None:
                one.close()
        self._xfrm = self._routes = self._news = None

    def _hear(self) -> None:
        """Routes change, ours too; a queue that was full may have held anything."""
        assert self._news is not None
        for _ in range(_BURST):
            try:
                told = self._news.recv(_OCTETS_MAX)
            except OSError as error:
                self._turned |= error.args[0] != errno.EAGAIN
                return
            self._turned |= homeroute.is_news(told)

    def look(self) -> None:
        """Once a second: leases, other routers, and what has waited for long enough."""
        at = now()
        for correspondent, pair in self._pairs.items():
            if pair.care_of is None and at - pair.lost_at >= _HOLD_MS:
                self._lead(correspondent, pair, None)
            elif self._turned:
                self._lead(correspondent, pair, pair.source)
        self._turned = False
        if at >= self._renew_at and self._home is not None:
            self._renew_at = at + _RENEW_MS
            self._renew(self._home)

    def follow(self) -> None:
        """Have the kernel do as the bindings are."""
        if self._xfrm is None:
            return
        bindings = self._node.bindings
        if bindings is None or bindings.attachment == states.HOME:
            self._leave()
            return
        correspondents = self._node.correspondents
        if bindings.home_address != self._home or any(
            one not in correspondents
            for one in self._pairs  # of keys that are gone
        ):
            self._leave()
        for binding in bindings.bindings:
            if binding is not bindings.home_agent and self._xfrm is not None:
                self._follow(bindings.home_address, binding)

    def _follow(self, home: bytes, binding: "Binding") -> None:
        way = binding.data_way
        correspondent = binding.correspondent
        care_of = None
        if way is not None and way[2] is None and not is_ipv4(way[1]):
            care_of = way[1]
        pair = self._pairs.get(correspondent)
        if pair is None:
            if care_of is None:
                return
            self._enter(home)
            if not self._is_free(home, correspondent):
                self.why = "somebody else has states or policies of these addresses"
                self.plane = NONE
                self.stop()
                self._port.mobility_alone = False
                self._port.reopen()
                return
            pair = self._pairs[correspondent] = _Pair()
        if care_of != pair.care_of:
            self._bind(home, correspondent, pair, care_of)
        # Where it is bound nowhere yet, new connections wait for that, for a moment.
        source = care_of or self._node.care_of_address
        if source is None or is_ipv4(source):
            return
        if care_of is None and now() - pair.lost_at >= _HOLD_MS:
            return
        here = source, self._port.interface_of(source)
        if here != (pair.source, pair.interface) or pair.router is None:
            self._lead(correspondent, pair, source)

    def _enter(self, home: bytes) -> None:
        """The home address is in use."""
        if self._home is not None:
            return
        self._home = home
        self._renew_at = now() + _RENEW_MS
        self._tell(self._routes, homeroute.address(home, _LEASE_S))
        try:
            # Acknowledgements arrive at the home address once more, their headers taken off:
            # without a socket there the kernel would answer that nobody knows them.
            self._mobility = deaf_at(home, packets.MOBILITY)
        except OSError as error:
            self._port.fault(error)
        for port in self._node.sockets:
            self.listen(port)

    def _leave(self) -> None:
        """Nothing of it is needed any more."""
        home, self._home = self._home, None
        if home is None:
            return
        for correspondent in self._pairs:
            self._clear(home, correspondent)
            self._tell(self._routes, homeroute.no_route(correspondent))
        self._pairs = {}
        for one, watch in self._ears.values():
            watch.stop()
            one.close()
        self._ears = {}
        if self._mobility is not None:
            self._mobility.close()
            self._mobility = None
        self._tell(self._routes, homeroute.no_address(home))

    def _is_free(self, home: bytes, correspondent: bytes) -> bool:
        """Whether there is nothing of others; what an agent that was killed left goes."""
        for kind in xfrm.KINDS:
            if xfrm.is_ours(self._ask(xfrm.ask_state(kind, home, correspondent))) is False:
                return False
        for which in xfrm.POLICIES:
            if xfrm.is_ours(self._ask(xfrm.ask_policy(which, home, correspondent))) is False:
                return False
        self._clear(home, correspondent)
        return True

    def _clear(self, home: bytes, correspondent: bytes) -> None:
        for kind in xfrm.KINDS:
            self._tell(self._xfrm, xfrm.no_state(kind, home, correspondent))
        for which in xfrm.POLICIES:
            self._tell(self._xfrm, xfrm.no_policy(which, home, correspondent))

    def _bind(
        self, home: bytes, correspondent: bytes, pair: "_Pair", care_of: bytes | None
    ) -> None:
        """The correspondent knows the node at a care-of address, or (None) nowhere."""
        at = now()
        before, pair.care_of = pair.care_of, care_of
        if care_of is None:
            pair.lost_at = at
            self._put_policies(home, correspondent, pair)
            for kind in xfrm.KINDS:
                self._tell(self._xfrm, xfrm.no_state(kind, home, correspondent))
            return
        if before is None:
            pair.made_at = at
        self._put_states(home, correspondent, pair)
        self._put_policies(home, correspondent, pair)

    def _put_states(self, home: bytes, correspondent: bytes, pair: "_Pair") -> None:
        assert pair.care_of is not None
        seconds = (now() - pair.made_at) // 1000 + _LEASE_S
        for kind in xfrm.KINDS:
            way = kind, home, correspondent, pair.care_of
            if xfrm.refused(self._ask(xfrm.state(*way, seconds, False))):  # there is none
                self._tell(self._xfrm, xfrm.state(*way, seconds, True))

    def _put_policies(self, home: bytes, correspondent: bytes, pair: "_Pair") -> None:
        bound = pair.care_of is not None
        for which in xfrm.POLICIES:
            self._tell(self._xfrm, xfrm.policy(which, home, correspondent, _LEASE_S, bound))

    def _lead(self, correspondent: bytes, pair: "_Pair", source: bytes | None) -> None:
        """Have the route where packets from an address of ours go, or (None) nowhere."""
        if pair.source is not None:
            self._tell(self._routes, homeroute.no_route(correspondent))  # it would be the answer
        pair.source = source
        pair.interface = pair.router = None
        if source is not None:
            pair.interface = self._port.interface_of(source)
        if source is not None and pair.interface is not None:
            question = homeroute.ask_route(correspondent, source, pair.interface)
            pair.router = homeroute.gateway(self._ask(question, self._routes))
            self._put_route(correspondent, pair)

    def _put_route(self, correspondent: bytes, pair: "_Pair") -> None:
        if pair.router is not None and pair.interface is not None and self._home is not None:
            way = correspondent, self._home, _LEASE_S, pair.interface, pair.router
            self._tell(self._routes, homeroute.route(*way))

    def _renew(self, home: bytes) -> None:
        self._tell(self._routes, homeroute.address(home, _LEASE_S))
        for correspondent, pair in self._pairs.items():
            if pair.care_of is not None:
                self._put_states(home, correspondent, pair)
            self._put_policies(home, correspondent, pair)
            self._put_route(correspondent, pair)

    def _ask(self, request: bytes, one: "socket.socket | None" = None) -> bytes:
        try:
            return ask(one or self._xfrm, request)  # type: ignore[arg-type]  # open
        except OSError as error:
            self._port.fault(error)
            return b""

    def _tell(self, one: "socket.socket | None", request: bytes) -> None:
        """Have something done; what is gone already needn't be taken away."""
        number = xfrm.refused(self._ask(request, one))
        if number and number not in _GONE:
            self._port.fault(OSError(number))

    # The agent's own UDP ports: what comes for them passes the kernel, too

    def listen(self, port: int) -> None:
        """Have datagrams to a UDP port of the home address, natively, go to the agent's socket."""
        if self._home is None or port in self._ears:
            return
        try:
            one = Udp(self._home, "", port)
        except OSError as error:  # a program has it
            self._port.fault(error)
            return
        self._ears[port] = one.socket, Watch(one.socket, _ear(self, one), self._node.faulted)

    def take(self, packet: "Packet") -> bool:
        """Whether a packet that came to the agent is for a program, and it has it now. Here it
        came inside UDP or a tunnel: then it is the agent's own."""
        return False

    def deliver(self, source: bytes, datagram: bytes, port: int) -> None:
        """A datagram came: it counts from a correspondent alone."""
        if self._node.reaches(source) and port in self._node.sockets:
            self._node.sockets[port].deliver(source, datagram)


def _ear(programs: "Programs", one: "Any") -> "Any":
    def read() -> None:
        for _ in range(_BURST):
            found = one.receive(_OCTETS_MAX)
            if found is None:
                return
            programs.deliver(found[1], found[0], one.port)

    return read


class RoutedNode(Node):
    """A node whose programs all use the home address. `programs`: `Programs`, or what does the
    same in another way."""

    def __init__(self, keystore: "Keystore", port: "Port", programs: "Plane") -> None:
        self.programs = programs
        super().__init__(keystore, port)

    async def run(self) -> None:
        """As a node's."""
        self.programs.start(self)
        looking = asyncio.create_task(self._look())
        try:
            await super().run()
        finally:
            looking.cancel()
            self.programs.stop()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                self.programs.look()
            except Exception as error:
                self.faulted(error)

    def attend(self) -> None:
        """As a node's; then the kernel is told."""
        super().attend()
        try:
            self.programs.follow()
        except Exception as error:
            self.faulted(error)

    def _listen(self, port: int) -> None:
        super()._listen(port)
        self.programs.listen(port)

    def _is_of_others(self, packet: "Packet") -> bool:
        return self.programs.take(packet)

    def status(self) -> "dict[str, Any]":
        """As a node's, and what carries the packets of this machine's programs."""
        answer = super().status()
        answer["plane"] = self.programs.plane
        answer["plane_text"] = self.programs.why
        return answer
