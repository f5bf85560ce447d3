"""`roamkey registry`: what the registry holds, and its encryption at rest."""

import json
from pathlib import Path
from typing import Annotated

import typer

from roamkey.cli.options import PassphraseOption, RegistryOption
from roamkey.errors import BadInputError
from roamkey.registry import Registry

app = typer.Typer(help="The registry of boards and their keys.", no_args_is_help=True)


@app.command()
def info(
    registry: RegistryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where the registry is, how it is kept, and how much is in it. Needs no passphrase."""
    with Registry.open(registry, create=False, to_encrypt=True) as opened:
        found = opened.summary()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        shown = ("no", "yes")[value] if isinstance(value, bool) else value
        typer.echo(f"{name.replace('_', ' '):<15}{shown}")


@app.command()
def encrypt(registry: RegistryOption = None, passphrase_file: PassphraseOption = None) -> None:
    """Encrypt the registry under a passphrase, whole or not at all.

    Running daemons go on with what they have in memory; start them again with the passphrase.
    """
    if passphrase_file is None:
        raise BadInputError("--passphrase-file is missing: there is nothing to encrypt with")
    with Registry.open(registry, False, passphrase_file, to_encrypt=True) as opened:
        opened.encrypt()
    typer.echo("encrypted")


@app.command()
def passphrase(
    new_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The new passphrase: a file of mode 0600.")
    ],
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Change the passphrase of an encrypted registry. No key is written anew."""
    with Registry.open(registry, create=False, passphrase_file=passphrase_file) as opened:
        opened.change_passphrase(new_file)
    typer.echo("changed")
