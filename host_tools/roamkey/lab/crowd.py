"""Many nodes on the move before a correspondent: for the live page's tests and picture.

Each node is the agent's own core (key store, Binding Update List) under CPython; all of them share
this process and two raw sockets, since a hundred interpreters would not fit a small machine. The
correspondent is `roamkey correspondent run` in a namespace of its own, at the other end of a
virtual cable. Nothing lies between but the kernel.
"""

import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mip6 import packets
from mip6.bindings import states
from mip6.bindings.update_list import BindingUpdateList
from mip6.keystore.keystore import Keystore
from roamkey import children
from roamkey.enroll.plan import Plan
from roamkey.lab.namespaces import Namespace
from roamkey.lab.network import CORRESPONDENT_ADDRESS
from roamkey.lab.resources import Resources
from roamkey.registry import Registry
from roamkey.registry.records import pairs_of

if TYPE_CHECKING:
    from mip6.protocols import Outgoing

NETWORKS = ("2001:db8:1::", "2001:db8:2::", "2001:db8:3::")
_CORRESPONDENT = IPv6Address(CORRESPONDENT_ADDRESS).packed
_GATEWAY = "2001:db8:c::1"
CABLE = "cable"
_MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"
_LIFETIME_S = 600
_KEYS = 2  # of a node
_PACKET_INFO = struct.Struct("@16sI")  # struct in6_pktinfo: address, interface
_NO_NEXT_HEADER = 59  # RFC 8200 section 4.7: data without content
_READY_S = 30.0
_OCTETS_MAX = 2048


class _Memory:
    """A store for `Keystore` that lasts as long as the crowd."""

    def __init__(self) -> None:
        self._records: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self._records.get(name)

    def write(self, name: str, data: bytes) -> None:
        self._records[name] = bytes(data)

    def remove(self, name: str) -> None:
        self._records.pop(name, None)

    def names(self) -> list[str]:
        return sorted(self._records)


class Member:
    """A node of the crowd. `bindings`: its Binding Update List; `board`: its name; `lifetime`: of
    its bindings, in seconds."""

    def __init__(
        self, number: int, board: str, registry: Registry, lifetime: int = _LIFETIME_S
    ) -> None:
        """Make its keys, and let the registry know them."""
        self.number, self.board = number, board
        self.home = IPv6Address(f"2001:db8:a::{number:x}")
        plan = Plan(self.home.packed, (_CORRESPONDENT,), lifetime, _KEYS)
        credentials = plan.make({_CORRESPONDENT: 0})
        registry.add_sent(credentials.set_id, board, pairs_of(credentials), lifetime)
        self._keystore = keystore = Keystore(_Memory())
        keystore.load()
        keystore.provision(credentials)
        self.bindings = BindingUpdateList(keystore, _now())

    def wear(self, used: int) -> None:
        """Have it go on with its last key, after so many uses of that."""
        for _ in range(_KEYS - 1):
            self._keystore.move_on(0)
        self._keystore.advance(0, used)

    def care_of(self, network: int) -> IPv6Address:
        """Its address in one of the `NETWORKS`."""
        return IPv6Address(int(IPv6Address(NETWORKS[network])) + 0x1000 + self.number)


