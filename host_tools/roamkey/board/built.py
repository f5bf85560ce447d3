"""The agent as it goes onto a board: built once in a run for all boards alike."""

import hashlib
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from roamkey.build import compile_board_files, files_for, fits, kept, lines, units

_LIB = "/lib/"
_MAIN = "/main.py"
_making = threading.Lock()


@dataclass(frozen=True)
class Image:
    """What a board is to hold. `files`: path below the slot to octets; `main`: /main.py.

    `form`: "mpy" (bytecode) or "py" (source).
    """

    form: str
    files: Mapping[str, bytes]
    main: bytes

    @property
    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file, hexadecimal."""
        return {path: sum_of(octets) for path, octets in self.files.items()}


def image_for(platform: str, mpy: int) -> Image:
    """The agent for a board with this `sys.platform` and `sys.implementation._mpy`.

    Bytecode where the board loads what this host's mpy-cross makes, else source. Made once in a
    run for all boards alike; any thread may ask.
    """
    with _making:
        return _source(platform) if not fits(mpy) else bytecode(platform)


def main_for(platform: str) -> bytes:
    """The /main.py for a platform."""
    return files_for(platform)[_MAIN].read_bytes()


def sum_of(octets: bytes) -> str:
    """The SHA-256 of octets, hexadecimal."""
    return hashlib.sha256(octets).hexdigest()


@cache
def _source(platform: str) -> Image:
    return _image("py", files_for(platform))


@cache
def bytecode(platform: str) -> Image:
    """The agent for a platform as bytecode."""
    lines.remember(units(platform))
    with tempfile.TemporaryDirectory() as folder:
        made = _image("mpy", compile_board_files(Path(folder), platform))
    kept.keep(platform, made.sums)
    return made


def _image(form: str, files: Mapping[str, Path]) -> Image:
    below = {path.removeprefix(_LIB): file for path, file in files.items() if path != _MAIN}
    return Image(
        form, {path: file.read_bytes() for path, file in below.items()}, files[_MAIN].read_bytes()
    )
