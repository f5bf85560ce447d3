"""The data plane's process where the kernel has Mobile IPv6: it carries what goes natively.

All else is as in `process`, and the same device and routes are there: what the kernel's states
don't take comes into the device (packets inside UDP, what has another source, what goes to a node
whose way is too narrow, data outward while somebody has taken the states away), and a program gets
our address as its source.

Ours in the kernel outlives a process that is killed, unlike a device; so a second process, forked
here, waits for the end of this one, and sweeps. Nobody else begins before it has.
"""

import select
import socket
import time
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv6Address
from typing import Any

from mip6 import packets
from roamkey.correspondent.clock import boot_ms
from roamkey.correspondent.control import lock_path
from roamkey.correspondent.dataplane import control, filters, inkernel, process, tally
from roamkey.correspondent.dataplane.guard import Guard
from roamkey.correspondent.dataplane.offload import Offload
from roamkey.correspondent.dataplane.path_mtu import PathMtu
from roamkey.correspondent.dataplane.reports import Reports
from roamkey.correspondent.dataplane.table import Entry


class KernelProcess(process.Process):
    """Of one correspondent address."""

    plane = "kernel"

    def _open_raw(self, address: IPv6Address) -> socket.socket:
        """Data arrive in the kernel: what is left for this one is what nodes sent before they
        moved, for a moment. The kernel knows one care-of address of each."""
        self._moved: dict[bytes, tuple[bytes, int]] = {}  # from where, and until when that counts
        self._moved_news = False
        one = super()._open_raw(address)
        filters.nothing(one)
        return one

    def _begin_more(self, stack: ExitStack) -> None:
        ours = self._address.packed
        lock = lock_path(self._address, "xfrm")
        stack.enter_context(Guard(lock, partial(inkernel.sweep, ours)))
        self._offload = Offload(ours)
        stack.callback(self._offload.close)
        self._reports = Reports(ours)
        stack.callback(self._reports.close)
        for readable in (self._offload, self._reports):
            self._poll.register(readable, select.POLLIN)

    def _follow(self, records: bytes, now: int) -> None:
        super()._follow(records, now)
        for home, care_of, _, expires_ms, _ in control.BINDING.iter_unpack(records):
            entry = self._table.by_home.get(home)
            if entry is None or entry.outer is not None:
                self._offload.unbind(home, by_update=not expires_ms)
            else:
                self._offload.bind(home, care_of, expires_ms, not entry.is_narrow(now))
            self._moved_news |= self._moved.pop(home, None) is not None
            if entry is not None and now < entry.was_until_ms:
                self._note_moved(entry)

    def _new_path_mtu(self) -> PathMtu:
        return PathMtu(self._table, self._address, self._note_narrow)

    def _note_narrow(self, entry: Entry) -> None:
        """The kernel learns nothing from reports about packets with a routing header."""
        self._offload.leave_outward(entry.home_address)

    def _note_moved(self, entry: Entry) -> None:
        if isinstance(entry.was, str) and len(self._moved) < filters.FLOWS_MAX:
            was = socket.inet_pton(socket.AF_INET6, entry.was)
            self._moved[entry.home_address] = was, entry.was_until_ms
            self._moved_news = True

    def _suppress(self, stack: ExitStack) -> str | None:
        """Home Address options are nothing new to this kernel: it has no answers of its own."""
        return None

    def _deliver(self, body: bytes, now: int) -> None:
        """The kernel has delivered it."""

    def _serve_more(self, ready: set[int]) -> None:
        now = boot_ms()
        if self._reports.fileno() in ready:
            for home, care_of, protocol in self._reports.hear():
                was, until = self._moved.get(home, (b"", 0))
                if was == care_of and now < until:
                    continue
                self._told.counters[tally.UNBOUND] += 1
                header = packets.home_address_option(home, protocol)
                self._pass_on(control.UNBOUND, control.OFFENDER.pack(care_of, header))
        if self._offload.fileno() in ready:
            self._offload.hear()
        self._offload.look(time.monotonic())
        over = [home for home, (_, until) in self._moved.items() if until <= now]
        for home in over:
            del self._moved[home]
        if over or self._moved_news:
            self._moved_news = False
            filters.only_data_of(
                self._raw, ((home, was) for home, (was, _) in self._moved.items())
            )

    def _flush(self, now: int) -> bool:
        more = self._offload.flush(now)  # first: who sees the route can rely on it
        return super()._flush(now) | more

    def _wakes_at(self) -> float:
        return self._offload.wakes_at()

    def _report(self) -> None:
        passed = self._offload.take_passed()
        told = self._told
        for at, name in enumerate((tally.DELIVERED, tally.SENT)):
            told.counters[name] += passed.packets[at]
            told.octets[at] += passed.octets[at]
        told.used |= passed.used
        told.heard |= passed.heard
        super()._report()

    def _further_facts(self) -> dict[str, Any]:
        offload = self._offload
        return {
            "kernel": {
                "bindings": len(offload),
                "failures": offload.failures,
                "mended": offload.repaired,
            }
        }