class Crowd(Resources):
    """Nodes named `boards`, and the daemon, from entering the context until leaving it.

    `folder` holds the registry. `members`; `correspondent`: the daemon's namespace.
    """

    def __init__(
        self, folder: Path, boards: Sequence[str], lifetimes: Mapping[str, int] | None = None
    ) -> None:
        """`lifetimes`: of the bindings of some boards, in seconds."""
        super().__init__()
        self._lifetimes = lifetimes or {}
        self.registry_path = folder / "registry.sqlite"
        self._boards = boards
        self._addresses: set[IPv6Address] = set()
        self._daemon: subprocess.Popen[str] | None = None

    def _set_up(self, stack: ExitStack) -> None:
        self.correspondent, self._visitors = Namespace("correspondent"), Namespace("visitors")
        for space in (self._visitors, self.correspondent):
            stack.callback(space.close)
        self._connect()
        self._out = self._open(packets.DESTINATION_OPTIONS)
        self._in = self._open(packets.ROUTING)
        for one in (self._out, self._in):
            stack.callback(one.close)
        with Registry.open(self.registry_path) as registry:
            self.members = [
                Member(number, board, registry, self._lifetimes.get(board, _LIFETIME_S))
                for number, board in enumerate(self._boards, 0x101)
            ]
        self._by_home = {member.home.packed: member for member in self.members}
        stack.callback(self.stop)
        self.start()

    def start(self) -> None:
        """Start the daemon and wait until it serves; raises TimeoutError."""
        self._daemon = self.correspondent.popen(
            children.roamkey(
                *("correspondent", "run", "--no-data-plane", "--no-metrics", "--log", "json"),
                *("--address", CORRESPONDENT_ADDRESS, "--registry", self.registry_path),
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._daemon.stdout is not None
        if '"ready"' not in self._daemon.stdout.readline():
            raise TimeoutError("the daemon doesn't start")

    def stop(self) -> None:
        """End the daemon."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.communicate()
            self._daemon = None

    def hang(self, hangs: bool = True) -> None:
        """Have the daemon stand still, or go on."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def move(self, member: Member, network: int | None) -> None:
        """Take a node to one of the `NETWORKS`, or (None) have it de-register and stay away.

        Raises TimeoutError where it isn't acknowledged."""
        self.set_off(member, network)
        self.deliver([member])

    def set_off(self, member: Member, network: int | None) -> None:
        """The same, but its update is yet to be sent."""
        if network is None:
            member.bindings.shutdown(_now())
            return
        address = member.care_of(network)
        if address not in self._addresses:
            self._visitors.add_address(CABLE, f"{address}/128")
            self._addresses.add(address)
        member.bindings.attach(address.packed, _now())

    def refresh(self, member: Member) -> None:
        """Have a node send another update from where it is, as before its lifetime ends."""
        member.bindings.bindings[0].refresh_at = _now()
        self.deliver([member])

    def deliver(self, members: Sequence[Member], timeout: float = 20.0) -> None:
        """Send what is to be sent until all are acknowledged; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            for member in members:
                self._send(member)
            if all(_at_rest(member) for member in members):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("a node is not acknowledged")
            self._receive(0.05)

    def send_data(self, member: Member) -> None:
        """An empty datagram by the optimized route."""
        self._transmit(member.bindings.carry(_CORRESPONDENT, _NO_NEXT_HEADER, b""))

    def send_raw(self, member: Member, payload: bytes) -> None:
        """Octets from a node's care-of address, from the Destination Options header on."""
        source = member.bindings.care_of
        assert source is not None
        self._transmit((source, _CORRESPONDENT, packets.DESTINATION_OPTIONS, payload))

    def _send(self, member: Member) -> None:
        while True:
            packet = member.bindings.next_packet(_now())
            if packet is None:
                return
            self._transmit(packet)

    def _transmit(self, packet: "Outgoing") -> None:
        source, destination, _, payload = packet
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PACKET_INFO.pack(source, 0))
        to = str(IPv6Address(destination))
        self._out.sendmsg([bytes(payload)], [info], 0, (to, 0))

    def _receive(self, timeout: float) -> None:
        self._in.settimeout(timeout)
        while True:
            try:
                payload, extra, _, source = self._in.recvmsg(_OCTETS_MAX, 64)
            except (TimeoutError, BlockingIOError):
                return
            self._in.settimeout(0)
            destination = extra[0][2][:16]
            member = self._by_home.get(payload[8:24])  # of the type 2 routing header
            if member is not None:
                octets = IPv6Address(source[0]).packed
                member.bindings.receive(octets, destination, packets.ROUTING, payload, _now())

    def _connect(self) -> None:
        connect(self.correspondent, self._visitors)

    def _open(self, protocol: int) -> socket.socket:
        made = self._visitors.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        return made


def connect(here: Namespace, there: Namespace) -> None:
    """A cable between a correspondent's namespace and that of its visitors, `CABLE` at either end,
    with all that lies behind it."""
    here.add_veth(CABLE, _MACS[0], there, CABLE, _MACS[1])
    for space in (here, there):
        space.set_up(CABLE)
    here.add_address(CABLE, f"{CORRESPONDENT_ADDRESS}/64")
    there.add_address(CABLE, f"{_GATEWAY}/64")
    join(here, there)
    route(here, there)


def join(here: Namespace, there: Namespace) -> None:
    """Have both ends know each other; a link that was down has forgotten."""
    here.add_neighbour(CABLE, _GATEWAY, _MACS[1])
    there.add_neighbour(CABLE, CORRESPONDENT_ADDRESS, _MACS[0])


def route(here: Namespace, _there: Namespace) -> None:
    """The correspondent's way to everywhere."""
    here.add_route("default", _GATEWAY, CABLE)


def _at_rest(member: Member) -> bool:
    binding: Any = member.bindings.bindings[0]
    if member.bindings.closing:
        return bool(member.bindings.closed)
    return bool(binding.state == states.BOUND)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
