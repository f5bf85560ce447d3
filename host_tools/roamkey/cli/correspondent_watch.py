"""`roamkey correspondent status`, `drops`, `bindings`, `path`, `unit` and `monitoring`: looks at a
daemon, and what is set up beside it."""

import json
import time
from enum import Enum
from importlib.resources import files
from typing import Annotated

import typer

from roamkey.cli import daemon_watch
from roamkey.cli.daemon_watch import AddressOption, DropsJsonOption, StatusJsonOption
from roamkey.cli.options import RegistryOption
from roamkey.correspondent import path as paths
from roamkey.correspondent import view
from roamkey.registry import Registry
from roamkey.registry.records import CORRESPONDENT

_UNIT = "roamkey-correspondent@.service"


def status(address: AddressOption = None, as_json: StatusJsonOption = False) -> None:
    """Show how the running daemon does. Exit code 5 where none runs."""
    daemon_watch.status(CORRESPONDENT, address, as_json)


def drops(address: AddressOption = None, as_json: DropsJsonOption = False) -> None:
    """Show what the running daemon dropped and refused, why, and what to do about it."""
    daemon_watch.drops(CORRESPONDENT, address, as_json)


def bindings(registry: RegistryOption = None, as_json: DropsJsonOption = False) -> None:
    """Show where the nodes are.

    Those with a key as the registry has it; those without as the daemons of this host tell, of
    each the 256 that came last.
    """
    daemon_watch.bindings(CORRESPONDENT, registry, as_json)


def path(
    address: AddressOption = None,
    registry: RegistryOption = None,
    as_json: StatusJsonOption = False,
) -> None:
    """Show by which ways nodes arrive, from where, and what to let in. Exit code 5 where no daemon
    runs.

    The board's end: roamkey doctor --path.
    """
    found = daemon_watch.ask(CORRESPONDENT, address)
    with Registry.open(registry, create=False) as opened:
        bound = view.current(opened, time.time_ns() // 1_000_000)
    seen = [paths.of_daemon(facts, bound) for facts in found]
    if as_json:
        typer.echo(json.dumps(seen, indent=2))
        return
    for one in seen:
        for line in paths.show(one, view.print_wrapped):
            typer.echo(line)


class Monitoring(str, Enum):
    """What there is to set up beside the daemon."""

    alerts = "alerts"
    dashboard = "dashboard"


_MONITORING = {Monitoring.alerts: "alerts.yml", Monitoring.dashboard: "dashboard.json"}


def monitoring(
    what: Annotated[
        Monitoring, typer.Argument(help="Rules for Prometheus, or a dashboard for Grafana.")
    ],
) -> None:
    """Print example alert rules for Prometheus, or a dashboard to import into Grafana."""
    place = files("roamkey") / "data" / "monitoring" / _MONITORING[what]
    typer.echo(place.read_text(encoding="utf-8"), nl=False)


def unit() -> None:
    """Print a systemd unit that runs the daemon with the least rights that do."""
    daemon_watch.unit(_UNIT)
