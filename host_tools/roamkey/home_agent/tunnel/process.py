"""The tunnel's process: a correspondent's data plane whose way natively is a tunnel, and which
holds home addresses on the home link while their nodes are bound."""

import contextlib
import select
import socket
from contextlib import ExitStack
from ipaddress import IPv6Address
from typing import Any

from roamkey.correspondent import buffers
from roamkey.correspondent.dataplane import firewall, process, routes, tally
from roamkey.correspondent.dataplane.control import BINDING
from roamkey.correspondent.encapsulation import Place
from roamkey.home_agent.tunnel import control
from roamkey.home_agent.tunnel.forward import TUNNELLED, TunnelForwarder
from roamkey.home_agent.tunnel.homelink import HomeLink
from roamkey.home_agent.tunnel.inside import TunnelInside
from roamkey.home_agent.tunnel.narrow import TunnelMtu

_RECEIVE_BUFFER = 8 << 20


class TunnelProcess(process.Process):
    """Of one home agent address."""

    _native = TUNNELLED
    _more_names = (tally.OF_THE_LINK,)
    _may_own = False  # the home link has it
    _may_be_wide = False  # what is routed is of any kind, and passes as it is
    # Before those of correspondents on this host, whose devices take their own packets alone.
    _priority = routes.PRIORITY // 2
    _rules = (firewall.TUNNEL,)

    def __init__(
        self,
        channel: socket.socket,
        address: IPv6Address,
        place: Place | None,
        stack: ExitStack,
        interface: str,
        why: str,
    ) -> None:
        """As `Process`; `interface`: the home link's."""
        self._interface_home = interface
        self._detected: list[bytes] = []
        super().__init__(channel, address, place, stack, why)

    def _open_raw(self, address: IPv6Address) -> socket.socket:
        """Where tunnelled packets arrive, from their inner header on."""
        one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, TUNNELLED.protocol)
        try:
            buffers.widen(one, _RECEIVE_BUFFER)
            one.setblocking(False)
            one.bind((str(address), 0))
        except OSError:
            one.close()
            raise
        return one

    def _new_inside(self, udp: socket.socket) -> TunnelInside:
        return TunnelInside(udp, self._table, self._told, self._delivery, self._unbound_inside)

    def _new_forwarder(self) -> TunnelForwarder:
        parts = self._table, self._device, self._raw, self._delivery, self._told
        return TunnelForwarder(*parts, self._unbound, self._inside)

    def _new_path_mtu(self) -> TunnelMtu:
        return TunnelMtu(self._table, self._address)

    def _begin_more(self, stack: ExitStack) -> None:
        self._home_link = HomeLink(self._interface_home, self._note_detected)
        stack.callback(self._home_link.close)
        self._poll.register(self._home_link, select.POLLIN)

    def _follow(self, records: bytes, now: int) -> None:
        super()._follow(records, now)
        for home, _, _, expires_ms, _ in BINDING.iter_unpack(records):
            (self._home_link.hold if expires_ms else self._home_link.let_go)(home)

    def _obey_more(self, kind: bytes, body: bytes) -> None:
        if kind == control.DETECT:
            for at in range(0, len(body), control.ADDRESS_OCTETS):
                self._home_link.detect(body[at : at + control.ADDRESS_OCTETS])

    def _look(self) -> None:
        super()._look()
        before = self._home_link.fileno()
        if self._home_link.look():
            self._poll.unregister(before)
            self._poll.register(self._home_link, select.POLLIN)

    def _serve_more(self, ready: set[int]) -> None:
        link = self._home_link
        if link.fileno() in ready:
            link.hear()
        link.turn()
        for record in self._detected:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._channel.send(control.DETECTED + record)
        self._detected.clear()

    def _wakes_at(self) -> float:
        return self._home_link.wakes_at()

    def _further_facts(self) -> dict[str, Any]:
        return {"home_link": {**self._home_link.counters}}

    def _note_detected(self, home_address: bytes, is_free: bool) -> None:
        self._detected.append(control.FOUND.pack(home_address, is_free))
