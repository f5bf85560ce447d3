"""The serial ports of this machine: those of USB, and those that `ROAMKEY_PORTS` names.

That is a list of paths separated by colons, each a port or a folder of ports (or of links to
them), such as a virtual board's or one of a UART that isn't on USB. And the board of a playground
that is up.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from roamkey import playground

PORTS_VARIABLE = "ROAMKEY_PORTS"
_NAMED_MAX = 6  # ports in a line for a person
_PROC = Path("/proc")


@dataclass(frozen=True)
class Usb:
    """How a device presents itself on USB: vendor and product (16 bits each), texts or None."""

    vendor: int
    product: int
    serial_number: str | None
    name: str | None


@dataclass(frozen=True)
class Port:
    """A serial port by its path; `usb` is None where it isn't one of USB."""

    path: str
    usb: Usb | None = None

    def __str__(self) -> str:
        name = self.usb.name if self.usb else None
        return f"{self.path} ({_plain(name)})" if name else self.path


def ports() -> list[Port]:
    """The ports of this machine, in the order of their paths; those named twice once."""
    found = {}
    for info in list_ports.comports():
        if info.vid is not None:
            usb = Usb(info.vid, info.pid or 0, info.serial_number, info.product)
            found[os.path.realpath(info.device)] = Port(info.device, usb)
    for path in _named():
        found.setdefault(os.path.realpath(path), Port(str(path)))
    return sorted(found.values(), key=lambda port: port.path)


def listed(there: list[Port]) -> str:
    """Ports in words for a person, the first few."""
    more = f" and {len(there) - _NAMED_MAX} more" * (len(there) > _NAMED_MAX)
    return ", ".join(map(str, there[:_NAMED_MAX])) + more


def holders(path: str) -> list[str]:
    """The programs that have the device at `path` open, as "screen (process 4711)"; this one isn't
    told of. Of other users' programs only root sees that."""
    try:
        device = Path(path).stat().st_rdev
    except OSError:
        return []
    if not device or not _PROC.is_dir():
        return []
    others = [
        one for one in _PROC.iterdir() if one.name.isdigit() and int(one.name) != os.getpid()
    ]
    holding = [process for process in others if _holds(process, device)]
    return sorted(f"{_program(process)} (process {process.name})" for process in holding)


def _holds(process: Path, device: int) -> bool:
    with suppress(OSError):  # it ended, or is another user's
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if descriptor.stat().st_rdev == device:
                    return True
    return False


def _program(process: Path) -> str:
    """A program's name; of an interpreter's the script's: its other arguments may be secrets."""
    try:
        name = (process / "comm").read_text(errors="replace").strip()
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a program"
    if name.startswith("python") and len(words) > 1:
        script = words[2] if words[1] == "-m" and len(words) > 2 else Path(words[1]).name
        return _plain(script if not script.startswith("-") else name)
    return _plain(name)


def _named() -> list[Path]:
    """The ports that the environment names, and those of a playground that is up."""
    named = []
    for word in os.environ.get(PORTS_VARIABLE, "").split(os.pathsep):
        path = Path(word)
        if word and path.is_dir():
            named += sorted(path.iterdir())
        elif word:
            named.append(path)
    if playground.is_up() and playground.ports().is_dir():
        named += [link.resolve() for link in sorted(playground.ports().iterdir())]
    return named


def _plain(text: str | None) -> str:
    return "".join(c if c.isprintable() else "?" for c in text or "")[:60]
