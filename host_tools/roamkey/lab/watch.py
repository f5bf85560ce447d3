"""When a node's addresses become usable: the kernel's own announcements, with the time of each.

A handover begins for Mobile IPv6 when the kernel has a new care-of address whose duplicate
address detection is over (RFC 4862 section 5.4). Asking for it every few milliseconds would blur
what takes a few milliseconds itself; so a thread listens to rtnetlink.
"""

import socket
import time
from dataclasses import dataclass

from mip6 import addresses
from mip6.ports import netlink
from roamkey.lab.background import Collector
from roamkey.lab.namespaces import Namespace

_RTMGRP_IFADDR = 0x110  # of IPv4 and IPv6
_ENDS_WITHIN_S = 0.05


@dataclass(frozen=True)
class Usable:
    """An address of an interface (by index) and the time (s since the epoch) it became usable."""

    time: float
    interface: int
    address: str


class AddressWatch(Collector[Usable]):
    """Collects `Usable` in `seen`, in order, from entering the context until leaving it."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(self._listen, every_s=0)
        self._socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.bind((0, _RTMGRP_IFADDR))
        self._socket.settimeout(_ENDS_WITHIN_S)
        self._owned.callback(self._socket.close)

    def wait_for(self, prefix: str, since: float, timeout: float = 15.0) -> Usable:
        """The first address that starts with `prefix` and was usable after `since`.

        Raises TimeoutError after `timeout` seconds.
        """
        return self.wait_until(
            lambda usable: usable.time >= since and usable.address.startswith(prefix),
            f"no address {prefix}…",
            timeout,
        )

    def _listen(self) -> list[Usable]:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return []
        return _usable(data, time.time())


def _usable(data: bytes, now: float) -> list[Usable]:
    found = []
    for kind, *told in netlink.read(data):
        if kind == netlink.ADDRESS:
            interface, address, usable, *_ = told
            if usable:
                found.append(Usable(now, interface, addresses.text(address)))
    return found
