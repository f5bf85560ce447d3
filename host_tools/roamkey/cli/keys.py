"""`roamkey rekey`, `retire`, `erase`: new keys for a board, or none."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption, PassphraseOption, RegistryOption, node_address
from roamkey.cli.output import keys_text, plain, row
from roamkey.enroll import deliver
from roamkey.enroll import erase as erasing
from roamkey.enroll.plan import GENERATIONS
from roamkey.registry import Registry

YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask whether it is meant.")]


def rekey(
    port: PortOption = None,
    board: BoardOption = None,
    generations: Annotated[
        int,
        typer.Option(
            help="New keys for each peer with keys, 1 to 16.", min=1, max=16, metavar="N"
        ),
    ] = GENERATIONS,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a board the next generations of its keys, whole or not at all.

    Addresses, nonces and lifetime stay; the keys before are retired. After an interruption, the
    same command again finishes the job.
    """
    where = port_of(port, board)
    with Registry.open(registry, create=False, passphrase_file=passphrase_file) as opened:
        held = deliver.rekey(opened, where, generations)
    if as_json:
        typer.echo(json.dumps(held.plain()))
        return
    called = "" if held.name is None else f", name {held.name}"
    typer.echo(f"board {held.board}, home address {held.home_address}{called}")
    for peer in held.correspondents:
        typer.echo(f"correspondent {keys_text(peer, 'by return routability')}")
    if held.home_agent is not None:
        typer.echo(f"home agent {keys_text(held.home_agent, 'no key')}")
    if held.finished:
        typer.echo("An earlier run had sent these keys; they are confirmed now.")


def retire(
    board: Annotated[
        str | None, typer.Option(help="The board's whole id; it needn't be there.", metavar="ID")
    ] = None,
    home_address: Annotated[
        str | None,
        typer.Option(help="Or the node's home address, or its name.", metavar="ADDRESS|NAME"),
    ] = None,
    yes: YesOption = False,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retire a lost board's keys in the registry, for good.

    Its correspondents drop what it sends from then on, and its home address is free.
    """
    if (board is None) == (home_address is None):
        raise typer.BadParameter("name the node, either by --board or by --home-address")
    with Registry.open(registry, create=False, to_encrypt=True) as opened:
        octets = None
        if home_address is not None:
            octets = node_address(opened, home_address, "--home-address")
        if not yes:
            typer.confirm(f"Retire the keys of {board or home_address} for good?", abort=True)
        gone = erasing.retire(opened, board, octets)
    _show(gone, as_json)


def erase(
    port: PortOption = None,
    board: BoardOption = None,
    yes: YesOption = False,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase keys, Wi-Fi passwords and event log on a board, and retire its keys.

    The board first tells its correspondents, once, to delete their bindings. Free flash is
    overwritten too, which takes up to a minute. What stays: the board's id, the programs, and
    fingerprints of keys that were used, so that none of them is ever used anew. After an
    interruption, the same command again finishes the job.
    """
    where = port_of(port, board)
    with Registry.open(registry, create=False) as opened:
        found = erasing.contents(opened, where)
        if not as_json:
            _show_contents(found, where)
        if not yes:
            typer.confirm(
                f"Erase this from board {found.board} at {where}?", abort=True, err=as_json
            )
        gone = erasing.erase(opened, where)
    if as_json:
        more = {"peers": found.peers, "networks": found.networks}
        typer.echo(json.dumps({**asdict(gone), **more}))
        return
    typer.echo(f"erased: {_taken(found)}")
    _show(gone, False)


def _show_contents(found: erasing.Contents, port: str) -> None:
    row("board", f"{found.board} ({found.machine}) on {port}")
    row("home address", found.home_address or "none")
    row("keys for", ", ".join(found.peers) or "nobody")
    row("Wi-Fi", ", ".join(found.networks) or "no network")
    row("event log", "of where it was")
    row("registry", f"keys of {', '.join(found.live)} to be retired" if found.live else "no key")


def _taken(found: erasing.Contents) -> str:
    keys = f"keys for {', '.join(found.peers)}" if found.peers else "no keys"
    networks = f"Wi-Fi {', '.join(found.networks)}" if found.networks else "no Wi-Fi"
    return plain(f"{keys}; {networks}; the event log")


def _show(gone: erasing.Gone, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(gone)))
        return
    if gone.board is not None:
        typer.echo(f"board {gone.board}")
    for home_address in gone.home_addresses:
        typer.echo(f"home address {home_address}: its keys are retired")
    if not gone.home_addresses:
        typer.echo("the registry has no live key for it")
