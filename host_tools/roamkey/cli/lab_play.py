"""`roamkey lab up` and what goes with it: a playground on this host."""

import json
import os
import time
from typing import Annotated, Any

import typer

from roamkey import playground
from roamkey.cli.lazy import SETTINGS
from roamkey.cli.options import JsonOption
from roamkey.cli.output import row
from roamkey.lab.playground import client
from roamkey.lab.playground.world import KINDS
from roamkey.registry.database import default_path

#: `run`, whose command has options of its own.
app_of_run = typer.Typer(**SETTINGS)

HostOption = Annotated[
    str,
    typer.Option(
        "--on", metavar="HOST", help="Whose: correspondent, agent (home agent), keyless, host."
    ),
]


def up(
    bare: Annotated[
        bool,
        typer.Option(
            "--bare",
            help="Networks, a site and a board with MicroPython alone: install, provision and "
            "correspondent run are left to you.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a playground: networks of several kinds, a virtual board, a correspondent, its page.

    It goes on by itself until `roamkey lab down`, and keeps nothing. Its board counts as plugged
    in, and without a registry of your own you have its one. Root isn't needed where user
    namespaces are allowed.
    """
    start = time.monotonic()

    def tell(text: str) -> None:
        if not as_json:
            typer.echo(f"{time.monotonic() - start:5.1f} s  {text}")

    facts = client.start(bare, tell)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    tell("ready")
    typer.echo()
    _print(facts)
    typer.echo()
    if bare:
        typer.echo("Go on with: roamkey lab shell, and in it roamkey install, provision, …")
    else:
        typer.echo(
            "Try: roamkey lab move cafe, lab cut, correspondent bindings, status, lab shell"
        )
    own = default_path()
    if own != playground.registry():
        typer.echo(
            f"You have a registry of your own, {own}. For the playground's in this shell:\n"
            f"  export ROAMKEY_REGISTRY={playground.registry()}"
        )


def status(as_json: JsonOption = False) -> None:
    """Tell what is in the playground, where its board is, and where its page. Exit code 4 where
    none is up."""
    facts = client.ask("status")
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(facts)


def move(
    network: Annotated[
        str, typer.Argument(help="Where to: a network of `lab status`, or nowhere.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Take the playground's board to another network, and wait until its correspondent knows."""
    _done(client.ask("move", network=network), f"in {network}", as_json)


def cut(
    seconds: Annotated[
        float, typer.Option("--for", min=0.0, max=60.0, help="How long, in seconds.")
    ] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Cut the power of the playground's board, give it back, and wait until it is registered."""
    _done(client.ask("cut", off_s=seconds), f"had no power for {seconds:g} s", as_json)


def down() -> None:
    """Take the playground down, with all that it kept: board, keys, registry, logs."""
    client.stop()


@app_of_run.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run.")],
    on: HostOption = "correspondent",
) -> None:
    """Run a command on a host of the playground, as root there, with its board and registry.

    Exit code: the command's.
    """
    raise typer.Exit(client.run(on, command))


def shell(on: HostOption = "correspondent") -> None:
    """Open a shell on a host of the playground: there every line of the documents works as
    printed, ping and sudo among them."""
    typer.echo("You are root on the playground's correspondent. To leave: exit")
    raise typer.Exit(client.run(on, [os.environ.get("SHELL") or "/bin/sh"]))


def _done(facts: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    text = f"the board {what}"
    after = facts["registered_after_s"]
    if after is not None:
        where = facts["care_of_address"]
        as_who = "at home" if where is None else f"{where}, {facts['way']}"
        text += f"; its correspondent knew after {after * 1000:.0f} ms ({as_who})"
    typer.echo(text)


def _print(facts: dict[str, Any]) -> None:
    row("board", f"{facts['port']}, {_where(facts)}")
    if facts["home_address"] is not None:
        address = f"{facts['home_address']}, now at {facts['care_of_address']} ({facts['way']})"
        row("home address", address)
    row("correspondent", facts["correspondent"] or "none runs")
    if not facts["bare"]:
        row("page", facts["page"])
    row("registry", facts["registry"])
    for at, one in enumerate(facts["networks"]):
        name, prefixes = one["network"], ", ".join(one["prefixes"])
        row("" if at else "networks", f"{name:<10}{KINDS[one['kind']]} ({prefixes})")


def _where(facts: dict[str, Any]) -> str:
    if not facts["powered"]:
        return "without power"
    return f"in {facts['network']}" if facts["network"] != "nowhere" else "in no network"
