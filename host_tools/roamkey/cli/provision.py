"""`roamkey provision` and `roamkey status`: keys onto a board, and how a board is."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mip6 import addresses
from roamkey import provisioning
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BadInputError
from roamkey.keyfile import read_kcn
from roamkey.registry import Registry

Port = Annotated[str, typer.Option("--port", help="The board's serial port.", metavar="PORT")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def provision(
    port: Port,
    home_address: Annotated[
        str, typer.Option(help="The board's home address.", metavar="ADDRESS")
    ],
    correspondent: Annotated[
        list[str],
        typer.Option(help="A correspondent's address; may be repeated.", metavar="ADDRESS"),
    ],
    lifetime: Annotated[
        int, typer.Option(help="Seconds that a binding is asked for, 4 to 262140.", metavar="S")
    ] = provisioning.LIFETIME_S,
    generations: Annotated[
        int, typer.Option(help="Keys for each correspondent, 1 to 16.", min=1, max=16, metavar="N")
    ] = 1,
    kcn_file: Annotated[
        list[Path] | None,
        typer.Option(
            help="Read a key (hex, file of mode 0600, - for stdin) instead of making one; one "
            "file for each correspondent and generation, in order.",
            metavar="FILE",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the board holds keys already.")
    ] = False,
    registry: Annotated[
        str | None, typer.Option(help="The registry's file or URL.", metavar="URL")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put keys on a board and into the registry, whole or not at all.

    After an interruption, the same command again finishes the job.
    """
    plan = provisioning.Plan(
        _address(home_address, "--home-address"),
        tuple(_address(text, "--correspondent") for text in correspondent),
        lifetime,
        generations,
        tuple(read_kcn(str(path)) for path in kcn_file or ()),
    )
    plan.check()
    with Registry.open(registry) as opened:
        held = provisioning.provision(opened, port, plan, replace=replace)
    if as_json:
        typer.echo(json.dumps(_as_json(held)))
        return
    typer.echo(f"board          {held.board}")
    typer.echo(f"home address   {held.home_address}")
    for name, numbers in held.correspondents:
        span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        typer.echo(f"correspondent  {name}, key generation {span}")
    typer.echo(f"lifetime       {held.lifetime} s")
    typer.echo(f"key set        {held.set_id}")
    if held.finished:
        typer.echo(
            "An earlier run had sent this set; the board holds it, and it is confirmed now."
        )


def status(port: Port, as_json: Json = False) -> None:
    """Ask a board who it is, what it holds and what it does."""
    with SerialClient(port) as client:
        identity = client.identify()
        answer = client.status()
    if as_json:
        typer.echo(json.dumps({"identity": asdict(identity), **answer}))
        return
    typer.echo(f"board          {identity.board} ({identity.platform})")
    typer.echo(f"MicroPython    {identity.micropython}")
    typer.echo(f"agent          {identity.agent}")
    keystore = _dictionary(answer.get("keystore"))
    typer.echo(f"keys           {_line(keystore.get('text'))}")
    if identity.set_id is not None:
        typer.echo(f"key set        {identity.set_id}")
        typer.echo(f"home address   {_line(keystore.get('home_address'))}")
    for peer in map(_dictionary, keystore.get("peers") or []):
        typer.echo(
            f"correspondent  {_line(peer.get('correspondent'))}, "
            f"key generation {_line(peer.get('generation'))}, "
            f"{_line(peer.get('uses_left'))} uses left"
        )
    node = _dictionary(answer.get("node"))
    for name, value in node.items():
        typer.echo(f"node           {_line(name)}: {_line(value)}")


def _as_json(held: provisioning.Held) -> dict[str, Any]:
    return {
        "board": held.board,
        "set_id": held.set_id,
        "home_address": held.home_address,
        "correspondents": [
            {"address": name, "generations": list(numbers)}
            for name, numbers in held.correspondents
        ],
        "lifetime": held.lifetime,
        "finished_earlier_run": held.finished,
    }


def _address(text: str, option: str) -> bytes:
    try:
        address: bytes = addresses.parse(text)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}") from None
    if not addresses.is_unicast_global(address):
        raise BadInputError(f"{option}: {addresses.text(address)} is not unicast and global")
    return address


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _line(value: Any) -> str:
    """A board's word as one line that a terminal shows and doesn't obey."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(c if c.isprintable() else "?" for c in text)
