"""Daemons in network namespaces, each at the end of a cable of its own, and what is sent to them.

Every daemon has the same correspondent address; at the other end of its cable stand the care-of
addresses. Nothing lies between: what is measured is the daemon.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path

from fleet import CORRESPONDENT, HOMES

from mip6 import packets
from roamkey.correspondent import buffers
from roamkey.correspondent.core.entries import Inbound
from roamkey.lab.crowd import CABLE, connect, join, route
from roamkey.lab.namespaces import Namespace

CARE_OF = tuple(IPv6Address(f"2001:db8:{i}::1").packed for i in (1, 2))
_READY_S = 120.0
_BUFFER = 16 << 20
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Site:
    """A daemon's namespace, and raw sockets at the care-of addresses at its cable's other end."""

    def __init__(self) -> None:
        self._here, self._there = self.host, self.visitors = (
            Namespace("correspondent"),
            Namespace("visitors"),
        )
        connect(self._here, self._there)
        self._out: dict[bytes, socket.socket] = {}
        self._in: dict[socket.socket, bytes] = {}
        self._inside: dict[bytes, socket.socket] = {}  # for packets inside UDP
        for care_of in CARE_OF:
            text = str(IPv6Address(care_of))
            self._there.add_address(CABLE, f"{text}/128")
            self._out[care_of] = self._open(packets.DESTINATION_OPTIONS, text)
            self._in[self._open(packets.ROUTING, text)] = care_of
            self._inside[care_of] = inside = self._open(packets.UDP, text, socket.SOCK_DGRAM)
            self._in[inside] = care_of
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        registry: str,
        core: int | None = None,
        log: str = "none",
        data_plane: bool = False,
        more: Sequence[str] = ("--no-metrics",),
        roamkey: Sequence[str] = ("-m", "roamkey"),
        home_agent: bool = False,
    ) -> float:
        """Start the daemon, pinned to a processor; seconds until it was ready. `more`: options;
        `roamkey`: what Python runs; `home_agent`: one in place of a correspondent, the cable is
        its home link."""
        command = [sys.executable, *roamkey]
        if home_agent:
            self._here.set_ipv6("all", forwarding=1)
            command += ["home-agent", "run", "--home-link", CABLE, "--home-prefix", HOMES]
        else:
            command += ["correspondent", "run"]
            command += [] if data_plane else ["--no-data-plane"]
        command += ["--address", str(CORRESPONDENT), "--log", log, *more]
        with (
            tempfile.TemporaryDirectory() as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
        ):
            ready.bind(f"{folder}/notify")
            started = time.monotonic()
            self.process = self._here.popen(
                command,
                env={
                    **os.environ,
                    "ROAMKEY_REGISTRY": registry,
                    "NOTIFY_SOCKET": f"{folder}/notify",
                },
                stdout=subprocess.DEVNULL,
                preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
            )
            while True:
                if select.select([ready], [], [], 0.05)[0] and b"READY=1" in ready.recv(4096):
                    return time.monotonic() - started
                if self.process.poll() is not None or time.monotonic() - started > _READY_S:
                    sys.exit("the daemon doesn't start")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def cpu_s(self) -> float:
        """Processor time of the daemon so far."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS

    def resident_octets(self) -> int:
        """Its resident memory."""
        lines = self._proc("status").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def send(self, update: Inbound) -> None:
        """Send an update from its care-of address."""
        if update.next_header >= packets.ENCAPSULATED:
            place = str(CORRESPONDENT), update.next_header - packets.ENCAPSULATED
            self._inside[update.source].sendto(update.payload, place)
            return
        self._out[update.source].sendto(update.payload, (str(CORRESPONDENT), 0))

    def program(self) -> socket.socket:
        """A UDP socket of a program on the daemon's host, at its address."""
        made = self._here.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.bind((str(CORRESPONDENT), 0))
        made.setblocking(False)
        return made

    def received(self, timeout_s: float) -> Iterator[tuple[bytes, bytes]]:
        """(payload, care-of address) of what has come; waits so long for the first. What came
        inside UDP begins with a routing header, too."""
        for one in select.select(list(self._in), [], [], timeout_s)[0]:
            while True:
                try:
                    octets = one.recv(2048)
                    if one.type == socket.SOCK_DGRAM:
                        header = packets.routing_header(octets[24:40], octets[6])
                        octets = header + octets[packets.IPV6_HEADER_OCTETS :]
                    yield octets, self._in[one]
                except BlockingIOError:
                    break

    def take_down(self) -> None:
        """The cable is pulled at the visitors' end; they keep their addresses."""
        self.visitors.set_ipv6(CABLE, keep_addr_on_down=1)
        self.visitors.set_down(CABLE)

    def lose_route(self) -> None:
        """The correspondent's host loses its way to everywhere."""
        self.host.popen(["ip", "-6", "route", "del", "default"]).wait()

    def restore(self) -> None:
        """The cable is there again, and the ways."""
        self.visitors.set_up(CABLE)
        for restore in (join, route):
            with suppress(Exception):  # what is still there
                restore(self.host, self.visitors)

    def inward(self) -> list[socket.socket]:
        """Where answers come in."""
        return list(self._in)

    def close(self) -> None:
        """End the daemon, and let go of all."""
        self.stop(signal.SIGKILL)
        for one in (*self._out.values(), *self._in):
            one.close()
        self._here.close()
        self._there.close()

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, protocol: int, address: str, kind: int = socket.SOCK_RAW) -> socket.socket:
        made = self._there.socket(socket.AF_INET6, kind, protocol)
        made.bind((address, 0))
        made.setblocking(False)
        buffers.widen(made, _BUFFER)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        return made

    def _proc(self, name: str) -> str:
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/{name}").read_text()
