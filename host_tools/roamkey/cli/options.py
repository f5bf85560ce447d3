"""Options that several subcommands have."""

from pathlib import Path
from typing import Annotated

import typer

#: The registry, as `Registry.open` takes it.
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        envvar="ROAMKEY_REGISTRY",
        show_envvar=True,
        help="The registry: a path or SQLAlchemy URL. Default: the user's own.",
    ),
]

#: Where the registry's passphrase is; where there is none, nothing is encrypted.
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        envvar="ROAMKEY_PASSPHRASE_FILE",
        show_envvar=True,
        help="The passphrase of an encrypted registry: a file of mode 0600.",
    ),
]

#: Where the correspondent's events are, as its `run` records them.
EventsOption = Annotated[
    Path | None,
    typer.Option(
        "--events",
        metavar="FILE",
        envvar="ROAMKEY_EVENTS",
        show_envvar=True,
        help="The file of events. Default: beside the registry.",
    ),
]
