"""A home agent's daemon: what the host must be and have, and the parts put together."""

import signal
from collections.abc import Callable
from ipaddress import IPv6Address

from roamkey.correspondent import serving
from roamkey.correspondent.dataplane import client
from roamkey.correspondent.log import Log
from roamkey.home_agent import settings as home
from roamkey.home_agent.daemon import HomeDaemon
from roamkey.home_agent.settings import HomeSettings
from roamkey.home_agent.tunnel.control import pack_told
from roamkey.home_agent.tunnel.inside import choice
from roamkey.registry import Registry

_TUNNEL = "roamkey.home_agent.tunnel.choice"


def serve(
    open_registry: Callable[[bool], Registry],
    address: IPv6Address,
    log: Log,
    settings: HomeSettings,
) -> signal.Signals:
    """Serve a home agent's address until SIGTERM or SIGINT; the signal that ended it.

    Raises what `roamkey.correspondent.serving.serve` does, and SystemRefusedError where this host
    is no router.
    """
    home.check_forwards()
    tunnel = client.Kind(
        _TUNNEL, pack_told(settings.plane, settings.bindings_max, settings.home_link)
    )
    kind = serving.Kind(HomeDaemon, tunnel, choice, may_own_address=False)
    return serving.serve(open_registry, address, log, settings, kind)
