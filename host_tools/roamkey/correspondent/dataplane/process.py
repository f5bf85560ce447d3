"""The data plane's process: `main`, with the channel's descriptor and the address.

It ends when the daemon's end of the control socket closes, however that happens; signals are the
daemon's to take.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import ExitStack
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent import buffers
from roamkey.correspondent.dataplane import control, filters, routes, tun
from roamkey.correspondent.dataplane.firewall import Firewall
from roamkey.correspondent.dataplane.forward import Forwarder
from roamkey.correspondent.dataplane.path_mtu import PathMtu
from roamkey.correspondent.dataplane.table import Table
from roamkey.errors import SystemRefusedError

_PATTERN = "roamkey%d"
_REPORT_S = 1.0
_RECEIVE_BUFFER = 8 << 20
_MESSAGES = 16  # from the daemon before packets have their turn


class Process:
    """Device, sockets, routes and firewall of one correspondent address; `run` it."""

    def __init__(self, channel: socket.socket, address: IPv6Address, stack: ExitStack) -> None:
        """Set up; what must be undone goes onto `stack`. Raises SystemRefusedError."""
        self._channel = channel
        self._offenders: list[bytes] = []
        self._reported: object = None
        self._device, interface = tun.open_device(_PATTERN)
        stack.callback(os.close, self._device)
        index, mtu = routes.set_up(interface, address)
        self._table = Table(address)
        self._routes = routes.Routes(index, address)
        stack.callback(self._routes.close)
        self._raw = _open_raw(address)
        stack.callback(self._raw.close)
        self._forwarder = Forwarder(self._table, self._device, self._raw, self._unbound)
        self._path_mtu = PathMtu(self._table, address)
        stack.callback(self._path_mtu.close)
        firewall = Firewall(address)
        stack.callback(firewall.remove)
        warning = firewall.set_up()
        ready = {"interface": interface, "mtu": mtu, "warning": warning}
        self._tell(control.READY + json.dumps(ready).encode())

    def run(self) -> None:
        """Pass packets until the daemon hangs up."""
        poll = select.poll()
        for readable in (self._channel, self._device, self._raw, self._path_mtu):
            poll.register(readable, select.POLLIN)
        report_at = time.monotonic() + _REPORT_S
        more = False
        while True:
            left = report_at - time.monotonic()
            ready = {fd for fd, _ in poll.poll(0 if more else max(0, left * 1000))}
            if left <= 0:
                report_at = time.monotonic() + _REPORT_S
                self._report()
            now = time.time_ns() // 1_000_000
            if self._channel.fileno() in ready and not self._obey(now):
                return
            if self._path_mtu.fileno() in ready:
                self._path_mtu.hear(now)
            more = self._routes.flush()
            if self._device in ready:
                self._forwarder.outward(now)
            if self._raw.fileno() in ready:
                self._forwarder.inward(now)
            if self._offenders:
                self._tell(control.UNBOUND + b"".join(self._offenders))
                self._offenders.clear()

    def _obey(self, now: int) -> bool:
        """Do what the daemon says; False when it has hung up."""
        for _ in range(_MESSAGES):
            try:
                message = self._channel.recv(control.MESSAGE_OCTETS)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if not message:
                return False
            kind, body = message[:1], message[1:]
            if kind == control.BINDINGS:
                self._follow(body)
            elif kind == control.PACKET:
                at = control.SOURCE_OCTETS
                self._forwarder.deliver(body[: at - 1], body[at - 1], body[at:], now)
        return True

    def _follow(self, records: bytes) -> None:
        for home, care_of, expires_ms in control.BINDING.iter_unpack(records):
            if not expires_ms:
                self._table.unbind(home)
                self._routes.remove(home)
                continue
            moved = self._table.bind(home, care_of, expires_ms)
            if moved is None:
                continue
            if moved.squeezed:
                moved.squeezed = False
                self._routes.renew(home)
            else:
                self._routes.add(home)

    def _unbound(self, source: str, header: bytes) -> None:
        """Pass on to the daemon, which has the rule for the answer and counts the drop."""
        if len(self._offenders) < control.RECORDS and "%" not in source:
            address = socket.inet_pton(socket.AF_INET6, source)
            self._offenders.append(control.OFFENDER.pack(address, header))

    def _report(self) -> None:
        """Tell the daemon what was used, and the counters where they changed."""
        forwarder = self._forwarder
        used = b"".join(forwarder.used)
        forwarder.used.clear()
        size = control.ADDRESS_OCTETS * control.RECORDS
        for at in range(0, len(used), size):
            self._tell(control.USED + used[at : at + size])
        found = {
            "packets": dict(forwarder.counters),
            "octets": {"inward": forwarder.octets[0], "outward": forwarder.octets[1]},
            "route_failures": self._routes.failures,
        }
        if found != self._reported:
            self._reported = found
            self._tell(control.COUNTERS + json.dumps(found).encode())

    def _tell(self, message: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._channel.send(message)


def _open_raw(address: IPv6Address) -> socket.socket:
    """Where data from nodes arrive."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, packets.DESTINATION_OPTIONS)
    try:
        buffers.widen(one, _RECEIVE_BUFFER)
        one.setblocking(False)
        one.bind((str(address), 0))
        filters.only_data(one, packets.DESTINATION_OPTIONS)
    except OSError:
        one.close()
        raise
    return one


def main() -> None:
    """Serve the daemon at the other end of the descriptor given."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.setblocking(False)
    with ExitStack() as stack:
        try:
            process = Process(channel, IPv6Address(sys.argv[2]), stack)
        except (SystemRefusedError, OSError) as error:
            channel.send(control.REFUSED + str(error).encode())
            return
        process.run()


if __name__ == "__main__":
    main()
