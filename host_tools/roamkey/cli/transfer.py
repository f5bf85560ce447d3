"""`roamkey export` and `import`: a correspondent's or home agent's keys, to its own machine."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mip6 import addresses
from roamkey.cli.options import (
    JsonOption,
    PassphraseOption,
    RegistryOption,
    global_address,
)
from roamkey.enroll import transferfile
from roamkey.registry import CORRESPONDENT, HOME_AGENT, Registry
from roamkey.registry.encryption import read_passphrase

FilePassphrase = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="The passphrase of the exported file: a file of mode 0600, one line.",
    ),
]


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    file_passphrase: FilePassphrase,
    correspondent: Annotated[
        str | None, typer.Option(help="The correspondent whose keys to export.", metavar="ADDRESS")
    ] = None,
    home_agent: Annotated[
        str | None, typer.Option(help="Or the home agent.", metavar="ADDRESS")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what a correspondent or home agent on another machine needs to an encrypted file."""
    if (correspondent is None) == (home_agent is None):
        raise typer.BadParameter("name either --correspondent or --home-agent")
    if home_agent is None:
        role, octets = CORRESPONDENT, global_address(correspondent or "", "--correspondent")
    else:
        role, octets = HOME_AGENT, global_address(home_agent, "--home-agent")
    passphrase = read_passphrase(file_passphrase)
    with Registry.open(registry, create=False, passphrase_file=passphrase_file) as opened:
        pairs = transferfile.export_to(opened, octets, file, passphrase, force=force, role=role)
    keys = sum(len(pair.keys) for pair in pairs)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "nodes": len(pairs), "keys": keys}))
    else:
        typer.echo(f"{file}: {len(pairs)} node(s), {keys} key(s)")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `roamkey export`.")],
    file_passphrase: FilePassphrase,
    new_only: Annotated[
        bool,
        typer.Option(
            "--new-only",
            help="Keep what the registry knows already where the file's state is older, instead "
            "of refusing the file.",
        ),
    ] = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an exported file into this machine's registry, all of it or nothing.

    Nothing goes backwards: an older state of a key that is known here is refused.
    """
    passphrase = read_passphrase(file_passphrase)
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        correspondent, taken = transferfile.import_from(
            opened, file, passphrase, new_only=new_only
        )
    name = addresses.text(correspondent)
    if as_json:
        typer.echo(json.dumps({"correspondent": name, **asdict(taken)}))
        return
    typer.echo(
        f"correspondent {name}: {taken.added} key(s) added, {taken.advanced} advanced, "
        f"{taken.retired} retired, {taken.kept} kept as newer"
    )
    if taken.names_kept:
        typer.echo(f"other nodes have these names here: {', '.join(taken.names_kept)}")
