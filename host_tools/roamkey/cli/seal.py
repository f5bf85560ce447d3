"""`roamkey seal` and `unseal`: boards that give no REPL and tell little."""

import json
from dataclasses import asdict

import typer

from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption, PassphraseOption, RegistryOption
from roamkey.enroll import lock
from roamkey.registry import Registry


def seal(
    port: PortOption = None,
    board: BoardOption = None,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Seal a board: no REPL; its console answers identify and status only.

    The key that opens it is made here and kept in the registry. docs/LIMITS.md says what a seal
    doesn't stop.
    """
    where = port_of(port, board)
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        done = lock.seal(opened, where)
    _show(done, as_json, "sealed", "was sealed already")


def unseal(
    port: PortOption = None,
    board: BoardOption = None,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a sealed board with the key in the registry."""
    where = port_of(port, board)
    with Registry.open(registry, create=False, passphrase_file=passphrase_file) as opened:
        done = lock.unseal(opened, where)
    _show(done, as_json, "open", "was open already; its key is forgotten now")


def _show(done: lock.Sealed, as_json: bool, new: str, found: str) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        typer.echo(f"board {done.board} {found if done.finished else 'is ' + new}")
