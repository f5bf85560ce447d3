"""Data planes beside the plain path, all in one kernel that has Mobile IPv6: see `dataplane`.

    correspondent ── router ── node
             beside ──┘ └── plain

Cables without offloads: each packet is a frame of 1500 octets. The node's end is the kernel's own
Mobile IPv6, and inside UDP a data plane as the correspondent's. A TCP connection goes each way
over the plane and beside it in turn; what is told is the slower way, median of pairs. All of it
shares one processor.
"""

import json
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from mip6 import addresses
from roamkey.correspondent import clock
from roamkey.correspondent.dataplane import control, xfrm
from roamkey.correspondent.dataplane.client import DataPlane, Kind
from roamkey.correspondent.dataplane.offload import Offload
from roamkey.correspondent.encapsulation import Place
from roamkey.home_agent.tunnel.control import pack_told
from roamkey.home_agent.tunnel.offload import Offload as Tunnels
from roamkey.lab import sandbox
from roamkey.lab.namespaces import Namespace
from roamkey.registry.records import Binding

OURS, HOME = IPv6Address("2001:db8:c::2"), IPv6Address("2001:db8:a::77")
BESIDE = IPv6Address("2001:db8:d::2"), IPv6Address("2001:db8:2::2")
CARE_OF = IPv6Address("2001:db8:1::2"), IPv6Address("2001:db8:1::3")
OUTER = "192.0.2.2", "198.51.100.2"
PORT = 4191
BINDINGS = 20_000
HOME_BINDINGS = 2000
MOVES = 100
SECONDS = 0.5
RUNS = 7
_PORT = 7000
_HOMEADDRESS, _NODAD = 0x10, 0x02  # linux/if_addr.h
_CHUNK = 1 << 17
_DEADLINE_MS = 3_600_000


class Flow(NamedTuple):
    """The ends of connections."""

    here: Namespace
    there: Namespace
    source: str
    to: str


class Bed:
    """The namespaces, and what is asked of them: a correspondent and a node, and a pair of hosts
    beside them whose kernels have nothing to do with it."""

    def __init__(self) -> None:
        self.router = Namespace("router")
        self.router.set_ipv6("all", forwarding=1)
        self.router.set_ipv4(ip_forward=1)
        self._cables = 0
        self.correspondent = self._host("correspondent", OURS, OUTER[0])
        self.node = self._host("node", CARE_OF[0], OUTER[1])
        self.beside = self._host("beside", BESIDE[0]), self._host("plain", BESIDE[1])
        self.node.add_address("eth0", f"{CARE_OF[1]}/64")
        # of a home: the kernel takes type 2 routing headers for no other
        self.node._ask(
            "addr", "add", index=1, address=str(HOME), prefixlen=128, flags=_HOMEADDRESS | _NODAD
        )
        self.xfrm = self.node._there(xfrm.open_socket)  # of the node
        self.over = Flow(self.correspondent, self.node, str(OURS), str(HOME))

    def _host(self, name: str, address: IPv6Address, outer: str = "") -> Namespace:
        """A host on a cable of its own to the router."""
        host, at = Namespace(name), self._cables
        self._cables += 1
        there = f"to{at}"
        host.add_veth("eth0", f"02:00:00:00:00:0{at}", self.router, there, f"02:00:00:00:01:0{at}")
        host.set_up("eth0")
        self.router.set_up(there)
        routers = [f"{IPv6Address(int(address) >> 64 << 64)}1/64", f"{address}/64"]
        if outer:
            routers += [outer.rpartition(".")[0] + ".1/24", f"{outer}/24"]
        for gateway, ours in zip(routers[::2], routers[1::2], strict=True):
            self.router.add_address(there, gateway)
            host.add_address("eth0", ours)
            host.add_route("default", gateway.partition("/")[0], "eth0")
        return host

    def node_is_at(self, care_of: IPv6Address, new: bool = False) -> None:
        """The node's own half of a binding: its states are the correspondent's."""
        for kind in (xfrm.OUT, xfrm.IN):
            self.xfrm.send(
                xfrm.state(kind, OURS.packed, HOME.packed, care_of.packed, 3600, 0, new)
            )

    def node_has_policies(self) -> None:
        """Out: with a Home Address option; in: by a type 2 routing header."""
        for request in xfrm.policies(OURS.packed, HOME.packed, node=True):
            self.xfrm.send(request)


