"""The data plane's process where the kernel has Mobile IPv6: it carries what goes natively.

All else is as in `process`, and the same device and routes are there: what the kernel's states
don't take comes into the device (packets inside UDP, what has another source, data outward while
somebody has taken the states away), and a program gets our address as its source.

Ours in the kernel outlives a process that is killed, unlike a device; so a second process, forked
here, waits for the end of this one, and sweeps. Nobody else begins before it has.
"""

import select
import socket
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

from mip6 import packets
from roamkey.correspondent.dataplane import control, filters, process, tally, xfrm
from roamkey.correspondent.dataplane.guard import Guard
from roamkey.correspondent.dataplane.offload import Offload, Reports


class KernelProcess(process.Process):
    """Of one correspondent address."""

    plane = "kernel"

    def _open_raw(self, address: Any) -> socket.socket:
        """Data arrive in the kernel: none are left for this one."""
        one = super()._open_raw(address)
        filters.nothing(one)
        return one

    def _begin_more(self, stack: ExitStack) -> None:
        ours = self._address.packed
        stack.enter_context(Guard(f"xfrm-{ours.hex()}", partial(xfrm.sweep, ours)))
        self._offload = Offload(ours)
        stack.callback(self._offload.close)
        self._reports = Reports(ours)
        stack.callback(self._reports.close)
        for readable in (self._offload, self._reports):
            self._poll.register(readable, select.POLLIN)

    def _follow(self, records: bytes, now: int) -> None:
        super()._follow(records, now)
        for home, care_of, endpoint, expires_ms, _ in control.BINDING.iter_unpack(records):
            if expires_ms and endpoint == control.NATIVE:
                self._offload.bind(home, care_of, expires_ms)
            else:
                self._offload.unbind(home)

    def _suppress(self, stack: ExitStack) -> str | None:
        """Home Address options are nothing new to this kernel: it has no answers of its own."""
        return None

    def _deliver(self, body: bytes, now: int) -> None:
        """The kernel has delivered it."""

    def _serve_more(self, ready: set[int]) -> None:
        if self._reports.fileno() in ready:
            for home, care_of, protocol in self._reports.hear():
                self._told.counters[tally.UNBOUND] += 1
                header = packets.home_address_option(home, protocol)
                self._pass_on(control.UNBOUND, control.OFFENDER.pack(care_of, header))
        if self._offload.fileno() in ready:
            self._offload.hear()
        self._offload.look(time.monotonic())

    def _flush(self, now: int) -> bool:
        return super()._flush(now) | self._offload.flush(now)

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
