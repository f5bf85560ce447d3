"""Programs of a Linux node by way of a TUN device, where its kernel has no Mobile IPv6.

The device has the home address, and routes to the correspondents lead into it. What programs send
leaves as the agent's own data do: natively, inside UDP, through a home agent. It goes with its
descriptor, so of an agent that was killed nothing stays. What others take from it is put back.
"""

import os
from ipaddress import IPv6Address

from mip6 import packets
from mip6.bindings import states
from mip6.packets import Packet
from mip6.ports.waiting import Watch
from mip6.programs import plane
from mip6.programs.plane import RoutedNode
from roamkey.correspondent.dataplane import control
from roamkey.errors import SystemRefusedError
from roamkey.node.home_device import HomeDevice

_OCTETS_MAX = 65536
_BURST = 64
_LOOKS = 15  # from one that failed to the next; one each second


class TunPlane:
    """As `mip6.programs.plane.Programs`. `counters`: packets each way, those without a binding,
    those for nobody, those that the device didn't take."""

    def __init__(self, why: str) -> None:
        self._why = why
        self.counters = {"outward": 0, "inward": 0, "unbound": 0, "stray": 0, "lost": 0}
        self._node: RoutedNode | None = None
        self._ends: tuple[bytes, list[bytes]] | None = None  # home address, correspondents
        self._device: HomeDevice | None = None
        self._watch: Watch | None = None
        self._refusal = ""
        self._rest = 0  # looks, before the next attempt

    @property
    def plane(self) -> str:
        """TUN of `control`, or NONE while there can't be a device."""
        return plane.NONE if self._refusal else control.TUN

    @property
    def why(self) -> str:
        """In a line."""
        return self._refusal or self._why

    def start(self, node: RoutedNode) -> None:
        """Begin."""
        self._node = node

    def stop(self) -> None:
        """Take the device away, and its routes with it."""
        self._ends = None
        self._close()

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if self._device is not None:
            self._device.close()
            self._device = None

    def look(self) -> None:
        """Once a second: what others changed is put back; a device that there can't be is tried
        for now and then."""
        if self._device is not None:
            if not self._device.mend():
                self._close()
                self._begin()
        elif self._ends is not None:
            self._rest -= 1
            if self._rest <= 0:
                self._begin()

    def listen(self, port: int) -> None:
        """The agent's own ports come first anyway."""

    def follow(self) -> None:
        """Have a device while the node has keys, and isn't at home."""
        if self._node is None:
            return
        bindings, ends = self._node.bindings, None
        if bindings is not None and bindings.attachment != states.HOME:
            ends = bindings.home_address, self._node.correspondents
        if ends != self._ends:
            self.stop()
            self._refusal = ""
            self._ends = ends
            if ends is not None:
                self._begin()

    def _begin(self) -> None:
        assert self._ends is not None and self._node is not None
        home, correspondents = self._ends
        try:
            self._device = HomeDevice(IPv6Address(home), correspondents)
        except SystemRefusedError as error:
            self._refusal, self._rest = str(error), _LOOKS
            return
        self._refusal = ""
        self._watch = Watch(self._device, self._out, self._node.faulted)  # type: ignore[arg-type]  # it needs a number alone

    def _out(self) -> None:
        node, device = self._node, self._device
        for _ in range(_BURST):
            if device is None or node is None or node.bindings is None or self._ends is None:
                return
            try:
                packet = os.read(device.fileno(), _OCTETS_MAX)
            except BlockingIOError:
                return
            except OSError:  # it is gone: somebody removed it
                self._close()
                self._begin()
                return
            destination = packet[24:40]
            if packet[8:24] != self._ends[0] or node.bindings.find(destination) is None:
                self.counters["stray"] += 1
            elif not node.reaches(destination):
                self.counters["unbound"] += 1
            else:
                node.send_data(node.bindings.carry(destination, packet[6], packet[40:]))
                self.counters["outward"] += 1

    def take(self, packet: Packet) -> bool:
        """Give a packet to the programs, but for those to the agent's own UDP ports."""
        node, payload = self._node, packet.payload
        if self._device is None or node is None or self._ends is None:
            return False
        is_udp = packet.protocol == packets.UDP and len(payload) >= packets.UDP_HEADER_OCTETS
        if is_udp and payload[2] << 8 | payload[3] in node.sockets:
            return False
        head = packets.ipv6_header(
            packet.logical_source, self._ends[0], packet.protocol, len(payload)
        )
        try:
            os.write(self._device.fileno(), head + bytes(payload))
            self.counters["inward"] += 1
        except OSError:  # down, or gone
            self.counters["lost"] += 1
        return True
