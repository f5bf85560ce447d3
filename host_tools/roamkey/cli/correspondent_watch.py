"""`roamkey correspondent status`, `drops`, `bindings`, `path` and `unit`: looks at a daemon."""

import json
import shutil
import sys
import time
from contextlib import suppress
from importlib.resources import files
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any

import typer

from roamkey.cli.options import RegistryOption
from roamkey.correspondent import control, view
from roamkey.correspondent import path as paths
from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry

_UNIT = "roamkey-correspondent@.service"
_HIDDEN = ("/home/", "/root/", "/run/user/")  # from a unit, by ProtectHome

_AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="ADDRESS", help="The daemon of this address alone. Default: all."
    ),
]


def status(
    address: _AddressOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list, one object a daemon.")
    ] = False,
) -> None:
    """Show how the running daemon does. Exit code 5 where none runs."""
    found = _ask(address)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for at, facts in enumerate(found):
        if at:
            typer.echo()
        view.print_whole(view.status_table(facts))


def drops(
    address: _AddressOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list of objects.")
    ] = False,
) -> None:
    """Show what the running daemon dropped and refused, why, and what to do about it."""
    rows = [row for facts in _ask(address) for row in view.drops(facts)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        view.print_wrapped(view.drops_table(rows))
    else:
        typer.echo("nothing dropped or refused")


def bindings(
    registry: RegistryOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list of objects.")
    ] = False,
) -> None:
    """Show where the nodes are.

    Those with a key as the registry has it; those without as the daemons of this host tell, of
    each the 256 that came last.
    """
    with Registry.open(registry, create=False) as opened:
        now = time.time_ns() // 1_000_000
        found = view.current(opened, now)
    for address in control.running():
        with suppress(SystemRefusedError):  # another user's
            found += view.of_strangers(control.ask(address), now)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif found:
        view.print_whole(view.bindings_table(found, now))
    else:
        typer.echo("no bindings")


def path(
    address: _AddressOption = None,
    registry: RegistryOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list, one object a daemon.")
    ] = False,
) -> None:
    """Show by which ways nodes arrive, from where, and what to let in. Exit code 5 where no daemon
    runs.

    The board's end: roamkey doctor --path.
    """
    found = _ask(address)
    with Registry.open(registry, create=False) as opened:
        bindings = view.current(opened, time.time_ns() // 1_000_000)
    seen = [paths.of_daemon(facts, bindings) for facts in found]
    if as_json:
        typer.echo(json.dumps(seen, indent=2))
        return
    for one in seen:
        for line in paths.show(one, view.print_wrapped):
            typer.echo(line)


def unit() -> None:
    """Print a systemd unit that runs the daemon with the least rights that do."""
    path = _command()
    text = (files("roamkey") / "data" / _UNIT).read_text(encoding="utf-8")
    typer.echo(text.replace("@ROAMKEY@", path), nl=False)
    for needed in (path, str(Path(sys.executable).resolve())):
        if needed.startswith(_HIDDEN):
            typer.echo(
                f"roamkey: warning: services don't see {needed}; install roamkey, and the Python "
                "that runs it, where everybody may read them, as in /opt and /usr",
                err=True,
            )


def _command() -> str:
    beside = Path(sys.executable).with_name("roamkey")
    found = str(beside) if beside.exists() else shutil.which("roamkey")
    if found is None:
        raise SystemRefusedError("the command roamkey is not to be found: install the package")
    return str(Path(found).absolute())


def _ask(address: str | None) -> list[dict[str, Any]]:
    wanted = [_canonical(address)] if address else control.running()
    if not wanted:
        raise SystemRefusedError("no correspondent daemon runs on this host")
    found, failed = [], None
    for one in wanted:
        try:
            found.append(control.ask(one))
        except SystemRefusedError as error:  # the others have their say
            failed = error
            if len(wanted) > 1:
                typer.echo(f"roamkey: {error}", err=True)
    if failed is not None and not found:
        raise failed
    return found


def _canonical(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an IPv6 address") from None
