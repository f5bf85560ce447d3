"""The tunnel's process where the kernel carries what goes natively: by its own ip6tnl.

All else is as in `process`, and the same TUN device and routes are there: what is inside UDP goes
by them, what goes to a node whose way is too narrow, and what goes natively while somebody has
taken the kernel's device away.
"""

import select
import socket
from contextlib import ExitStack
from ipaddress import IPv6Address
from typing import Any

from roamkey.correspondent.dataplane import filters, inkernel, tally
from roamkey.correspondent.dataplane.control import BINDING
from roamkey.correspondent.dataplane.table import LEAST_MTU, Entry
from roamkey.correspondent.encapsulation import Place
from roamkey.home_agent.tunnel.narrow import TunnelMtu
from roamkey.home_agent.tunnel.offload import Offload
from roamkey.home_agent.tunnel.process import TunnelProcess


class KernelTunnelProcess(TunnelProcess):
    """Of one home agent address."""

    plane = "kernel"

    def __init__(
        self,
        channel: socket.socket,
        address: IPv6Address,
        place: Place | None,
        stack: ExitStack,
        interface: str,
        why: str,
        offload: Offload,
    ) -> None:
        """As `TunnelProcess`; `offload`: the kernel's tunnels."""
        self._offload = offload
        self._polled = -1
        super().__init__(channel, address, place, stack, interface, why)

    def _open_raw(self, address: IPv6Address) -> socket.socket:
        """Packets arrive in the kernel."""
        one = super()._open_raw(address)
        filters.nothing(one)
        return one

    def _begin_more(self, stack: ExitStack) -> None:
        super()._begin_more(stack)
        self._dropped = self._offload.drops()
        self._poll_routes()

    def _poll_routes(self) -> None:
        now = self._offload.fileno()
        if now != self._polled:
            self._polled = now
            self._poll.register(now, select.POLLIN)

    def _suppress(self, stack: ExitStack) -> str | None:
        """The device takes whatever is tunnelled; a kernel that has Mobile IPv6 has no answer of
        its own to Home Address options."""
        return None if inkernel.refusal() is None else super()._suppress(stack)

    def _follow(self, records: bytes, now: int) -> None:
        super()._follow(records, now)
        for home, care_of, _, expires_ms, _ in BINDING.iter_unpack(records):
            entry = self._table.by_home.get(home)
            if entry is None or entry.outer is not None:
                self._offload.unbind(home)
            else:
                narrow = _is_too_narrow(entry) and entry.is_narrow(now)
                self._offload.bind(home, care_of, expires_ms, not narrow)

    def _new_path_mtu(self) -> TunnelMtu:
        return TunnelMtu(self._table, self._address, self._note_narrow)

    def _note_narrow(self, entry: Entry) -> None:
        """The kernel doesn't fragment its tunnel's packets, which it has to where a way takes less
        than the least MTU and the outer header."""
        if _is_too_narrow(entry):
            self._offload.leave_outward(entry.home_address)

    def _flush(self, now: int) -> bool:
        more = self._offload.flush()
        return super()._flush(now) | more

    def _look(self) -> None:
        super()._look()
        before = self._offload.fileno()
        self._offload.mend(self._mtu)
        if before != self._offload.fileno():
            self._poll.unregister(before)
            self._polled = -1
        self._poll_routes()

    def _serve_more(self, ready: set[int]) -> None:
        super()._serve_more(ready)
        if self._polled in ready:
            self._offload.hear()
        self._offload.look()

    def _wakes_at(self) -> float:
        return min(super()._wakes_at(), self._offload.wakes_at())

    def _report(self) -> None:
        offload, told = self._offload, self._told
        for at, name in enumerate((tally.DELIVERED, tally.SENT)):
            told.counters[name] += offload.packets[at]
            told.octets[at] += offload.octets[at]
            offload.packets[at] = offload.octets[at] = 0
        for homes, into in ((offload.used, told.used), (offload.heard, told.heard)):
            into |= homes
            homes.clear()
        before, self._dropped = self._dropped, offload.drops()
        for name, count in self._dropped.items():
            told.counters[name] += count - before[name]
        super()._report()

    def _further_facts(self) -> dict[str, Any]:
        offload = self._offload
        kernel = {
            "interface": offload.interface,
            "bindings": len(offload),
            "failures": offload.failures,
            "mended": offload.repaired + offload.routes_repaired(),
        }
        return {**super()._further_facts(), "kernel": kernel}


def _is_too_narrow(entry: Entry) -> bool:
    return entry.path_mtu < LEAST_MTU + entry.overhead
