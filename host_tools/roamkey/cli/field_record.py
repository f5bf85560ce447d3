"""`roamkey field record`: the datagrams of a walk, as they arrive."""

import json
import signal
import time
from contextlib import closing
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Annotated, Any

import typer

from roamkey.cli import durations
from roamkey.cli.correspondent_events import homes_of
from roamkey.cli.options import EventsOption, RegistryOption
from roamkey.correspondent.events.file import Reader, place
from roamkey.errors import SystemRefusedError
from roamkey.field.recording import Listener, Recording

PORT = 5005  # that of firmware/examples/sensor.py
_FILE = "data.jsonl"
_LOOK_EACH_S = 0.2
_SAY_EACH_S = 10.0
_SHOWN_MAX = 20


def record(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The walk's logs; made if it isn't there.")
    ],
    port: Annotated[
        int, typer.Option(help="The UDP port of the readings.", min=1, max=65535, metavar="PORT")
    ] = PORT,
    node: Annotated[
        str | None,
        typer.Option(
            metavar="NODE", help="Of one node: a home address, a name, a board's id. Default: all."
        ),
    ] = None,
    last: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar=durations.TIME,
            parser=durations.span(0.1),
            help="End by itself after so long.",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, max=4096, metavar="MB", help="End where the file has so much.")
    ] = 256,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was recorded as JSON, at the end.")
    ] = False,
    registry: RegistryOption = None,
    events: EventsOption = None,
) -> None:
    """Record numbered datagrams as they arrive, on the correspondent's host, until Ctrl-C.

    FOLDER/data.jsonl has when each arrived, from whom, and its number: by that `field report`
    tells what was lost. A number is "n" of an object of JSON, as firmware/examples/sensor.py
    sends it, or the whole datagram in digits. No rights are needed where no other program has the
    port; beside one that has it, root's. What came is in the file at once; run again, it goes on.
    """  # fmt: skip
    only = None
    if node is not None:
        only = _only(node, registry, events)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemRefusedError(f"{folder}: {error.strerror}") from None
    begun = time.monotonic()
    with (
        closing(Listener(port)) as listener,
        Recording(folder / _FILE, most << 20, only) as recording,
    ):
        if not as_json:
            how = "beside the program that has it" if listener.beside else "received here"
            typer.echo(f"recording UDP port {port}, {how}, to {recording.path}; Ctrl-C ends it")
        full = _run(listener, recording, None if last is None else begun + last, not as_json)
    told = {
        "file": str(recording.path),
        "seconds": round(time.monotonic() - begun, 1),
        "datagrams": dict(recording.datagrams),
        "without_number": recording.without_number,
        "full": full,
    }
    if as_json:
        typer.echo(json.dumps(told))
    else:
        _show(told, folder)
    if full:
        raise SystemRefusedError(f"{recording.path} has {most} MB: more isn't recorded")


def _only(node: str, registry: str | None, events: Path | None) -> list[str]:

    try:
        return [str(IPv6Address(node))]
    except AddressValueError:
        with closing(Reader(events or place(registry))) as reader:
            return homes_of(reader, node, registry)


def _run(listener: Listener, recording: Recording, until: float | None, says: bool) -> bool:
    """Record until Ctrl-C, SIGTERM, a time, or the file is full, which is True."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    say = time.monotonic() + _SAY_EACH_S
    try:
        while until is None or time.monotonic() < until:
            if not recording.add(listener.take(_LOOK_EACH_S)):
                return True
            if says and time.monotonic() >= say:
                say += _SAY_EACH_S
                typer.echo(_so_far(recording))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return False


def _so_far(recording: Recording) -> str:
    count = sum(recording.datagrams.values())
    said = f"{count:,} datagrams of {len(recording.datagrams)} nodes"
    if recording.without_number:
        said += f", {recording.without_number:,} without a number"
    return said


def _show(told: dict[str, Any], folder: Path) -> None:
    for home, count in list(told["datagrams"].items())[:_SHOWN_MAX]:
        typer.echo(f"{home}  {count:,} datagrams")
    if len(told["datagrams"]) > _SHOWN_MAX:
        typer.echo(f"and {len(told['datagrams']) - _SHOWN_MAX} more nodes")
    if told["without_number"]:
        typer.echo(f"{told['without_number']:,} without a number: left out")
    if not told["datagrams"]:
        typer.echo("nothing arrived: does the node send to this host and port?")
        return
    typer.echo(f"{told['file']}; now:")
    typer.echo(f"  roamkey correspondent events --since 1d --json > {folder}/events.json")
    typer.echo(f"  roamkey log pull --out {folder}/board.jsonl   (or --air its home address)")
    typer.echo(f"  roamkey field report {folder}")
