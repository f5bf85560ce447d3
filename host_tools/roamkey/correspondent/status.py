"""The daemon's facts: what `status`, `drops` and `/metrics` tell, gathered when somebody asks.

Nothing here runs for a packet. `facts` may be called from another thread: it copies counters and
reads numbers.
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from ipaddress import IPv6Address
from typing import Any

from mip6 import addresses
from roamkey import __version__
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.refresh import Refresher
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.core.routability import Routability
from roamkey.correspondent.encapsulation import Encapsulation
from roamkey.correspondent.sockets import RawSockets
from roamkey.registry.records import HOME_AGENT

OUTCOMES = (
    entries.ACCEPTED,
    entries.REMOVED,
    entries.REFUSED,
    entries.DROPPED,
    entries.DATA,
    entries.KEEPALIVE,
    entries.TESTED,
)
_MORE = {HOME_AGENT: (entries.WAITING,)}
_BINDINGS_MAX = 256  # of nodes without a key, told by name: the latest
_SHOULD_HAVE_MS = 300_000  # after so long something should have arrived


class Status:
    """What there is to tell about a daemon; the daemon itself adds to the numbers below."""

    def __init__(
        self,
        address: IPv6Address,
        responder: Responder,
        sockets: RawSockets,
        encapsulation: Encapsulation,
        refresher: Refresher,
        now: int,
        role: str,
    ) -> None:
        """`now`: the start, in milliseconds since 1970; `role`: what the daemon is to nodes."""
        self.role = role
        self._address = address
        self._responder = responder
        self._sockets = sockets
        self._encapsulation = encapsulation
        self._refresher = refresher
        self._started = now
        self.metrics: str | None = None  # where /metrics are served
        self.bursts = 0
        self.burst_seconds = 0.0  # from having read bursts to having answered them
        self.troubles = 0
        self.last_trouble: str | None = None
        self.reloads = 0
        #: further parts' facts: name -> what gives them
        self.parts: dict[str, Callable[[], dict[str, Any]]] = {}

    def counters(self) -> Counter[tuple[str, str]]:
        """Packets by (outcome, reason), those that the kernel had no room for included."""
        counted = Counter(dict(self._responder.counters))
        lost = self._sockets.overflows()
        if lost:
            counted[entries.DROPPED, "receive buffer"] += lost
        lost = self._encapsulation.overflows()
        if lost:
            counted[entries.DROPPED, "udp socket"] += lost
        return counted

    def facts(self, now: int) -> dict[str, Any]:
        """Everything, as it is printed by `status --json`."""
        counted = self.counters()
        cache = self._responder.cache
        started = datetime.fromtimestamp(self._started / 1000, timezone.utc)
        return {
            "address": str(self._address),
            "role": self.role,
            "version": __version__,
            "pid": os.getpid(),
            "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
            "uptime_s": max(0, now - self._started) // 1000,
            "nodes": cache.nodes(),
            "bindings": cache.bound(),
            "packets": {
                outcome: sum(count for (what, _), count in counted.items() if what == outcome)
                for outcome in (*OUTCOMES, *_MORE.get(self.role, ()))
            },
            "dropped": _by_reason(counted, entries.DROPPED),
            "refused": _by_reason(counted, entries.REFUSED),
            "tested": _by_reason(counted, entries.TESTED),
            "withheld": cache.withheld(),
            "refresh_requests": self._refresher.requests,
            "send_errors": self._sockets.send_errors + self._encapsulation.send_errors,
            "bursts": self.bursts,
            "burst_seconds": round(self.burst_seconds, 6),
            "troubles": self.troubles,
            "last_trouble": self.last_trouble,
            "reloads": self.reloads,
            "metrics": self.metrics,
            "ways": {
                "encapsulation": str(place) if (place := self._encapsulation.place) else None,
                "bound": cache.bound_by_way(),
                "received": {**self._encapsulation.received},
            },
            **_of_role(self.role, cache.routability),
            "nothing_arrived": now - self._started >= _SHOULD_HAVE_MS and not counted,
            **{name: part() for name, part in self.parts.items()},
        }


def _of_role(role: str, routability: Routability | None) -> dict[str, Any]:
    """What one kind of daemon alone has to tell."""
    return {} if role == HOME_AGENT else {"return_routability": _routability(routability)}


def _routability(routability: Routability | None) -> dict[str, Any]:
    if routability is None:
        return {"on": False, "bound": 0, "remembered": 0, "most": 0, "bindings": []}
    return {
        "on": True,
        **routability.facts(),
        "bindings": [
            {
                "home_address": addresses.text(home),
                "care_of_address": addresses.text(binding.care_of_address),
                "sequence": sequence,
                "registered_ms": binding.registered_ms,
                "expires_ms": binding.expires_ms,
            }
            for home, sequence, binding in routability.latest(_BINDINGS_MAX)
        ],
    }


def _by_reason(counted: Counter[tuple[str, str]], outcome: str) -> dict[str, int]:
    return {reason: count for (what, reason), count in sorted(counted.items()) if what == outcome}