def main() -> int:
    """Measure, and write it into the file given."""
    sandbox.ensure()
    bed = Bed()
    found: dict[str, object] = {}
    bed.node_is_at(CARE_OF[0], new=True)
    bed.node_has_policies()
    for which in (control.KERNEL, control.TUN):
        with plane_of(bed, which) as plane:
            bind(plane, HOME, CARE_OF[0])
            wait_for_route(bed)
            found[which] = compare(bed, "ro_mbit" if which == control.KERNEL else "mbit")
            if which == control.KERNEL:
                found["moves"] = move_under_tcp(bed, plane)
            print(which, json.dumps(found), flush=True)
    for kind in (xfrm.OUT, xfrm.IN):
        bed.xfrm.send(xfrm.no_state(kind, OURS.packed, HOME.packed))
    for request in xfrm.no_policies(OURS.packed, HOME.packed, node=True):
        bed.xfrm.send(request)
    ends = [addresses.IPV4_MAPPED + socket.inet_aton(outer) for outer in OUTER]
    port = PORT.to_bytes(2, "big")
    with (
        plane_of(bed, control.TUN) as plane,
        plane_of(bed, control.TUN, bed.node, HOME) as other,
    ):
        bind(plane, HOME, CARE_OF[0], ends[1] + port + ends[0])
        bind(other, OURS, OURS, ends[0] + port + ends[1])
        wait_for_route(bed)
        found["udp"] = compare(bed, "mbit")
    found["home_agent"] = home_agent(bed)
    found["bindings"] = BINDINGS
    found |= bed.correspondent._there(many_bindings)
    print(json.dumps(found), flush=True)
    Path(sys.argv[1]).write_text(json.dumps(found, indent=2) + "\n")
    return 0


@contextmanager
def plane_of(
    bed: Bed,
    which: str,
    where: Namespace | None = None,
    address: IPv6Address = OURS,
    program: str = "roamkey.correspondent.dataplane.choice",
) -> Iterator[DataPlane]:
    """A data plane, the correspondent's, and somebody who hears what it says."""
    kind = Kind(program, which)
    place = Place(IPv6Address("::"), PORT)
    namespace = where or bed.correspondent
    plane = namespace._there(lambda: DataPlane(address, place=place, kind=kind))
    ended = threading.Event()

    def hear() -> None:
        while not ended.is_set():
            if select.select([plane], [], [], 0.1)[0]:
                plane.receive()

    hearing = threading.Thread(target=hear, daemon=True)
    hearing.start()
    try:
        yield plane
    finally:
        ended.set()
        hearing.join()
        plane.close()


def bind(plane: DataPlane, home: IPv6Address, care_of: IPv6Address, endpoint: bytes = b"") -> None:
    """Tell a plane where a home address is."""
    ends = clock.now_ms() + _DEADLINE_MS
    plane.bind([(home.packed, Binding(care_of.packed, 600, 0, ends, 1, endpoint=endpoint))])


def wait_for_route(bed: Bed) -> None:
    """Until packets go there."""
    ping = ["ping", "-6", "-c", "1", "-W", "1", "-I", str(OURS), str(HOME)]
    for _ in range(30):
        if bed.correspondent.popen(ping, stdout=subprocess.DEVNULL).wait(10) == 0:
            return
    raise TimeoutError("nothing comes back over the plane")


