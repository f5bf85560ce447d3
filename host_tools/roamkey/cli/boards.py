"""`roamkey boards`: what is plugged in."""

import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from roamkey import notice
from roamkey.board import discovery
from roamkey.board.bootloader import Volume, volumes
from roamkey.board.discovery import Found
from roamkey.cli import known
from roamkey.cli.options import JsonOption
from roamkey.cli.output import plain

_PROVISIONED = {None: "?", True: "yes", False: "no"}


def boards(as_json: JsonOption = False) -> None:
    """List the boards that are plugged in: port, id, chip, firmware, agent, keys.

    Looks at USB's serial ports and at those that ROAMKEY_PORTS names: paths separated by colons,
    each a port or a folder of ports (virtual boards, UARTs). Running programs aren't disturbed.
    """
    notice.show_on(sys.stderr)
    with notice.waiting("looking at what is plugged in"):
        found = discovery.look_at_all()
    drives = volumes()
    called = known.names() if any(each.board for each in found) else {}
    if as_json:
        told = [_as_json(each, called.get(each.board or "")) for each in found]
        typer.echo(json.dumps([*told, *map(_volume_as_json, drives)]))
        return
    if not found and not drives:
        typer.echo("No board is plugged in (no serial port on USB, and ROAMKEY_PORTS names none).")
        return
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    named = ["name"] if any(each.board in called for each in found) else []
    for name in ("port", "board", *named, "MicroPython", "agent", "keys", "what"):
        table.add_column(name, overflow="fold")
    for each in found:
        table.add_row(
            each.port.path,
            plain(each.board or "-"),
            *(called.get(each.board or "", "-") for _ in named),
            plain(each.micropython or "-"),
            plain(each.agent or "-"),
            _PROVISIONED[each.provisioned],
            plain(_what(each)),
        )
    for volume in drives:
        what = f"bootloader of {volume.model}: give it a UF2 file by roamkey flash"
        table.add_row(str(volume.path), "-", *("-" for _ in named), "-", "-", "no", plain(what))
    console.print(table)


def _what(found: Found) -> str:
    if found.machine or found.platform:
        name = found.machine or found.platform or ""
        return name if found.state == discovery.AGENT else f"{name}, {found.text}"
    usb = found.port.usb.name if found.port.usb else None
    return f"{usb}: {found.text}" if usb else found.text


def _as_json(found: Found, name: str | None) -> dict[str, Any]:
    usb = found.port.usb
    return {
        "port": found.port.path,
        "usb": None
        if usb is None
        else {
            "vendor": f"{usb.vendor:04x}",
            "product": f"{usb.product:04x}",
            "serial_number": usb.serial_number,
            "name": usb.name,
        },
        "state": found.state,
        "text": found.text,
        "board": found.board,
        "name": name,
        "platform": found.platform,
        "machine": found.machine,
        "micropython": found.micropython,
        "agent": found.agent,
        "keystore": found.keystore,
        "provisioned": found.provisioned,
        "set_id": found.set_id,
    }


def _volume_as_json(volume: Volume) -> dict[str, Any]:
    return {
        **_as_json(Found(discovery.Port(str(volume.path)), "bootloader", volume.model), None),
        "port": None,
        "volume": str(volume.path),
    }
