"""A data plane that lasts: a process that ends or hangs is followed by another.

Signalling goes on meanwhile, and waits neither for an end nor for a start. The next process is
started when the one before is gone, with device and routes; the firewall table that it may have
left behind is taken over. It is told all bindings anew.
"""

import select
import time
from collections import deque
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Any

from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.dataplane.client import DataPlane, Kind
from roamkey.correspondent.dataplane.firewall import Firewall
from roamkey.correspondent.encapsulation import Place
from roamkey.errors import SystemRefusedError
from roamkey.registry.records import Binding

_PAUSE_S = 1.0  # before the first new start, twice as long before each further one
_PAUSE_MAX_S = 60.0
_STEADY_S = 60.0  # who ran for so long begins with the short pause again
_HANGS_S = 30.0  # without a word: it doesn't come back


class LastingPlane:
    """The data plane of one correspondent address. Select on it, then call `receive`; ask for
    `news` once a second. `used`, `heard`: as of `DataPlane`; take them out."""

    def __init__(
        self, address: IPv6Address, place: Place | None = None, kind: Kind | None = None
    ) -> None:
        """Start it; raises SystemRefusedError where the system doesn't allow it.

        `place`: where our own socket for packets inside UDP is. Where there is one, and no
        interface has the address, a correspondent's device gets it. `kind`: as for `DataPlane`.
        """
        self._address = address
        self._place = place
        self._kind = kind
        #: what it said that isn't every data plane's; take it out
        self.said: deque[tuple[bytes, bytes]] = deque()
        self._plane: DataPlane | None = DataPlane(address, place=place, kind=kind)
        self._known = self._plane.facts()  # what is told of the device while there is none
        self._news: list[str] = []
        self._select = select.epoll()
        self._select.register(self._plane, select.EPOLLIN)
        self._before: DataPlane | None = None  # hung up, maybe not gone yet
        self._started_at = time.monotonic()
        self._again_at = 0.0
        self._pause_s = _PAUSE_S
        self._fresh = self._told = True
        self._tidy = True
        self._heard = 0.0  # when, of one that was lost
        self._restarts = 0
        self.used: set[bytes] = set()
        self.heard: set[bytes] = set()

    def facts(self) -> dict[str, Any]:
        """What there is to tell: `running`, whether it serves; how often it was started anew; the
        device, the last one where there is none now, and the counters of the present process."""
        plane = self._plane
        if plane is not None and plane.ready:
            return {"running": True, "restarts": self._restarts, **plane.facts()}
        silent = int(time.monotonic() - self._heard)
        return {"running": False, "restarts": self._restarts, **self._known, "silent_s": silent}

    def fileno(self) -> int:
        """For select."""
        return self._select.fileno()

    def bind(self, changed: Iterable[tuple[bytes, Binding | None]]) -> None:
        """Tell where home addresses are now; None: nowhere, or at home."""
        self._fresh = False
        if self._plane is not None:
            try:
                self._plane.bind(changed)
            except SystemRefusedError as error:
                self._lose(str(error))

    @property
    def is_fresh(self) -> bool:
        """Whether it knows of no binding yet: it is to be told of all."""
        return self._fresh

    def deliver(self, inbound: Inbound) -> None:
        """See `DataPlane.deliver`."""
        if self._plane is not None:
            self._plane.deliver(inbound)

    def tell(self, kind: bytes, body: bytes) -> None:
        """See `DataPlane.tell`; lost where there is none now."""
        if self._plane is not None:
            try:
                self._plane.tell(kind, body)
            except SystemRefusedError as error:
                self._lose(str(error))

    def receive(self) -> list[Inbound]:
        """See `DataPlane.receive`; it never comes to an end."""
        plane = self._plane
        if plane is None:
            return []
        try:
            return plane.receive()
        except SystemRefusedError as error:
            self._lose(str(error))
            return []
        finally:
            self.used |= plane.used
            plane.used.clear()
            self.heard |= plane.heard
            plane.heard.clear()
            self.said += plane.said
            plane.said.clear()

    def news(self) -> list[str]:
        """What the user has to know and wasn't told: a line for each. Looks after the process."""
        now = time.monotonic()
        plane = self._plane
        if plane is None:
            if now >= self._again_at and (self._before is None or self._is_gone(self._before)):
                self._start(now)
        elif plane.silent_s() > _HANGS_S:
            self._lose("it doesn't answer")
        elif plane.ready:
            self._news += plane.news()
            if not self._told:
                self._told = True
                self._news.append(f"the data plane is there again: {plane.interface}")
            if now - self._started_at > _STEADY_S:
                self._pause_s = _PAUSE_S
        told, self._news = self._news, []
        return told

    def close(self) -> None:
        """End it; device, routes and firewall table are gone then."""
        for plane in (self._before, self._plane):
            self._tidy &= plane is None or plane.close()
        self._select.close()
        if not self._tidy:
            Firewall(self._address).remove()

    def _start(self, now: float) -> None:
        self._before = None
        self._started_at = now
        self._restarts += 1
        try:
            self._plane = DataPlane(self._address, wait=False, place=self._place, kind=self._kind)
            self._select.register(self._plane, select.EPOLLIN)
            self._fresh = True
        except (OSError, SystemRefusedError) as error:  # no memory, no descriptors
            self._lose(str(error))

    def _is_gone(self, plane: DataPlane) -> bool:
        if not plane.is_gone():
            return False
        self._tidy = False
        return True

    def _lose(self, why: str) -> None:
        """There is none now; it is told, and another one comes."""
        if self._plane is not None:
            if self._plane.ready:
                self._known = self._plane.facts()
                self._heard = time.monotonic() - self._plane.silent_s()
            self._plane.hang_up()
            self._before, self._plane = self._plane, None
        self._news.append(
            f"no data plane: {why}; the next try in {self._pause_s:.0f} s, signalling goes on"
        )
        self._told = False
        self._again_at = time.monotonic() + self._pause_s
        self._pause_s = min(_PAUSE_MAX_S, 2 * self._pause_s)