def compare(bed: Bed, name: str) -> dict[str, float]:
    """Both ways beside the plain path, in Mbit/s: the slower one of them."""
    told = []
    plain = Flow(*bed.beside, *map(str, BESIDE))
    for back in (False, True):
        pairs = [(flow(plain, back), flow(bed.over, back)) for _ in range(RUNS)]
        beside, with_it = (statistics.median(one) for one in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        told.append(
            {"plain_mbit": round(beside, 1), name: round(with_it, 1), "ratio": round(ratio, 3)}
        )
    print(json.dumps(told), flush=True)
    return min(told, key=lambda one: one["ratio"])


def flow(ends: Flow, back: bool, is_over: Callable[[], bool] | None = None) -> float:
    """Mbit/s of one TCP connection to its other end, or `back`, for SECONDS or until it `is_over`;
    raises OSError where it breaks."""
    listening = ends.there.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((ends.to, _PORT))
    listening.listen()
    one = ends.here.socket(socket.AF_INET6, socket.SOCK_STREAM)
    one.bind((ends.source, 0))
    one.settimeout(20)
    one.connect((ends.to, _PORT))
    other, _ = listening.accept()
    other.settimeout(20)
    listening.close()
    sender, receiver = (other, one) if back else (one, other)
    received = 0

    def receive() -> None:
        nonlocal received
        buffer = bytearray(_CHUNK)
        while octets := receiver.recv_into(buffer):
            received += octets

    receiving = threading.Thread(target=receive, daemon=True)
    receiving.start()
    chunk = bytes(_CHUNK)
    started = time.perf_counter()
    while not (is_over() if is_over else time.perf_counter() > started + SECONDS):
        sender.sendall(chunk)
    sender.shutdown(socket.SHUT_WR)
    receiving.join(60)
    took = time.perf_counter() - started
    one.close()
    other.close()
    return received * 8 / took / 1e6


def move_under_tcp(bed: Bed, plane: DataPlane) -> dict[str, float]:
    """A connection, and a node that goes from one care-of address to the other meanwhile."""
    ended = threading.Event()
    made = 0

    def move() -> None:
        nonlocal made
        while made < MOVES:
            made += 1
            care_of = CARE_OF[made % 2]
            bed.node_is_at(care_of)
            bind(plane, HOME, care_of)
            time.sleep(0.1)
        ended.set()

    moving = threading.Thread(target=move, daemon=True)
    moving.start()
    rate = flow(bed.over, True, ended.is_set)
    moving.join()
    bed.node_is_at(CARE_OF[0])
    bind(plane, HOME, CARE_OF[0])
    return {"moves": made, "mbit": round(rate, 1)}


def home_agent(bed: Bed) -> dict[str, object]:
    """The tunnels of a home agent, which is where the correspondent was: a program there, and the
    node, whose end is a tunnel of the kernel."""
    for line in (
        f"link add home0 type ip6tnl local {CARE_OF[0]} remote {OURS} encaplimit none",
        "link set home0 up",
        "-6 route add default dev home0 table 77",
        f"-6 rule add from {HOME} lookup 77",
    ):
        if bed.node.popen(["ip", *line.split()]).wait(10):
            raise OSError(f"ip {line}")
    found: dict[str, object] = {}
    for which in (control.TUN, control.KERNEL):
        told = pack_told(which, HOME_BINDINGS, "eth0")
        with plane_of(bed, told, program="roamkey.home_agent.tunnel.choice") as plane:
            bind(plane, HOME, CARE_OF[0])
            wait_for_route(bed)
            measured = compare(bed, "mbit")
        found |= measured if which == control.KERNEL else {which: measured}
    return {**found, **bed.correspondent._there(many_tunnels)}


def many_tunnels() -> dict[str, float]:
    """What a registration and a move cost the kernel's tunnels where there are many, in ms."""
    with ExitStack() as stack:
        offload = Tunnels(OURS, HOME_BINDINGS, stack)
        now = clock.boot_ms()
        base = int.from_bytes(IPv6Address("2001:db8:f::1:0").packed, "big")
        homes = [(base + at).to_bytes(16, "big") for at in range(HOME_BINDINGS)]

        def settle() -> None:
            while offload.flush() or offload.waits():
                time.sleep(max(0.0, min(0.001, offload.wakes_at() - time.monotonic())))

        started = time.perf_counter()
        for home in homes:
            offload.bind(home, CARE_OF[0].packed, now + _DEADLINE_MS)
        settle()
        each = 1000 * (time.perf_counter() - started) / HOME_BINDINGS
        took = []
        for at in range(200):
            started = time.perf_counter()
            offload.bind(homes[at * 97 % HOME_BINDINGS], CARE_OF[1].packed, now + _DEADLINE_MS)
            settle()
            took.append(1000 * (time.perf_counter() - started))
        assert not offload.failures, offload.failures
        return {
            "bindings": HOME_BINDINGS,
            "bind_ms": round(each, 3),
            "move_ms": round(statistics.median(took), 3),
        }


def many_bindings() -> dict[str, float]:
    """What a move costs the plane where the kernel has many bindings, in ms."""
    offload = Offload(OURS.packed)
    try:
        now = clock.boot_ms()
        base = int.from_bytes(IPv6Address("2001:db8:f::1:0").packed, "big")
        homes = [(base + at).to_bytes(16, "big") for at in range(BINDINGS)]
        for home in homes:
            offload.bind(home, CARE_OF[0].packed, now + _DEADLINE_MS)
        started = time.perf_counter()
        while offload.flush(now):
            pass
        filled = time.perf_counter() - started
        took = []
        for at in range(200):
            started = time.perf_counter()
            offload.bind(homes[at * 97 % BINDINGS], CARE_OF[1].packed, now + _DEADLINE_MS)
            offload.flush(now)
            took.append(1000 * (time.perf_counter() - started))
        assert len(offload) == BINDINGS and not offload.failures, offload.failures
        print(f"{BINDINGS} bindings in {filled:.1f} s", flush=True)
        median, p95 = statistics.median(took), sorted(took)[len(took) * 95 // 100]
        return {"move_ms": round(median, 3), "move_p95_ms": round(p95, 3)}
    finally:
        offload.close()


if __name__ == "__main__":
    sys.exit(main())
