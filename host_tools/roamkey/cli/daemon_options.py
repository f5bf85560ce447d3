"""What `correspondent run` and `home-agent run` have in common: their options, and the rest."""

import signal
from collections.abc import Callable
from contextlib import closing
from enum import Enum
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Annotated, Any

import typer

from mip6 import addresses
from roamkey.cli import durations
from roamkey.cli.options import finite
from roamkey.correspondent import encapsulation as udp
from roamkey.correspondent import serving
from roamkey.correspondent.clock import wall_ms
from roamkey.correspondent.events.file import place
from roamkey.correspondent.log import Log
from roamkey.correspondent.settings import ENCAPSULATION, METRICS, default_metrics
from roamkey.registry import Registry, marks

METRICS_NODES_MAX = 10_000
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


def address_of(text: str) -> IPv6Address:
    """The address to serve; raises BadParameter."""
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise typer.BadParameter(f"{text!r} is not an IPv6 address") from None
    if address.scope_id or not addresses.is_unicast_global(address.packed):
        raise typer.BadParameter(f"{text} is not a unicast address of global scope")
    return address


LogOption = Annotated[
    LogForm, typer.Option(help="How to write events, a line each, to standard output.")
]
BindingsMaxOption = Annotated[
    int, typer.Option(min=1, help="How many nodes may be bound at a time.")
]
LogFileOption = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Append events to this file; SIGHUP reopens it."),
]
RefreshOption = Annotated[
    Refresh,
    typer.Option(
        help="Whose bindings to ask for anew (Binding Refresh Request) before they end: those "
        "of nodes that data flow with, all, or none."
    ),
]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS:PORT",
        envvar="ROAMKEY_METRICS",
        show_envvar=True,
        help=f"Where to serve /metrics for Prometheus. Default: {METRICS} if free.",
    ),
]
EncapsulationOption = Annotated[
    str | None,
    typer.Option(
        metavar="on|off|ADDRESS:PORT",
        help="Where to take packets inside UDP, from nodes behind IPv4, NAT, or networks that "
        f"drop extension headers. Default: on, at {ENCAPSULATION} if free.",
    ),
]
NatRefreshOption = Annotated[
    int,
    typer.Option(
        metavar=durations.TIME,
        parser=durations.seconds(0, 0xFFFF),
        help="How often a node behind a NAT is to send something, as 30s; 0: as it thinks best.",
    ),
]
NoMetricsOption = Annotated[bool, typer.Option("--no-metrics", help="Serve no metrics.")]
EventsDaysOption = Annotated[
    float,
    typer.Option(
        min=0.01,
        max=36500,
        callback=finite,
        help="How long to keep events; a million at most.",
    ),
]
MetricsNodesOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=METRICS_NODES_MAX,
        metavar="N",
        help="Give up to N nodes metrics of their own, by home address and name: when it was last "
        "seen, uses left. Where there are more nodes none has them.",
    ),
]
NoEventsOption = Annotated[bool, typer.Option("--no-events", help="Record no events.")]


def _place(text: str | None) -> udp.Place | None:
    if text == "off":
        return None
    return ENCAPSULATION if text in (None, "on") else udp.parse_place(text)


def settings_of(
    registry: str | None,
    bindings_max: int,
    refresh: Refresh,
    metrics: str | None,
    metrics_nodes: int,
    no_metrics: bool,
    encapsulation: str | None,
    nat_refresh: int,
    events: Path | None,
    events_days: float,
    no_events: bool,
) -> dict[str, Any]:
    """What the options say, by the names of `Settings`; raises BadInputError."""
    return {
        "bindings_max": bindings_max,
        "refresh": refresh.value,
        "metrics": None if no_metrics else metrics or default_metrics(),
        "metrics_needed": metrics is not None,
        "metrics_nodes": metrics_nodes,
        "events": None if no_events else events or place(registry),
        "events_days": events_days,
        "marks": marks.place(registry),
        "encapsulation": _place(encapsulation),
        "encapsulation_needed": encapsulation is not None,
        "nat_refresh_s": nat_refresh,
    }


def serve(
    serve_by: Callable[[Callable[[bool], Registry], Log], signal.Signals],
    registry: str | None,
    passphrase_file: Path | None,
    log: LogForm,
    log_file: Path | None,
    told: str | None,
) -> None:
    """Have a daemon serve until a signal ends it. `told`: what to say of its rights, or None."""
    with closing(Log(log.value, log_file)) as lines:
        if told is not None:
            lines.event(wall_ms(), "privileges", told, detail=told)
        ended_by = serve_by(
            lambda create: Registry.open(
                registry, create, passphrase_file, patience_s=serving.REGISTRY_PATIENCE_S
            ),
            lines,
        )
    if ended_by == signal.SIGINT:
        raise typer.Exit(_EXIT_INTERRUPTED)
