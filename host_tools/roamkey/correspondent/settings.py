"""How a correspondent's daemon is to serve: what its command line says."""

from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from roamkey.correspondent import localaddress
from roamkey.correspondent.core.cache import NAT_REFRESH_S
from roamkey.correspondent.core.refresh import USED
from roamkey.correspondent.dataplane.control import AUTO
from roamkey.correspondent.encapsulation import EVERYWHERE, Place
from roamkey.correspondent.events.recorder import KEEP_DAYS
from roamkey.correspondent.lastseen import EVERY_MS

ENCAPSULATION = EVERYWHERE  # where packets inside UDP are taken, where the port is free
METRICS = "[::1]:9464"  # where metrics are served where the address is free
_LOOPBACK = IPv6Address("::1")
_METRICS_IPV4 = "127.0.0.1:9464"  # on a host without IPv6


@dataclass(frozen=True)
class Settings:
    """How to serve. `metrics`: an address and port, or None; with `metrics_needed` the daemon
    doesn't start where it can't have that address; `metrics_nodes`: how many nodes may have series
    of their own. `data_plane`: data go to and from nodes too, by way of a `plane`: see
    `dataplane.choice`.
    `events`: the file to record them in, for so many days, or None; `marks`: the folder of the
    high-water marks, or None. `encapsulation`: where packets inside UDP are taken, or None, and
    whether it is needed; `nat_refresh_s`: how often nodes behind a NAT are to send something.
    `return_routability`: nodes without a key are served too. `seen_every_ms`: how often the
    registry is told when nodes were last heard of."""

    bindings_max: int = 1_000_000
    refresh: str = USED
    metrics: str | None = None
    metrics_needed: bool = True
    metrics_nodes: int = 0
    data_plane: bool = False
    plane: str = AUTO
    events: Path | None = None
    events_days: float = KEEP_DAYS
    marks: Path | None = None
    encapsulation: Place | None = None
    encapsulation_needed: bool = True
    nat_refresh_s: int = NAT_REFRESH_S
    return_routability: bool = True
    seen_every_ms: int = EVERY_MS


def default_metrics() -> str:
    """Where metrics are served where nobody says otherwise."""
    has_ipv6 = localaddress.look(_LOOPBACK)[0] is localaddress.State.HERE
    return METRICS if has_ipv6 else _METRICS_IPV4
