"""The data plane's process: `main`, with the channel's descriptor and the address.

It ends when the daemon's end of the control socket closes, however that happens; signals are the
daemon's to take.
"""

import contextlib
import json
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv6Address
from typing import Any

from mip6 import packets
from roamkey.correspondent import buffers, encapsulation, localaddress
from roamkey.correspondent.clock import boot_ms
from roamkey.correspondent.dataplane import control, filters, firewall, routes, table, tun
from roamkey.correspondent.dataplane.delivery import Delivery
from roamkey.correspondent.dataplane.forward import Forwarder
from roamkey.correspondent.dataplane.host import Host
from roamkey.correspondent.dataplane.inside import Inside
from roamkey.correspondent.dataplane.path_mtu import PathMtu
from roamkey.correspondent.dataplane.table import Table
from roamkey.correspondent.dataplane.tally import Tally
from roamkey.correspondent.encapsulation import Place
from roamkey.correspondent.localaddress import State
from roamkey.errors import SystemRefusedError

_PATTERN = "roamkey%d"
_REPORT_S = 1.0
_LOOK_S = 15.0  # at the host's state, where the kernel tells of no change
_SOON_S = 0.05  # after it told: mostly of several
_RECEIVE_BUFFER = 8 << 20
_MESSAGES = 16  # from the daemon before packets have their turn


