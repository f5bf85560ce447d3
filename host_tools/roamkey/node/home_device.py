"""The TUN device that has a Linux node's home address, and its routes to the correspondents."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address
from typing import Any, TypeVar

from pyroute2.netlink.exceptions import NetlinkError

from mip6 import packets
from roamkey.correspondent.dataplane import routes, tun
from roamkey.correspondent.dataplane.host import Host
from roamkey.correspondent.dataplane.routes import Routes
from roamkey.errors import SystemRefusedError

_DEVICE = "roamkey%d"
_OVERHEAD = 28 + packets.IPV6_HEADER_OCTETS  # inside UDP over IPv4; natively it takes less
_MTU = 1500 - _OVERHEAD
_LOOKS = 15  # between those at all of it, where the kernel tells of no change; one each second

_Result = TypeVar("_Result")


class HomeDevice:
    """Read and write whole packets at its `fileno`; `close` it, and it is gone."""

    def __init__(self, home: IPv6Address, correspondents: list[bytes]) -> None:
        """Make it, up, with its routes. Raises SystemRefusedError."""
        self._device, name = tun.open_device(_DEVICE)
        try:
            self._host = Host(home)
        except OSError as error:
            os.close(self._device)
            raise SystemRefusedError(f"netlink: {error.strerror}") from None
        try:
            self._index, self._routes = _apart(_set_up, name, home)
        except BaseException:
            self._host.close()
            os.close(self._device)
            raise
        for correspondent in correspondents:
            self._routes.add(correspondent)
        while self._routes.flush():
            pass
        self._looks = 0

    def fileno(self) -> int:
        """Its descriptor."""
        return self._device

    def close(self) -> None:
        """It and its routes go."""
        self._routes.close()
        self._host.close()
        os.close(self._device)

    def mend(self) -> bool:
        """Once a second: put back what others took from it; False: it is gone."""
        self._looks += 1
        self._routes.hear_told()
        if self._host.hear(self._routes.port) or self._looks >= _LOOKS:
            self._looks = 0
            if _apart(self._host.mend, self._index, _MTU, True) is None:
                return False
            self._routes.ask()
            self._routes.hear_told()
        self._routes.flush()
        return True


def _set_up(name: str, home: IPv6Address) -> tuple[int, Routes]:
    try:
        index, _ = routes.set_up(name, home, True, _OVERHEAD)
        return index, Routes(index, home)
    except (NetlinkError, OSError, IndexError) as error:  # the last: it is gone already
        raise SystemRefusedError(f"{name}: {error.args[-1]}") from None


def _apart(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """pyroute2 has a loop of its own in each thread, and here is one already."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(function, *arguments).result()
