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


def functions() -> dict[str, set[str]]:
    """The functions that the sources of each unit of the agent define, by the unit's name."""
    found: dict[str, set[str]] = {}
    for there, path in board_files().items():
        if there.startswith("/lib/mip6/"):
            unit = "mip6." + there.removeprefix("/lib/mip6/").removesuffix(".py").split("/")[0]
            found.setdefault(unit, set()).update(
                node.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            )
    return found


def test_its_functions_are_those_of_the_sources(tmp_path: Path) -> None:
    with Network() as network, Scene(tmp_path, network, {"/app.py": BROKEN}) as scene:
        scene.move("visited1")
        assert until(lambda: "fault" in scene.status()["node"], 40), scene.status()
        status = scene.status()["node"]
    assert status["fault"] == "LookupError: nobody foresaw it"
    assert 'File "mip6/keystore/ledger.py", line ' in resolve(status["traceback"])
    frames = [
        (file.partition("@")[0], name)
        for file, name in re.findall(r'File "(\S+)", line \d+, in (\S+)', status["traceback"])
    ]
    assert frames.pop() == ("app.py", "unforeseen")
    known = functions()
    assert len(frames) >= 4, status["traceback"]
    assert {file for file, _ in frames} >= {"mip6.bindings", "mip6.keystore"}
    for file, name in frames:
        assert name in known[file], status["traceback"]
