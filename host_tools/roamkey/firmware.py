"""The files that a board runs: where this host keeps them, and where they belong on a board.

In a checkout they are the folder `firmware/`; an installed package carries `main.py` and `lib/` in
`roamkey/_firmware/` and the agent as the package `mip6` beside it (see pyproject.toml).
"""

from importlib.util import find_spec
from pathlib import Path

from roamkey.errors import SystemRefusedError

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parents[1] / "firmware"


def board_files() -> dict[str, Path]:
    """Every file to put on a board: its absolute path there, and the file on this host.

    `/main.py` (and `/boot.py` if there is one), `/lib/mip6/...` and the shims as `/lib/...`, in
    order of path. Raises SystemRefusedError where the installation lacks them.
    """
    folder = _folder()
    files = {f"/{path.name}": path for path in folder.glob("*.py")}
    files |= _sources(folder / "lib", "/lib")
    files |= _sources(_agent(folder), "/lib/mip6")
    return dict(sorted(files.items()))


def example(name: str) -> Path:
    """A file of `firmware/examples`; raises SystemRefusedError where the installation lacks it."""
    path = _folder() / "examples" / name
    if not path.is_file():
        raise SystemRefusedError(f"{path}: no such example; install roamkey again")
    return path


def _folder() -> Path:
    folder = _CHECKOUT if (_CHECKOUT / "main.py").is_file() else _PACKAGE / "_firmware"
    if not (folder / "main.py").is_file():
        raise SystemRefusedError(f"{folder}: no firmware here; install roamkey again")
    return folder


def _agent(folder: Path) -> Path:
    """The folder of the package mip6."""
    if (folder / "mip6").is_dir():
        return folder / "mip6"
    spec = find_spec("mip6")
    if spec is None or not spec.submodule_search_locations:
        raise SystemRefusedError("no package mip6 here; install roamkey again")
    return Path(next(iter(spec.submodule_search_locations)))


def _sources(folder: Path, there: str) -> dict[str, Path]:
    return {f"{there}/{path.relative_to(folder)}": path for path in folder.rglob("*.py")}
