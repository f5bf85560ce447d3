"""The board definitions: complete, and naming only what exists. What runs is tested beside it."""

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import mip6
from roamkey.build import files_for
from roamkey.lab.interpreter import micropython

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
BOARDS = REPOSITORY / "boards"
FIRMWARE = REPOSITORY / "firmware"
NAMES = ["ESP32_GENERIC", "ESP32_GENERIC_C3", "OPENWRT", "RPI_PICO_W"]
ESP32 = {"ESP32_GENERIC": ("esp32", "0x1000"), "ESP32_GENERIC_C3": ("esp32c3", "0")}

# As MicroPython's ports/*/boards/*/board.json have them.
FIELDS = {
    "deploy": list,
    "docs": str,
    "features": list,
    "images": list,
    "mcu": str,
    "product": str,
    "thumbnail": str,
    "url": str,
    "vendor": str,
}


def described(name):
    return json.loads((BOARDS / name / "board.json").read_text())


def test_every_board_is_known_here():
    folders = {path.name for path in BOARDS.iterdir() if path.is_dir()}
    assert folders == {*NAMES, "modules"}


@pytest.mark.parametrize("name", NAMES)
def test_board_json_has_every_field(name):
    description = described(name)
    extra = {"deploy_options"} if name in ESP32 else set()
    assert set(description) == set(FIELDS) | extra
    for field, kind in FIELDS.items():
        assert isinstance(description[field], kind), field
    assert description["product"] and description["vendor"] and description["features"]
    for page in description["deploy"]:
        assert (BOARDS / name / page).is_file()


@pytest.mark.parametrize("name", ESP32)
def test_esp32_boards_say_where_firmware_goes(name):
    mcu, offset = ESP32[name]
    description = described(name)
    assert (description["mcu"], description["deploy_options"]["flash_offset"]) == (mcu, offset)
    readme = (BOARDS / name / "README.md").read_text()
    command = re.search(r"esptool --chip (\S+) .* write-flash --erase-all (\S+) ", readme)
    assert command and command.groups() == (mcu, offset)


