"""`roamkey home-agent run`: the daemon."""

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
from roamkey.correspondent import privileges
from roamkey.correspondent.core.cache import NAT_REFRESH_S
from roamkey.correspondent.dataplane import control
from roamkey.correspondent.events.recorder import KEEP_DAYS
from roamkey.errors import BadInputError
from roamkey.home_agent import serving
from roamkey.home_agent.settings import (
    HomeSettings,
    link_of,
    named_link,
    parse_prefix,
    prefixes_of,
)
from roamkey.registry import Registry


class Plane(str, Enum):
    """What carries data."""

    kernel = control.KERNEL
    tun = control.TUN


def _of_site(registry: str | None) -> IPv6Address:
    with Registry.open(registry, create=False, to_encrypt=True) as opened:  # it is no secret
        site = opened.site()
    if site is None or site.home_agent is None:
        raise BadInputError(
            "--address is missing, and no site has a home agent (`roamkey init --home-agent`)"
        )
    return IPv6Address(site.home_agent)


def run(
    address: Annotated[
        IPv6Address | None,
        typer.Option(
            metavar="ADDRESS",
            parser=address_of,
            help="The home agent's address to serve. Default: the site's.",
        ),
    ] = None,
    home_link: Annotated[
        str | None,
        typer.Option(
            metavar="INTERFACE",
            help="The interface on the home link. Default: the one that has the address.",
        ),
    ] = None,
    home_prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="A prefix that home addresses may be of; several times for several. Default: "
            "those of the home link's interface.",
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
    no_metrics: NoMetricsOption = False,
    events: EventsOption = None,
    events_days: EventsDaysOption = KEEP_DAYS,
    no_events: NoEventsOption = False,
    data_plane: Annotated[
        Plane | None,
        typer.Option(
            help="How packets go through the tunnels that aren't inside UDP: by the kernel's own "
            "(needs CAP_BPF too), or by way of a TUN device. Default: the kernel's where it has "
            "them and can check what comes out.",
        ),
    ] = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Serve an address until SIGTERM (exit code 0) or Ctrl-C (130). Needs CAP_NET_RAW,
    CAP_NET_ADMIN and, for the kernel's tunnels, CAP_BPF, and a host that forwards IPv6. Under sudo
    it goes on as the user who called it, with these rights alone, unless the registry is
    another's.

    SIGHUP reads the registry anew and reopens the log file.
    """
    told = privileges.leave_root(registry, None if data_plane is Plane.tun else privileges.BPF)
    served = address or _of_site(registry)
    link = link_of(served) if home_link is None else named_link(home_link)
    given = tuple(map(parse_prefix, home_prefix or ()))
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
    settings = HomeSettings(
        data_plane=True,
        plane=control.AUTO if data_plane is None else data_plane.value,
        home_link=link,
        home_prefixes=given or prefixes_of(link),
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
