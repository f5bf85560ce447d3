"""A daemon's parts, put together in the order in which they need each other."""

import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from ipaddress import IPv6Address

from roamkey.correspondent import localaddress
from roamkey.correspondent.control import Control
from roamkey.correspondent.daemon import Daemon
from roamkey.correspondent.dataplane.lasting import LastingPlane
from roamkey.correspondent.encapsulation import Encapsulation
from roamkey.correspondent.localaddress import State
from roamkey.correspondent.log import Log
from roamkey.correspondent.service import Signals
from roamkey.correspondent.settings import Settings
from roamkey.correspondent.sockets import RawSockets
from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry

#: for the registry itself, with other writers and to reach a server
REGISTRY_PATIENCE_S = 3.0


def serve(
    open_registry: Callable[[bool], Registry], address: IPv6Address, log: Log, settings: Settings
) -> signal.Signals:
    """Serve a correspondent address until SIGTERM or SIGINT; the signal that ended it.

    `open_registry(create)` opens the registry, at the start and at every reload; only at the start
    is it made where there is none. Raises SystemRefusedError where the address isn't this host's
    and no data plane gives it one (which it does where the registry knows the address: it may be
    mistyped), is served already, or raw sockets are not allowed; where the port for encapsulation
    is needed and can't be had; and what `open_registry` raises.
    """
    with ExitStack() as stack:
        registry = open_registry(True)
        stack.callback(registry.close)
        plane: LastingPlane | None = None
        troubles: list[str] = []
        encapsulation: Encapsulation | None = None
        gone = settings.data_plane and localaddress.look(address)[0] is State.GONE
        if gone and registry.knows_correspondent(address.packed):
            # Nobody serves an address that is nowhere. The data plane's device is to have it.
            encapsulation = _encapsulation(settings, stack, troubles)
            if encapsulation.place is not None:
                plane = _plane(address, encapsulation, stack)
        sockets = RawSockets(address)
        stack.callback(sockets.close)
        control = stack.enter_context(closing(Control(address)))
        signals = stack.enter_context(Signals())
        if encapsulation is None:
            encapsulation = _encapsulation(settings, stack, troubles)
        if settings.data_plane and plane is None:
            plane = _plane(address, encapsulation, stack)
        daemon = Daemon(
            address, open_registry, registry, sockets, encapsulation, log, settings, plane
        )
        stack.callback(daemon.close)
        for text in troubles:
            daemon.telling.trouble(text)
        stack.callback(daemon.telling.record(settings))
        daemon.start(signals)
        stack.callback(daemon.telling.serve_metrics(settings))
        return daemon.run(control, signals)


def _encapsulation(settings: Settings, stack: ExitStack, troubles: list[str]) -> Encapsulation:
    """The UDP socket; none, and a line for the user, where it isn't needed and can't be had."""
    try:
        made = Encapsulation(settings.encapsulation)
    except SystemRefusedError as error:
        if settings.encapsulation_needed:
            raise
        troubles.append(f"no {error}; nodes are served natively alone")
        made = Encapsulation(None)
    stack.callback(made.close)
    return made


def _plane(address: IPv6Address, encapsulation: Encapsulation, stack: ExitStack) -> LastingPlane:
    """The data plane; its socket is the second at the port, so the daemon's is there before."""
    return stack.enter_context(closing(LastingPlane(address, encapsulation.place)))
