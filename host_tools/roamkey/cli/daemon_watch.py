"""What `correspondent` and `home-agent` have in common: looks at a daemon."""

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

from roamkey.correspondent import control, view
from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry
from roamkey.registry.records import CORRESPONDENT

_HIDDEN = ("/home/", "/root/", "/run/user/")  # from a unit, by ProtectHome

AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="ADDRESS", help="The daemon of this address alone. Default: all."
    ),
]
StatusJsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON: a list, one object a daemon.")
]
DropsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON: a list of objects.")]


def status(role: str, address: str | None, as_json: bool) -> None:
    """How the running daemons of a role do."""
    found = ask(role, address)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for at, facts in enumerate(found):
        if at:
            typer.echo()
        view.print_whole(view.status_table(facts))


def drops(role: str, address: str | None, as_json: bool) -> None:
    """What they dropped and refused."""
    rows = [row for facts in ask(role, address) for row in view.drops(facts)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        view.print_wrapped(view.drops_table(rows))
    else:
        typer.echo("nothing dropped or refused")


def bindings(role: str, registry: str | None, as_json: bool) -> None:
    """Where the nodes are, as a registry has it."""
    with Registry.open(registry, create=False) as opened:
        now = time.time_ns() // 1_000_000
        found = view.current(opened, now, role)
        whose = view.whose(opened)
    if role == CORRESPONDENT:  # who has no key isn't in the registry
        for address in control.running():
            with suppress(SystemRefusedError):  # another user's
                found += view.of_strangers(control.ask(address), now)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if found:
        view.print_whole(view.bindings_table(found, now, role))
    typer.echo(f"{len(found) or 'no'} binding{'s'[len(found) == 1 :]}; registry {whose}")


def unit(name: str) -> None:
    """A systemd unit of this package, for the roamkey that runs."""
    path = _command()
    text = (files("roamkey") / "data" / name).read_text(encoding="utf-8")
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


def ask(role: str, address: str | None) -> list[dict[str, Any]]:
    """The facts of the daemons of a role that run on this host, or of the one of an address;
    raises SystemRefusedError where there is none."""
    none = SystemRefusedError(f"no {role} daemon runs on this host")
    wanted = [_canonical(address)] if address else control.running()
    if not wanted:
        raise none
    found, failed = [], None
    for one in wanted:
        try:
            facts = control.ask(one)
            if facts.get("role", role) == role:
                found.append(facts)
        except SystemRefusedError as error:  # the others have their say
            failed = error
            if len(wanted) > 1:
                typer.echo(f"roamkey: {error}", err=True)
    if not found:
        raise failed or none
    return found


def _canonical(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an IPv6 address") from None
