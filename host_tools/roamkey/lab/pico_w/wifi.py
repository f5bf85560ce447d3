"""The air round the board: open Wi-Fi networks, each with a TAP device on its wired side.

rp2040py's chip knows one network behind an IPv4-only translation into the host's own sockets.
Here frames go to the TAP of the network that the board has joined, and nowhere else.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
from collections.abc import Mapping

from rp2040py.external.cyw43 import Cyw43439, bus

from roamkey.errors import SystemRefusedError

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TAP = 0x0002 | 0x1000  # IFF_TAP, IFF_NO_PI
_FRAME_OCTETS_MAX = 1518
_WAITING_MAX = 32  # frames; what a busy board doesn't fetch is lost, as in the real chip
_NO_NETWORKS = 3  # status of CYW43_EV_SET_SSID where no such network is in reach
_SSID_AT = bus.SDPCM_HEADER_LEN + bus.IOCTL_HEADER_LEN
_GROUPS = b"mcast_list\0"  # the variable of multicast addresses that pass the chip's filter
_JOIN = b"join\0"  # a join by access point: name, parameters of scanning, its address
_BSSID_AT = 4 + 32 + 20

DEFAULT_NETWORK = bus._FAKE_AP_SSID.decode()


def open_tap(name: str) -> int:
    """A TAP device that outlives the process, so that a power cut doesn't unplug its cable.

    Returns a non-blocking descriptor; raises SystemRefusedError (no device, no right, busy).
    """
    request = struct.pack("16sH22x", name.encode(), _TAP)
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    except OSError as error:
        raise SystemRefusedError(f"TAP device {name}: {error.strerror}") from error
    return descriptor


class Air(bus.GSPIBus):  # type: ignore[misc]
    """The chip's bus with our networks: scanning finds those in reach, joining needs one."""

    def __init__(self, networks: Mapping[str, int | None]) -> None:
        """`networks`: name (at most 32 octets) to a TAP's descriptor, or None for a dead end."""
        super().__init__()
        self._networks = {name.encode(): descriptor for name, descriptor in networks.items()}
        self._lost: set[bytes] = set()
        self._wanted = b""
        self._groups = self._answer = b""
        self._joined: bytes | None = None
        for name, descriptor in self._networks.items():
            if descriptor is not None:
                asyncio.get_running_loop().add_reader(descriptor, self._receive, name, descriptor)

    def lose(self, network: str) -> None:
        """The network is out of reach from now on; a board that had joined it learns at once."""
        name = network.encode()
        self._lost.add(name)
        if self._joined == name:
            self._joined = None
            super()._queue_disassoc_events()

    def regain(self, network: str) -> None:
        """The network is in reach again."""
        self._lost.discard(network.encode())

    def power_off(self) -> None:
        self._joined = None
        self._groups = b""
        super().power_off()

    # The wired side

    def _receive(self, network: bytes, descriptor: int) -> None:
        try:
            frame = os.read(descriptor, _FRAME_OCTETS_MAX)
        except BlockingIOError:
            return
        if self._joined == network and len(self._rx_queue) < _WAITING_MAX:
            self.queue_rx_ethernet_frame(frame)

    def handle_outbound_ethernet_frame(self, frame: bytes) -> None:
        """A frame from the board (called by the bus, whose `nat_bridge` we are)."""
        descriptor = self._networks.get(self._joined or b"")
        if descriptor is not None:
            with contextlib.suppress(OSError):  # interface down: a cable that isn't plugged in
                os.write(descriptor, bytes(frame))

    def reset(self) -> None:
        """The board has left its network (called by the bus)."""
        self._joined = None

    # The wireless side

    def _write_wlan(self, data: bytes) -> None:
        request = bytes(data[_SSID_AT:])
        joins = request.startswith(_JOIN)
        self._wanted = _name(request.removeprefix(_JOIN))
        self._answer = b""
        if request.startswith(_GROUPS):
            if data[bus.SDPCM_HEADER_LEN] == bus.WLC_SET_VAR & 0xFF:
                self._groups = request.removeprefix(_GROUPS)
            self._answer = self._groups
        super()._write_wlan(data)
        if joins:
            bssid = request.removeprefix(_JOIN)[_BSSID_AT : _BSSID_AT + 6]
            if bssid != self._bssid(self._wanted):
                self._wanted = b""
            self._queue_join_events()

    def _build_ioctl_success_response(
        self, request_id: int, response_len: int, *, response_prefix: bytes = b""
    ) -> bytes:
        """The driver reads the filter before it changes it: the real chip remembers."""
        answer: bytes = super()._build_ioctl_success_response(
            request_id, response_len, response_prefix=response_prefix or self._answer
        )
        return answer

    def _queue_scan_events(self) -> None:
        for name in self._networks:
            if name not in self._lost:
                self.queue_rx_packet(
                    self._build_async_event(
                        bus.CYW43_EV_ESCAN_RESULT,
                        bus.CYW43_STATUS_PARTIAL,
                        scan_result=self._found(name),
                    )
                )
        self.queue_rx_packet(
            self._build_async_event(bus.CYW43_EV_ESCAN_RESULT, bus.CYW43_STATUS_SUCCESS)
        )

    def _found(self, name: bytes) -> bytes:
        result = bytearray(self._build_scan_result_bytes())
        result[20:26] = self._bssid(name)
        result[30] = len(name)
        result[31:63] = name.ljust(32, b"\0")
        return bytes(result)

    def _bssid(self, name: bytes) -> bytes:
        """An access point's address; empty for a network that there isn't."""
        if name not in self._networks:
            return b""
        first = bytearray(self._build_scan_result_bytes()[20:26])
        first[5] = 1 + list(self._networks).index(name)
        return bytes(first)

    def _queue_join_events(self) -> None:
        if self._wanted in self._networks and self._wanted not in self._lost:
            self._joined = self._wanted
            super()._queue_join_events()
        else:
            self._joined = None
            self.queue_rx_packet(self._build_async_event(bus.CYW43_EV_SET_SSID, _NO_NETWORKS))


def _name(octets: bytes) -> bytes:
    """A network's name as a request has it: its length in 32 bits, and 32 octets."""
    return octets[4 : 4 + int.from_bytes(octets[:4], "little")]


class Chip(Cyw43439):  # type: ignore[misc]
    """The Wi-Fi chip on the board's pins, with `Air` as its bus."""

    def __init__(self, air: Air) -> None:
        super().__init__()
        self.bus = air

    def attach(self, rp2040: object) -> None:
        super().attach(rp2040)
        self.bus.nat_bridge = self.bus