class Process:
    """Device, sockets, routes and firewall of one correspondent address; `run` it. What another
    kind of data plane does otherwise stands in methods of its own."""

    plane = "tun"
    _native = table.ROUTED
    _more_names: tuple[str, ...] = ()  # of what becomes of packets
    _may_own = True  # the device may have our address
    _priority = routes.PRIORITY  # of the routes
    _rules: tuple[str, ...] = ()  # of the firewall, beside the usual one
    _may_be_wide = True  # the device may have long packets

    def __init__(
        self,
        channel: socket.socket,
        address: IPv6Address,
        place: Place | None,
        stack: ExitStack,
        why: str | None = None,
    ) -> None:
        """Set up; what must be undone goes onto `stack`. `place`: where packets inside UDP come
        and go, None: nowhere; `why`: what to tell of the choice of this plane. Raises
        SystemRefusedError."""
        self._channel, self._address, self._why = channel, address, why
        self._offenders: dict[bytes, list[bytes]] = {}  # by the kind of message
        # A site without IPv6 has no interface for it; then the device is the one.
        state, _ = localaddress.look(address)
        self._own = state is State.GONE
        if self._own and (place is None or not self._may_own):
            raise SystemRefusedError(f"{address} {state.value}")
        self._host = Host(address, self._native.overhead)
        stack.callback(self._host.close)
        self._mended = dict.fromkeys(("device", "link", "mtu", "address"), 0)
        self._poll = select.poll()
        self._look_at, self._state = time.monotonic() + _LOOK_S, State.HERE
        udp = None if place is None else encapsulation.open_socket(place, data=True)
        if udp is not None:
            stack.enter_context(udp)
        self._table = Table(address, udp, self._native)
        self._told = Tally(*self._more_names)
        self._delivery = Delivery(self._told)
        self._open_device()
        stack.callback(self._close_device)
        self._raw = self._open_raw(address)
        stack.callback(self._raw.close)
        self._inside: Inside | None = None
        if udp is not None:
            self._inside = self._new_inside(udp)
            stack.callback(self._inside.close)
            for one in self._inside.sockets:
                self._poll.register(one, select.POLLIN)
        self._forwarder = self._new_forwarder()
        self._path_mtu = self._new_path_mtu()
        stack.callback(self._path_mtu.close)
        self._begin_more(stack)
        self._keeper: firewall.Keeper | None = None
        warning = self._suppress(stack)
        ready = {**self._facts(), "warning": warning}
        self._tell(control.READY + json.dumps(ready).encode())
        for readable in (self._channel, self._raw, self._path_mtu, self._host):
            self._poll.register(readable, select.POLLIN)

    # --- what another kind of data plane does otherwise

    def _open_raw(self, address: IPv6Address) -> socket.socket:
        """Where data from nodes arrive natively."""
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

    def _new_inside(self, udp: socket.socket) -> Inside:
        return Inside(udp, self._table, self._told, self._delivery, self._unbound_inside)

    def _new_forwarder(self) -> Forwarder:
        parts = self._table, self._device, self._raw, self._delivery, self._told
        return Forwarder(*parts, self._unbound, self._inside)

    def _new_path_mtu(self) -> PathMtu:
        return PathMtu(self._table, self._address)

    def _begin_more(self, stack: ExitStack) -> None:
        """Set up what else there is, and have it polled."""

    def _obey_more(self, kind: bytes, body: bytes) -> None:
        """What else the daemon may say."""

    def _suppress(self, stack: ExitStack) -> str | None:
        """Keep the kernel from answers of its own; why it can't be, or None."""
        self._keeper, warning = firewall.keep(self._address, self._rules, stack)
        return warning

    def _deliver(self, body: bytes, now: int) -> None:
        """Take data in an uncommon layout, which the daemon has found good."""
        at = control.SOURCE_OCTETS
        self._forwarder.deliver(body[: at - 1], body[at - 1], body[at:], now)

    def _flush(self, now: int) -> bool:
        """Have the kernel follow some of the bindings; whether there are more."""
        return self._routes.flush()

    def _serve_more(self, ready: set[int]) -> None:
        """Do what else there is to do, where descriptors are `ready`."""

    def _further_facts(self) -> dict[str, Any]:
        """What else there is to report, in groups of counters."""
        return {}

    def _wakes_at(self) -> float:
        """When to serve more at the latest (`time.monotonic()`)."""
        return math.inf

    # --- the common part

    def _facts(self) -> dict[str, Any]:
        facts = {"plane": self.plane, "why": self._why, "interface": self._interface}
        return {**facts, "mtu": self._mtu, "own_address": self._own}

    def _open_device(self) -> None:
        """Make the device, up, with a route for each home address bound. Raises
        SystemRefusedError."""
        self._device, self._interface, is_wide = tun.open_wide(_PATTERN, self._may_be_wide)
        self._delivery.use(self._device, is_wide)
        try:
            overhead, name = self._native.overhead, self._interface
            self._index, self._mtu = routes.set_up(name, self._address, self._own, overhead)
            self._routes = routes.Routes(self._index, self._address, overhead, self._priority)
        except BaseException:
            os.close(self._device)
            self._device = -1
            raise
        for home, entry in self._table.by_home.items():
            self._routes.add(home, entry.overhead)
        for readable in (self._device, self._routes):
            self._poll.register(readable, select.POLLIN)

    def _close_device(self) -> None:
        if self._device >= 0:
            for readable in (self._device, self._routes):
                self._poll.unregister(readable)
            self._routes.close()
            os.close(self._device)
            self._device = -1

    def _look(self) -> None:
        """See what others have done to what this rests on, and mend it."""
        self._state, mtu = self._host.address(self._index)
        mended = self._host.mend(self._index, mtu, self._own)
        if mended is None:
            failures, repaired = self._routes.failures, self._routes.repaired
            self._close_device()
            self._open_device()
            self._forwarder.use(self._device)
            self._routes.failures, self._routes.repaired = failures, repaired
            mended = ["device"]
        for what in mended:
            self._mended[what] += 1
        if self._own and mended:
            self._state, _ = self._host.address(self._index)
        if mtu is not None:
            self._mtu = mtu
        if self._state is State.HERE:  # routes can't have an address that isn't
            self._routes.ask()

    def run(self) -> None:
        """Pass packets until the daemon hangs up."""
        poll = self._poll
        report_at = time.monotonic() + _REPORT_S
        more = False
        while True:
            left = min(report_at, self._look_at, self._wakes_at()) - time.monotonic()
            ready = {fd for fd, _ in poll.poll(0 if more else max(0, left * 1000))}
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + _REPORT_S
                self._report()
            if self._host.fileno() in ready and self._host.hear(self._routes.port):
                self._look_at = min(self._look_at, time.monotonic() + _SOON_S)
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_S
                self._look()
                continue  # what was ready may be another device's
            if self._routes.fileno() in ready:
                self._routes.hear_told()
            now = boot_ms()
            if self._channel.fileno() in ready and not self._obey(now):
                return
            if self._path_mtu.fileno() in ready:
                self._path_mtu.hear(now)
            more = self._flush(now)
            if self._device in ready:
                self._forwarder.outward(now)
            if self._raw.fileno() in ready:
                self._forwarder.inward(now)
            if self._inside is not None:
                self._inside.serve(ready, now)
            self._serve_more(ready)
            for kind, records in self._offenders.items():
                self._tell(kind + b"".join(records))
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
                self._follow(body, now)
            elif kind == control.PACKET:
                self._deliver(body, now)
            else:
                self._obey_more(kind, body)
        return True

    def _follow(self, records: bytes, now: int) -> None:
        for home, care_of, endpoint, expires_ms, key in control.BINDING.iter_unpack(records):
            if not expires_ms:
                self._table.unbind(home)
                self._routes.remove(home)
                continue
            endpoint = b"" if endpoint == control.NATIVE else endpoint
            moved = self._table.bind(home, care_of, expires_ms, endpoint, key, now)
            if moved is None:
                continue
            if moved.squeezed:
                moved.squeezed = False
                self._routes.renew(home, moved.overhead)
            else:
                self._routes.add(home, moved.overhead)

    def _unbound(self, source: str, header: bytes) -> None:
        """Pass on to the daemon, which has the rule for the answer and counts the drop."""
        if "%" not in source:
            address = socket.inet_pton(socket.AF_INET6, source)
            self._pass_on(control.UNBOUND, control.OFFENDER.pack(address, header))

    def _unbound_inside(self, endpoint: bytes, head: bytes) -> None:
        record = control.OFFENDER_INSIDE.pack(endpoint, len(head), head)
        self._pass_on(control.UNBOUND_INSIDE, record)

    def _pass_on(self, kind: bytes, record: bytes) -> None:
        records = self._offenders.setdefault(kind, [])
        if len(records) < control.RECORDS:
            records.append(record)

    def _report(self) -> None:
        """Tell the daemon what was used, and the counters where they changed."""
        told = self._told
        size = control.ADDRESS_OCTETS * control.RECORDS
        for kind, homes in ((control.USED, told.used), (control.HEARD, told.heard)):
            body = b"".join(homes)
            homes.clear()
            for at in range(0, len(body), size):
                self._tell(kind + body[at : at + size])
        found: dict[str, Any] = {
            "packets": dict(told.counters),
            "octets": {"inward": told.octets[0], "outward": told.octets[1]},
            "route_failures": self._routes.failures,
            "mended": {**self._mended, "routes": self._routes.repaired},
            "address": self._state.name.lower(),
        }
        keeper = self._keeper
        found["mended"]["firewall"] = keeper.repaired if keeper else 0
        facts = {**self._facts(), **self._further_facts()}
        if keeper is not None:
            facts["warning"] = keeper.failed
        # Also where nothing has changed: the daemon notices when this process stands still.
        self._tell(control.COUNTERS + json.dumps({**facts, **found}).encode())

    def _tell(self, message: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._channel.send(message)


def main(make: Callable[..., Process] = Process) -> None:
    """Serve the daemon at the other end of the descriptor given, for an address, and at a place
    for packets inside UDP, if there is one; `make`: of the kind of data plane, which is given what
    the daemon said beside."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.setblocking(False)
    place = encapsulation.parse_place(sys.argv[3]) if sys.argv[3] else None
    with ExitStack() as stack:
        try:
            more = sys.argv[4:5] if sys.argv[4] else ()
            make(channel, IPv6Address(sys.argv[2]), place, stack, *more).run()
        except (SystemRefusedError, OSError) as error:
            with contextlib.suppress(OSError):
                channel.send(control.REFUSED + str(error).encode())


if __name__ == "__main__":
    main()
