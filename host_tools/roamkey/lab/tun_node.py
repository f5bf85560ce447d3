"""A mobile node on Linux: the agent's own core under CPython, all programs with the home address.

By the kernel's own Mobile IPv6 (`mip6.ports.programs`), or by way of a TUN device that has the
home address.

    with TunNode(network, registry, folder, HOME_ADDRESS) as node:
        network.attach(node.name, node.uplink, "visited1")
        network.spawn(node.name, ["python3", "-m", "http.server", "--bind", HOME_ADDRESS])

Any program in the node's namespace that talks to the correspondent uses the home address, and
keeps its connections when the node moves. `python -m roamkey.lab.tun_node` is the process.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from contextlib import ExitStack
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from mip6 import packets
from mip6.keystore.keystore import Keystore
from mip6.node import Node
from mip6.ports.files import FileStore
from mip6.ports.posix import Port
from mip6.programs.plane import KERNEL, Programs, RoutedNode, choose
from roamkey.correspondent.dataplane import control, filters, tun
from roamkey.enroll.plan import Plan
from roamkey.lab.helper import Control, Helper
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.resources import Resources
from roamkey.registry import Registry
from roamkey.registry.records import pairs_of

_DEVICE = "home%d"
_LIFETIME_S = 3600
_LINK_MTU = 1500
_SEND_BUFFER = 4 << 20
_BURST = 64
_OCTETS_MAX = 65536 + 16
_HOP_LIMIT = 64
_IFA_F_NODAD = 0x02
_HEADER = struct.Struct("!IHBB32s")
_VERSION = 0x60000000


class TunNode(Resources):
    """A node in a network, from entering the context until leaving it; attached nowhere at first.

    `registry` learns its keys; `folder` holds them on the node's side. `plane`: KERNEL or TUN of
    `roamkey.correspondent.dataplane.control`, or AUTO: the kernel's where it has it.
    """

    uplink = "wlan0"

    def __init__(
        self,
        network: Network,
        registry: Registry,
        folder: Path,
        home_address: str,
        name: str = "tun-node",
        plane: str = control.TUN,
    ) -> None:
        super().__init__()
        self._plane = plane
        self.name = name
        self._network = network
        self._registry = registry
        self._root = str(folder / name)
        self._home = IPv6Address(home_address).packed
        self._helper: Helper | None = None

    def _set_up(self, stack: ExitStack) -> None:
        credentials = Plan(
            self._home, (IPv6Address(CORRESPONDENT_ADDRESS).packed,), _LIFETIME_S
        ).make({IPv6Address(CORRESPONDENT_ADDRESS).packed: 0})
        self._registry.add_sent(credentials.set_id, self.name, pairs_of(credentials), _LIFETIME_S)
        keystore = Keystore(FileStore(self._root))
        keystore.load()
        keystore.provision(credentials)
        namespace = self._network.add_node(self.name)
        configuration = {"root": self._root, "uplinks": [self.uplink], "plane": self._plane}
        self._helper = Helper(namespace, "roamkey.lab.tun_node", configuration)
        stack.callback(self._helper.close)

    def kill(self) -> None:
        """End the process with SIGKILL; it is not started again."""
        assert self._helper is not None
        self._helper.kill()

    def status(self) -> dict[str, Any]:
        """As `Node.status()`; of a TUN device under `data` the packets that passed each way."""
        assert self._helper is not None
        found: dict[str, Any] = self._helper.ask("status")
        return found


class _SignallingPort(Port):
    """The agent's port, for native packets; data don't reach its sockets but `_Data`."""

    udp = False

    def _open_at(self, link: Any, address: bytes) -> bool:
        opened: bool = super()._open_at(link, address)
        if opened:
            routing = self._open[address].sockets[packets.ROUTING]
            filters.all_but_data(routing.socket, packets.ROUTING)
        return opened


class _Data:
    """Packets between the TUN device and the correspondent.

    Outward they get a Home Address option, inward they lose a type 2 routing header; each in its
    place in a buffer, as in `roamkey.correspondent.dataplane.forward`, the other way round.
    """

    def __init__(self, home: bytes, correspondent: bytes) -> None:
        self._home = home
        self._outward = home + correspondent
        self._inward = correspondent + home
        self._correspondent = str(IPv6Address(correspondent))
        self._options = [packets.home_address_option(home, kind) for kind in range(256)]
        self._device = _set_up_device(home, correspondent)
        self._raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, packets.ROUTING)
        self._raw.setblocking(False)
        filters.only_data(self._raw, packets.ROUTING)
        self._uplink: socket.socket | None = None
        self._care_of: bytes | None = None
        self._buffer = bytearray(_OCTETS_MAX)
        self._view = memoryview(self._buffer)
        self.counters = {"outward": 0, "inward": 0, "unbound": 0, "lost": 0, "stray": 0}

    def start(self, loop: asyncio.AbstractEventLoop, node: Node) -> None:
        """Pass packets as long as the loop runs."""
        self._node = node
        assert node.bindings is not None
        self._binding = node.bindings.bindings[0]
        loop.add_reader(self._device, self._out)
        loop.add_reader(self._raw, self._in)

    def _way(self) -> socket.socket | None:
        """The socket to send with, if the correspondent is bound to where the node is."""
        assert self._node.bindings is not None
        care_of = self._node.bindings.care_of
        if not self._binding.usable or care_of is None:
            return None
        if care_of != self._care_of:
            if self._uplink is not None:
                self._uplink.close()
            self._uplink, self._care_of = None, None
            one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, packets.DESTINATION_OPTIONS)
            try:
                filters.nothing(one)
                one.setblocking(False)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
                # The route to the correspondent leads into the device: go by the interface.
                one.setsockopt(
                    socket.SOL_SOCKET, socket.SO_BINDTODEVICE, TunNode.uplink.encode() + b"\0"
                )
                one.bind((str(IPv6Address(care_of)), 0))
                one.connect((self._correspondent, 0))
            except OSError:
                one.close()
                return None
            self._uplink, self._care_of = one, care_of
        return self._uplink

    def _out(self) -> None:
        way = self._way()
        buffer, view, options = self._buffer, self._view, self._options
        into, counters = [buffer], self.counters
        for _ in range(_BURST):
            try:
                octets = os.readv(self._device, into)
            except BlockingIOError:
                return
            if way is None or bytes(view[8:40]) != self._outward:
                counters["unbound" if way is None else "stray"] += 1
                continue
            buffer[16:40] = options[buffer[6]]
            try:
                way.send(view[16:octets])
                counters["outward"] += 1
            except OSError:  # gone, full, or the report of an earlier packet's error
                counters["lost"] += 1

    def _in(self) -> None:
        buffer, view, counters = self._buffer, self._view, self.counters
        body = view[16:]
        for _ in range(_BURST):
            try:
                octets, source = self._raw.recvfrom_into(body)
            except BlockingIOError:
                return
            if source[0] != self._correspondent or bytes(view[24:40]) != self._home:
                counters["stray"] += 1
                continue
            head = (_VERSION, octets - 24, buffer[16], _HOP_LIMIT, self._inward)
            _HEADER.pack_into(buffer, 0, *head)
            try:
                os.write(self._device, view[: octets + 16])
                counters["inward"] += 1
            except OSError:
                counters["lost"] += 1


def _set_up_device(home: bytes, correspondent: bytes) -> int:
    """A TUN device with the home address, and the way to the correspondent into it."""
    descriptor, name = tun.open_device(_DEVICE)
    address = str(IPv6Address(home))
    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=name)
        netlink.link("set", index=index, mtu=_LINK_MTU - packets.EXTENSION_OCTETS, state="up")
        netlink.addr("add", index=index, address=address, prefixlen=128, flags=_IFA_F_NODAD)
        netlink.route(
            "add",
            family=socket.AF_INET6,
            dst=f"{IPv6Address(correspondent)}/128",
            oif=index,
            prefsrc=address,
        )
    return descriptor


async def _run(node: Node, data: _Data | None, end: Control) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def serve() -> None:
        if not end.serve():
            loop.remove_reader(end)
            ended.set()

    if data is not None:
        data.start(loop, node)
    running = asyncio.create_task(node.run())
    loop.add_reader(end, serve)
    end.ready()
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running  # raises what ended it
    running.cancel()


def main() -> None:
    """Run the node whose keys are in the folder given, until the control socket closes."""
    configuration = json.loads(sys.argv[2])
    keystore = Keystore(FileStore(configuration["root"]))
    keystore.load()
    credentials = keystore.credentials
    assert credentials is not None
    plane, why = choose(configuration["plane"])
    data: _Data | None = None
    if plane == KERNEL:
        port = Port(configuration["uplinks"])
        node: Node = RoutedNode(keystore, port, Programs(port, plane, why))
    else:
        data = _Data(credentials.home_address, credentials.peers[0].correspondent)
        node = Node(keystore, _SignallingPort(configuration["uplinks"]))

    def status() -> dict[str, Any]:
        if data is None:
            return node.status()
        told = {"plane": control.TUN, "plane_text": why, "data": data.counters}
        return {**node.status(), **told}

    asyncio.run(_run(node, data, Control(int(sys.argv[1]), {"status": status})))


if __name__ == "__main__":
    main()
