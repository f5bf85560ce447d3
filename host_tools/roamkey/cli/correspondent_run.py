"""`roamkey correspondent run`: the daemon."""

from enum import Enum
from ipaddress import IPv6Address
from typing import Annotated

import typer

from roamkey.cli.daemon_options import (
    BindingsMaxOption,
    EncapsulationOption,
    EventsDaysOption,
    LogFileOption,
    LogForm,
    LogOption,
    MetricsNodesOption,
    MetricsOption,
    NatRefreshOption,
    NoEventsOption,
    NoMetricsOption,
    Refresh,
    RefreshOption,
    address_of,
    serve,
    settings_of,
)
from roamkey.cli.options import EventsOption, PassphraseOption, RegistryOption
from roamkey.correspondent import privileges, serving
from roamkey.correspondent.core.cache import NAT_REFRESH_S
from roamkey.correspondent.dataplane import control
from roamkey.correspondent.events.recorder import KEEP_DAYS
from roamkey.correspondent.settings import Settings
from roamkey.errors import BadInputError
from roamkey.registry import Registry
from roamkey.registry.records import NO_SITE


class OnOff(str, Enum):
    """A switch."""

    on = "on"
    off = "off"


class Plane(str, Enum):
    """What carries data."""

    kernel = control.KERNEL
    tun = control.TUN
    none = "none"


def _of_site(registry: str | None) -> IPv6Address:
    with Registry.open(registry, create=False, to_encrypt=True) as opened:  # it is no secret
        site = opened.site()
    if site is None:
        raise BadInputError(f"--address is missing, and {NO_SITE}")
    return IPv6Address(site.correspondent)


def run(
    address: Annotated[
        IPv6Address | None,
        typer.Option(
            metavar="ADDRESS",
            parser=address_of,
            help="The correspondent address to serve. Default: the site's.",
        ),
    ] = None,
    registry: RegistryOption = None,
    log: LogOption = LogForm.human,
    bindings_max: BindingsMaxOption = 1_000_000,
    log_file: LogFileOption = None,
    refresh: RefreshOption = Refresh.used,
    metrics: MetricsOption = None,
    metrics_nodes: MetricsNodesOption = 0,
    encapsulation: EncapsulationOption = None,
    nat_refresh: NatRefreshOption = NAT_REFRESH_S,
    return_routability: Annotated[
        OnOff,
        typer.Option(
            help="Whether nodes without a key are served too, by return routability (RFC 6275). A "
            "home address that was given a key never is.",
        ),
    ] = OnOff.on,
    data_plane: Annotated[
        Plane | None,
        typer.Option(
            help="Let the programs of this host talk to home addresses (needs CAP_NET_ADMIN too): "
            "by the kernel's own Mobile IPv6, or by way of a TUN device; none: serve signalling "
            "alone. Default: the kernel's where it has it.",
        ),
    ] = None,
    no_data_plane: Annotated[
        bool, typer.Option("--no-data-plane", help="As --data-plane none.")
    ] = False,
    no_metrics: NoMetricsOption = False,
    events: EventsOption = None,
    events_days: EventsDaysOption = KEEP_DAYS,
    no_events: NoEventsOption = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Serve an address until SIGTERM (exit code 0) or Ctrl-C (130). Needs CAP_NET_RAW,
    and CAP_NET_ADMIN for the data plane. Under sudo it goes on as the user who called it,
    with these rights alone, unless the registry is another's.

    SIGHUP reads the registry anew and reopens the log file.
    """
    told = privileges.leave_root(registry)
    served = address or _of_site(registry)
    common = settings_of(
        registry,
        bindings_max,
        refresh,
        metrics,
        metrics_nodes,
        no_metrics,
        encapsulation,
        nat_refresh,
        events,
        events_days,
        no_events,
    )
    settings = Settings(
        data_plane=not no_data_plane and data_plane is not Plane.none,
        plane=control.AUTO if data_plane is None else data_plane.value,
        return_routability=return_routability is OnOff.on,
        **common,
    )
    serve(
        lambda open_registry, lines: serving.serve(open_registry, served, lines, settings),
        registry,
        passphrase_file,
        log,
        log_file,
        told,
    )
