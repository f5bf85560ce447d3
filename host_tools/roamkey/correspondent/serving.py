"""A daemon's parts, put together in the order in which they need each other."""

import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from ipaddress import IPv6Address
from typing import NamedTuple

from roamkey.correspondent import bpf, localaddress
from roamkey.correspondent.control import Control
from roamkey.correspondent.daemon import Daemon
from roamkey.correspondent.dataplane import client
from roamkey.correspondent.dataplane.lasting import LastingPlane
from roamkey.correspondent.encapsulation import CHOICE, Encapsulation
from roamkey.correspondent.localaddress import State
from roamkey.correspondent.log import Log
from roamkey.correspondent.service import Signals
from roamkey.correspondent.settings import Settings
from roamkey.correspondent.sockets import RawSockets
from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry

#: for the registry itself, with other writers and to reach a server
REGISTRY_PATIENCE_S = 3.0


class Kind(NamedTuple):
    """What is served. `daemon`: its loop; `plane`: its data plane, None: the usual one; `choice`:
    which of two UDP sockets a datagram is for; `may_own_address`: the data plane's device may have
    the address where no interface has it."""

    daemon: type[Daemon] = Daemon
    plane: client.Kind | None = None
    choice: Callable[[IPv6Address], list[bpf.Instruction]] = lambda address: CHOICE
    may_own_address: bool = True


CORRESPONDENT = Kind()


def serve(
    open_registry: Callable[[bool], Registry],
    address: IPv6Address,
    log: Log,
    settings: Settings,
    kind: Kind = CORRESPONDENT,
) -> signal.Signals:
    """Serve a correspondent address, or that of another `kind` of daemon, until SIGTERM or SIGINT;
    the signal that ended it.

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
        if gone and kind.may_own_address and registry.knows_correspondent(address.packed):
            # Nobody serves an address that is nowhere. The data plane's device is to have it.
            encapsulation = _encapsulation(address, settings, stack, troubles, kind)
            if encapsulation.place is not None:
                plane = _plane(address, encapsulation, stack, kind, settings.plane)
        sockets = RawSockets(address)
        stack.callback(sockets.close)
        control = stack.enter_context(closing(Control(address)))
        signals = stack.enter_context(Signals())
        if encapsulation is None:
            encapsulation = _encapsulation(address, settings, stack, troubles, kind)
        if settings.data_plane and plane is None:
            plane = _plane(address, encapsulation, stack, kind, settings.plane)
        daemon = kind.daemon(
            address, open_registry, registry, sockets, encapsulation, log, settings, plane
        )
        stack.callback(daemon.close)
        for text in troubles:
            daemon.telling.trouble(text)
        stack.callback(daemon.telling.record(settings))
        daemon.start(signals)
        stack.callback(daemon.telling.serve_metrics(settings, daemon.read_nodes))
        return daemon.run(control, signals)


def _encapsulation(
    address: IPv6Address, settings: Settings, stack: ExitStack, troubles: list[str], kind: Kind
) -> Encapsulation:
    """The UDP socket; none, and a line for the user, where it isn't needed and can't be had."""
    try:
        made = Encapsulation(settings.encapsulation, kind.choice(address))
    except SystemRefusedError as error:
        if settings.encapsulation_needed:
            raise
        troubles.append(f"no {error}; nodes are served natively alone")
        made = Encapsulation(None)
    stack.callback(made.close)
    return made


def _plane(
    address: IPv6Address, encapsulation: Encapsulation, stack: ExitStack, kind: Kind, plane: str
) -> LastingPlane:
    """The data plane; its socket is the second at the port, so the daemon's is there before."""
    usual = client.Kind("roamkey.correspondent.dataplane.choice", plane)
    made = LastingPlane(address, encapsulation.place, kind.plane or usual)
    return stack.enter_context(closing(made))
