"""`roamkey correspondent run`: the daemon."""

import signal
from contextlib import closing
from enum import Enum
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Annotated

import typer

from mip6 import addresses
from roamkey.cli.options import EventsOption, PassphraseOption, RegistryOption, finite
from roamkey.correspondent import encapsulation as udp
from roamkey.correspondent import privileges, serving
from roamkey.correspondent.clock import wall_ms
from roamkey.correspondent.core.cache import NAT_REFRESH_S
from roamkey.correspondent.events.file import place
from roamkey.correspondent.events.recorder import KEEP_DAYS
from roamkey.correspondent.log import Log
from roamkey.correspondent.settings import ENCAPSULATION, METRICS, Settings, default_metrics
from roamkey.errors import BadInputError
from roamkey.registry import Registry, marks
from roamkey.registry.records import NO_SITE

_EXIT_INTERRUPTED = 130


class LogForm(str, Enum):
    """How events are written."""

    human = "human"
    json = "json"
    none = "none"


class Refresh(str, Enum):
    """Whose bindings are asked to be renewed before they end."""

    used = "used"
    always = "always"
    never = "never"


class OnOff(str, Enum):
    """A switch."""

    on = "on"
    off = "off"


def _address(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise typer.BadParameter(f"{text!r} is not an IPv6 address") from None
    if address.scope_id or not addresses.is_unicast_global(address.packed):
        raise typer.BadParameter(f"{text} is not a unicast address of global scope")
    return address


def _of_site(registry: str | None) -> IPv6Address:
    with Registry.open(registry, create=False, to_encrypt=True) as opened:  # it is no secret
        site = opened.site()
    if site is None:
        raise BadInputError(f"--address is missing, and {NO_SITE}")
    return IPv6Address(site.correspondent)


def _place(text: str | None) -> udp.Place | None:
    if text == "off":
        return None
    return ENCAPSULATION if text in (None, "on") else udp.parse_place(text)


def run(
    address: Annotated[
        IPv6Address | None,
        typer.Option(
            metavar="ADDRESS",
            parser=_address,
            help="The correspondent address to serve. Default: the site's.",
        ),
    ] = None,
    registry: RegistryOption = None,
    log: Annotated[
        LogForm, typer.Option(help="How to write events, a line each, to standard output.")
    ] = LogForm.human,
    bindings_max: Annotated[
        int, typer.Option(min=1, help="How many nodes may be bound at a time.")
    ] = 1_000_000,
    log_file: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Append events to this file; SIGHUP reopens it."),
    ] = None,
    refresh: Annotated[
        Refresh,
        typer.Option(
            help="Whose bindings to ask for anew (Binding Refresh Request) before they end: those "
            "of nodes that data flow with, all, or none."
        ),
    ] = Refresh.used,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS:PORT",
            envvar="ROAMKEY_METRICS",
            show_envvar=True,
            help=f"Where to serve /metrics for Prometheus. Default: {METRICS} if free.",
        ),
    ] = None,
    encapsulation: Annotated[
        str | None,
        typer.Option(
            metavar="on|off|ADDRESS:PORT",
            help="Where to take packets inside UDP, from nodes behind IPv4, NAT, or networks that "
            f"drop extension headers. Default: on, at {ENCAPSULATION} if free.",
        ),
    ] = None,
    nat_refresh: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=0xFFFF,
            help="How often a node behind a NAT is to send something; 0: as it thinks best.",
        ),
    ] = NAT_REFRESH_S,
    return_routability: Annotated[
        OnOff,
        typer.Option(
            help="Whether nodes without a key are served too, by return routability (RFC 6275). A "
            "home address that was given a key never is.",
        ),
    ] = OnOff.on,
    data_plane: Annotated[
        bool,
        typer.Option(
            "--data-plane/--no-data-plane",
            help="Let the programs of this host talk to home addresses, by way of a TUN device "
            "(needs CAP_NET_ADMIN too); or serve signalling alone.",
        ),
    ] = True,
    no_metrics: Annotated[bool, typer.Option("--no-metrics", help="Serve no metrics.")] = False,
    events: EventsOption = None,
    events_days: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=36500,
            callback=finite,
            help="How long to keep events; a million at most.",
        ),
    ] = KEEP_DAYS,
    no_events: Annotated[bool, typer.Option("--no-events", help="Record no events.")] = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Serve an address until SIGTERM (exit code 0) or Ctrl-C (130). Needs CAP_NET_RAW,
    and CAP_NET_ADMIN for the data plane. Under sudo it goes on as the user who called it,
    with these rights alone, unless the registry is another's.

    SIGHUP reads the registry anew and reopens the log file.
    """
    told = privileges.leave_root(registry)
    address = address or _of_site(registry)
    settings = Settings(
        bindings_max=bindings_max,
        refresh=refresh.value,
        metrics=None if no_metrics else metrics or default_metrics(),
        metrics_needed=metrics is not None,
        data_plane=data_plane,
        events=None if no_events else events or place(registry),
        events_days=events_days,
        marks=marks.place(registry),
        encapsulation=_place(encapsulation),
        encapsulation_needed=encapsulation is not None,
        nat_refresh_s=nat_refresh,
        return_routability=return_routability is OnOff.on,
    )
    with closing(Log(log.value, log_file)) as lines:
        if told is not None:
            lines.event(wall_ms(), "privileges", told, detail=told)
        ended_by = serving.serve(
            lambda create: Registry.open(
                registry, create, passphrase_file, patience_s=serving.REGISTRY_PATIENCE_S
            ),
            address,
            lines,
            settings,
        )
    if ended_by == signal.SIGINT:
        raise typer.Exit(_EXIT_INTERRUPTED)
