"""The bootloader of RP2 chips: a USB drive that takes a UF2 file and starts it.

A drive is one by its INFO_UF2.TXT, whatever it is called; it has to be mounted.
"""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roamkey.board.images import Firmware
from roamkey.errors import BadInputError, BoardError, RefusedError, SystemRefusedError
from roamkey.waiting import until

_INFO = "INFO_UF2.TXT"
_INFO_OCTETS_MAX = 4096
_FAT = ("vfat", "msdos", "exfat")
_MOUNTS = Path("/proc/mounts")
_LABELS = Path("/dev/disk/by-label")
_CHUNK = 1 << 16
_PAUSE_S = 0.2


@dataclass(frozen=True)
class Volume:
    """A bootloader's drive: where it is mounted, and the model and board id that it tells."""

    path: Path
    model: str
    board_id: str


def volumes() -> list[Volume]:
    """The bootloaders' drives that are mounted."""
    found = []
    with contextlib.suppress(OSError):
        for line in _MOUNTS.read_text().splitlines():
            _, where, kind, *_ = line.split(" ")
            if kind in _FAT:
                where = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), where)
                with contextlib.suppress(BadInputError):
                    found.append(volume(Path(where)))
    return found


def unmounted() -> str:
    """What to do about a bootloader's drive that is there and not mounted; "" without one."""
    for label in ("RPI-RP2", "RP2350"):
        device = _LABELS / label
        if device.exists():
            return (
                f"the bootloader's drive {label} isn't mounted: run "
                f"`udisksctl mount -b {device}`, and this again"
            )
    return ""


def volume(path: Path) -> Volume:
    """The drive at `path`; raises BadInputError where none is."""
    try:
        with (path / _INFO).open("rb") as file:
            text = file.read(_INFO_OCTETS_MAX).decode(errors="replace")
    except OSError:
        raise BadInputError(f"{path}: no drive of a UF2 bootloader ({_INFO} is missing)") from None
    facts = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return Volume(path, facts.get("Model", "?").strip(), facts.get("Board-ID", "?").strip())


def check(drive: Volume, firmware: Firmware) -> None:
    """Raise RefusedError where the file is for another chip than the drive's."""
    if drive.board_id != firmware.board_id:
        raise RefusedError(
            f"{firmware.path} is for {firmware.chip}, the board is a {drive.model} "
            f"({drive.board_id})"
        )


def wait_for_new(known: list[Volume], wait_s: float) -> Volume:
    """The drive that appears beside the known ones; raises BoardError if none does in time."""
    paths = {each.path for each in known}
    found = until(
        lambda: next((each for each in volumes() if each.path not in paths), None),
        wait_s,
        _PAUSE_S,
    )
    if found is None:
        raise BoardError(
            f"no bootloader's drive was mounted in {wait_s:.0f} s: mount it (udisksctl mount -b "
            "/dev/disk/by-label/RPI-RP2) and run roamkey flash --volume FOLDER"
        )
    return found


def write(
    drive: Volume,
    firmware: Firmware,
    progress: Callable[[int, int], None] | None = None,
    gone_s: float = 15.0,
) -> None:
    """Copy the file to the drive, and wait until the bootloader starts it and the drive is gone.

    The last blocks may fail: the board starts as soon as it has them. What counts is its answer
    afterwards. Raises SystemRefusedError where the drive takes nothing, BoardError where it stays.
    """
    content = firmware.content
    done = 0
    try:
        with (drive.path / "firmware.uf2").open("wb", buffering=0) as file:
            for at in range(0, len(content), _CHUNK):
                done += file.write(content[at : at + _CHUNK])
                os.fsync(file.fileno())
                if progress:
                    progress(done, len(content))
    except OSError as error:
        if done < len(content) - _CHUNK:
            raise SystemRefusedError(f"{drive.path}: {error.strerror}") from None
    if not until(lambda: not (drive.path / _INFO).exists(), gone_s, _PAUSE_S):
        raise BoardError(f"{drive.path}: the bootloader doesn't start what it was given")
