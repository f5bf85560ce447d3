"""What a fault in the midst of the agent, compiled as installed, says of where it was."""

import ast
import re
from pathlib import Path

import pytest

from roamkey.build.lines import resolve
from roamkey.firmware import board_files
from roamkey.lab.network import Network
from roamkey.lab.scene import Scene
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

# An application that has flash fail in a way that nobody foresaw, once there are keys.
BROKEN = b"""
import asyncio

async def main(node):
    while node.bindings is None:
        await asyncio.sleep(0.05)

    def unforeseen(name, data):
        raise LookupError("nobody foresaw it")

    node.keystore._store.write = unforeseen
"""


def functions() -> dict[str, set[tuple[str, int]]]:
    """What each source file of the agent has of functions: their names and each of their lines."""
    found: dict[str, set[tuple[str, int]]] = {}
    for there, path in board_files().items():
        if there.startswith("/lib/mip6/"):
            found[there.removeprefix("/lib/")] = {
                (node.name, line)
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                for line in range(node.lineno, (node.end_lineno or 0) + 1)
            }
    return found


def test_its_functions_are_those_of_the_sources(tmp_path: Path) -> None:
    with Network() as network, Scene(tmp_path, network, {"/app.py": BROKEN}) as scene:
        scene.move("visited1")
        assert until(lambda: "fault" in scene.status()["node"], 40), scene.status()
        status = scene.status()["node"]
    assert status["fault"] == "LookupError: nobody foresaw it"
    known = functions()
    names = re.findall(r'File "mip6\.(\w+)\S*", line \d+, in (\S+)', status["traceback"])
    assert len(names) >= 4, status["traceback"]
    assert {unit for unit, _ in names} >= {"bindings", "keystore"}
    for unit, name in names:
        own = r"mip6/\w+\.py" if unit in ("agent", "base") else rf"mip6/{unit}\b"
        files = [file for file in known if re.match(own, file)]
        assert name in {one for file in files for one, _ in known[file]}, (unit, name)
    frames = re.findall(r'File "(\S+)", line (\d+), in (\S+)', resolve(status["traceback"]))
    assert frames.pop()[0::2] == ("app.py", "unforeseen")
    assert len(frames) == len(names)
    for file, line, name in frames:
        assert (name, int(line)) in known[file], (file, line, name)
