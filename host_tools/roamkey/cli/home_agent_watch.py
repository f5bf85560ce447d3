"""`roamkey home-agent status`, `drops`, `bindings` and `unit`: looks at a daemon."""

from roamkey.cli import daemon_watch
from roamkey.cli.daemon_watch import AddressOption, DropsJsonOption, StatusJsonOption
from roamkey.cli.options import RegistryOption
from roamkey.registry.records import HOME_AGENT

_UNIT = "roamkey-home-agent@.service"


def status(address: AddressOption = None, as_json: StatusJsonOption = False) -> None:
    """Show how the running daemon does. Exit code 5 where none runs."""
    daemon_watch.status(HOME_AGENT, address, as_json)


def drops(address: AddressOption = None, as_json: DropsJsonOption = False) -> None:
    """Show what the running daemon dropped and refused, why, and what to do about it."""
    daemon_watch.drops(HOME_AGENT, address, as_json)


def bindings(registry: RegistryOption = None, as_json: DropsJsonOption = False) -> None:
    """Show where the nodes are."""
    daemon_watch.bindings(HOME_AGENT, registry, as_json)


def unit() -> None:
    """Print a systemd unit that runs the daemon with the least rights that do."""
    daemon_watch.unit(_UNIT)
