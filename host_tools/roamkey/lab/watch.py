"""When a node's addresses become usable: the kernel's own announcements, with the time of each.

A handover begins for Mobile IPv6 when the kernel has a new care-of address whose duplicate
address detection is over (RFC 4862 section 5.4). Asking for it every few milliseconds would blur
what takes a few milliseconds itself; so a thread listens to rtnetlink.
"""

import ipaddress
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType

from roamkey.lab.background import Collector
from roamkey.lab.namespaces import Namespace

_RTMGRP_IPV6_IFADDR = 0x100
_RTM_NEWADDR = 20
_IFA_ADDRESS = 1
_IFA_FLAGS = 8
_UNUSABLE = 0x40 | 0x08  # IFA_F_TENTATIVE, IFA_F_DADFAILED
_SCOPE_GLOBAL = 0
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
        self._socket.bind((0, _RTMGRP_IPV6_IFADDR))
        self._socket.settimeout(_ENDS_WITHIN_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, value, trace)
        self._socket.close()

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
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == _RTM_NEWADDR:
            _, _, flags, scope, index = struct.unpack_from("=BBBBI", data, at + 16)
            attributes = dict(_attributes(data, at + 24, at + length))
            if _IFA_FLAGS in attributes:
                (flags,) = struct.unpack("=I", attributes[_IFA_FLAGS])
            if scope == _SCOPE_GLOBAL and not flags & _UNUSABLE and _IFA_ADDRESS in attributes:
                address = str(ipaddress.IPv6Address(attributes[_IFA_ADDRESS]))
                found.append(Usable(now, index, address))
        at += max(16, (length + 3) & ~3)
    return found


def _attributes(data: bytes, at: int, end: int) -> list[tuple[int, bytes]]:
    found = []
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found.append((kind, data[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found
