"""`roamkey registry`: what the registry holds, and its encryption at rest."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mip6.limits import SEQUENCE_NUMBERS
from roamkey.cli.lazy import App
from roamkey.cli.options import JsonOption, PassphraseOption, RegistryOption
from roamkey.errors import BadInputError
from roamkey.registry import Registry, backup

app = App("The registry of boards and their keys.")


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
    It ends well only where no key is found in the registry's files any more. Where somebody reads
    it meanwhile it says so: run it again then. On a server, the server's own log and backups may
    hold keys in the clear for a while.
    """
    if passphrase_file is None:
        raise BadInputError("--passphrase-file is missing: there is nothing to encrypt with")
    with Registry.open(registry, False, passphrase_file, to_encrypt=True) as opened:
        opened.encrypt()
    typer.echo("encrypted")


@app.command("backup")
def make_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the registry, as it is at one moment, into a new file of mode 0600.

    Daemons may run on. An encrypted registry's copy is encrypted under the same passphrase.
    """
    octets = backup.make(registry, file)
    shown = {"file": str(file), "octets": octets}
    typer.echo(json.dumps(shown) if as_json else f"{file}: {octets} octets")


@app.command()
def restore(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A backup, to be put in the registry's place. Without: the registry was put back "
            "already, as by pg_restore.",
        ),
    ] = None,
    advance: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=SEQUENCE_NUMBERS - 1,
            metavar="N",
            help="Where nothing newer is known than the backup: skip so many numbers of each key.",
        ),
    ] = None,
    retire: Annotated[
        bool, typer.Option("--retire", help="There, retire the keys: boards need new ones.")
    ] = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on from a backup, so that nothing is accepted again that was used since it was made.

    Each key is raised above the last number used, which the daemon's high-water marks and the
    registry in place tell; keys that were retired since are retired.
    """
    if advance is not None and retire:
        raise BadInputError("--advance or --retire, not both")
    unknown = backup.Unknown(advance, retire)
    if file is None:
        done = backup.raise_in_place(registry, passphrase_file, unknown)
    else:
        done = backup.restore(registry, file, passphrase_file, unknown)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        typer.echo(f"{done.raised} key(s) raised, {done.retired} retired")


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