@pytest.mark.parametrize("name", NAMES)
def test_readme_links_lead_somewhere(name):
    text = (BOARDS / name / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (BOARDS / name / target).exists(), target


class Options:
    """What the including manifest passes on, over the defaults of the included one."""

    def __init__(self, given):
        self._given = given
        self._default = {}

    def defaults(self, **values):
        self._default = values

    def __getattr__(self, name):
        return self._given.get(name, self._default.get(name))


class Manifest:
    """Stands in for MicroPython's manifestfile.py: the calls that our manifests make.

    As there, the folder of the manifest that is being read is the current one, and paths are
    relative to it; a file that isn't there is an error.
    """

    def __init__(self, path):
        self.included = []
        self.frozen = {}
        self._run(path, {})

    def _run(self, path, given):
        names = {"include": self.include, "package": self.package, "module": self.module}
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            exec(path.read_text(), {**names, "options": Options(given)})
        finally:
            os.chdir(before)

    def include(self, path, **given):
        self.included.append(path)
        if not path.startswith("$("):  # upstream's own are elsewhere
            self._run(Path(path).resolve(), given)

    def package(self, name, files=None, base_path="."):
        base = Path(base_path).resolve()
        if files is None:
            files = [p.relative_to(base / name).as_posix() for p in (base / name).rglob("*.py")]
        for file in files:
            self._add(f"{name}/{file}", base / name / file)

    def module(self, name, base_path="."):
        self._add(name, Path(base_path).resolve() / name)

    def _add(self, there, here):
        assert here.is_file() and there not in self.frozen, there
        self.frozen[there] = here


@pytest.mark.parametrize("name", [*ESP32, "RPI_PICO_W"])
def test_manifest_freezes_the_agent_and_what_starts_it(name):
    """Every module that `roamkey install` puts on a stock board, but in files of their own, and
    nothing of other platforms; the program that starts it as it is."""
    manifest = Manifest(BOARDS / name / "manifest.py")
    platform = "rp2" if name == "RPI_PICO_W" else "esp32"
    upstream = "boards/RPI_PICO_W" if name == "RPI_PICO_W" else "boards"
    assert manifest.included == [f"$(PORT_DIR)/{upstream}/manifest.py", "../manifest.py"]
    assert manifest.frozen.pop("main.py") == (FIRMWARE / "main.py").resolve()
    wanted = {
        there.removeprefix("/lib/")
        for there in files_for(platform)
        if there.startswith("/lib/mip6/")
        and not there.startswith(("/lib/mip6/inplace/", "/lib/mip6/compat", "/lib/mip6/limits"))
    }
    assert {*manifest.frozen} == wanted


def test_what_is_frozen_stands_on_the_lines_of_its_source():
    frozen = Manifest(BOARDS / "RPI_PICO_W" / "manifest.py").frozen
    for there in ("mip6/node.py", "mip6/bindings/binding.py"):
        lean, source = functions(frozen[there]), functions(FIRMWARE / there)
        assert lean and lean <= source
        assert len(frozen[there].read_text()) < (FIRMWARE / there).stat().st_size


@pytest.mark.parametrize("name", [*ESP32, "RPI_PICO_W"])
def test_what_is_frozen_is_wanted_by_what_runs(name):
    """No other platform's files, which would be loaded with their folder: RAM for nothing."""
    frozen = Manifest(BOARDS / name / "manifest.py").frozen
    packages = {there for there in frozen if there.endswith("/__init__.py")}
    wanted, found = ["mip6/agent.py", *(f"mip6/{module}.py" for module in mip6.__all__)], set()
    while wanted:
        there = wanted.pop()
        if there in frozen and there not in found:
            found.add(there)
            wanted += imported(there, ast.parse(frozen[there].read_text()))
    assert set(frozen) - found - packages == {"main.py"}


def imported(there, tree):
    """The files that a file of mip6 may import, whether they are there or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = "/".join(there.split("/")[: -node.level])
            module = "/".join([above, *(node.module or "").split(".")]).rstrip("/")
            yield f"{module}.py"
            yield from (f"{module}/{one.name}.py" for one in node.names)


def functions(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text()))
    return {(one.name, one.lineno) for one in nodes if isinstance(one, kinds)}


@pytest.mark.parametrize("name", ESP32)
def test_definition_names_files_that_exist(name):
    folder = BOARDS / name
    text = (folder / "mpconfigboard.cmake").read_text()
    for target in re.findall(r"\$\{MICROPY_BOARD_DIR\}/([\w.]+)", text):
        assert (folder / target).is_file(), target
    assert f"boards/{name}/mpconfigboard.cmake" in text  # upstream's
    header = (folder / "mpconfigboard.h").read_text()
    assert "MICROPY_HW_BOARD_NAME" in header and "MICROPY_HW_MCU_NAME" in header
    settings = (folder / "sdkconfig.board").read_text().splitlines()
    assert all(line == "" or line.startswith(("#", "CONFIG_LWIP_")) for line in settings)


def test_esp32_boards_have_the_same_stack():
    one, other = ((BOARDS / name / "sdkconfig.board").read_text() for name in ESP32)
    assert one == other


def test_modules_name_sources_that_exist():
    for path in (BOARDS / "modules").rglob("micropython.cmake"):
        for target in re.findall(r"\$\{CMAKE_CURRENT_LIST_DIR\}/([\w./]+)", path.read_text()):
            assert (path.parent / target).is_file(), target


def test_port_calls_what_the_module_has():
    source = (BOARDS / "modules/ip6sta/ip6sta.c").read_text()
    offered = set(re.findall(r"MP_ROM_QSTR\(MP_QSTR_(\w+)\), MP_ROM_PTR", source))
    port = (FIRMWARE / "mip6/ports/esp32.py").read_text()
    assert offered == set(re.findall(r"ip6sta\.(\w+)\(", port))


def test_esp32_port_under_micropython():
    folders = (HERE, REPOSITORY / "tests/core", FIRMWARE)
    path = ":".join([*(str(folder) for folder in folders), ".frozen"])
    done = subprocess.run(
        [micropython(), str(REPOSITORY / "tests/core/run.py"), "test_esp32_port"],
        env={**os.environ, "MICROPYPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(" passed, 0 failed")
