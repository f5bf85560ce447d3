"""Programs of a Linux node by way of a TUN device, where its kernel has no Mobile IPv6.

The device has the home address, and routes to the correspondents lead into it. What programs send
leaves as the agent's own data do: natively, inside UDP, through a home agent. It goes with its
descriptor, so of an agent that was killed nothing stays.
"""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address

from pyroute2 import IPRoute

from mip6 import packets
from mip6.bindings import states
from mip6.packets import Packet
from mip6.ports.waiting import Watch
from mip6.programs.plane import RoutedNode
from roamkey.correspondent.dataplane import control, tun

_DEVICE = "roamkey%d"
_MTU = 1500 - 28 - packets.IPV6_HEADER_OCTETS  # inside UDP over IPv4; natively it takes less
_OCTETS_MAX = 65536
_BURST = 64
_IFA_F_NODAD = 0x02


class TunPlane:
    """As `mip6.programs.plane.Programs`. `counters`: packets each way, those without a binding,
    those for nobody."""

    plane = control.TUN

    def __init__(self, why: str) -> None:
        self.why = why
        self.counters = {"outward": 0, "inward": 0, "unbound": 0, "stray": 0}
        self._node: RoutedNode | None = None
        self._home: bytes | None = None
        self._device: int | None = None
        self._watch: Watch | None = None

    def start(self, node: RoutedNode) -> None:
        """Begin."""
        self._node = node

    def stop(self) -> None:
        """Take the device away, and its routes with it."""
        self._home = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if self._device is not None:
            os.close(self._device)
            self._device = None

    def look(self) -> None:
        """Nothing has to be looked after."""

    def listen(self, port: int) -> None:
        """The agent's own ports come first anyway."""

    def follow(self) -> None:
        """Have a device while the node has keys, and isn't at home. Raises SystemRefusedError,
        OSError."""
        if self._node is None:
            return
        bindings = self._node.bindings
        home = None if bindings is None else bindings.home_address
        if bindings is None or bindings.attachment == states.HOME:
            home = None
        if home != self._home:
            self.stop()
            if home is not None:
                self._begin(self._node, home)

    def _begin(self, node: RoutedNode, home: bytes) -> None:
        self._home = home
        self._device, name = tun.open_device(_DEVICE)
        with ThreadPoolExecutor(1) as apart:  # pyroute2 has a loop of its own in each thread
            apart.submit(_set_up, name, home, node.correspondents).result()
        self._watch = Watch(_Readable(self._device), self._out, node.faulted)  # type: ignore[arg-type]  # it needs a number alone

    def _out(self) -> None:
        node = self._node
        for _ in range(_BURST):
            if self._device is None or node is None or node.bindings is None:
                return
            try:
                packet = os.read(self._device, _OCTETS_MAX)
            except BlockingIOError:
                return
            destination = packet[24:40]
            if packet[8:24] != self._home or node.bindings.find(destination) is None:
                self.counters["stray"] += 1
            elif not node.reaches(destination):
                self.counters["unbound"] += 1
            else:
                node.send_data(node.bindings.carry(destination, packet[6], packet[40:]))
                self.counters["outward"] += 1

    def take(self, packet: Packet) -> bool:
        """Give a packet to the programs, but for those to the agent's own UDP ports."""
        node, payload = self._node, packet.payload
        if self._device is None or node is None or self._home is None:
            return False
        is_udp = packet.protocol == packets.UDP and len(payload) >= packets.UDP_HEADER_OCTETS
        if is_udp and payload[2] << 8 | payload[3] in node.sockets:
            return False
        head = packets.ipv6_header(
            packet.logical_source, self._home, packet.protocol, len(payload)
        )
        os.write(self._device, head + bytes(payload))
        self.counters["inward"] += 1
        return True


def _set_up(name: str, home: bytes, correspondents: list[bytes]) -> None:
    address = str(IPv6Address(home))
    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=name)
        netlink.link("set", index=index, mtu=_MTU, state="up")
        netlink.addr("add", index=index, address=address, prefixlen=128, flags=_IFA_F_NODAD)
        for correspondent in correspondents:
            netlink.route(
                "add",
                family=socket.AF_INET6,
                dst=f"{IPv6Address(correspondent)}/128",
                oif=index,
                prefsrc=address,
            )


class _Readable:
    """A descriptor, for who wants something that has one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Its number."""
        return self._descriptor
